package restore

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

func isRoot() bool { return os.Geteuid() == 0 }

// hostFacts is what checks know of the host.
type hostFacts struct {
	artifact.Host
	nics map[string][]netip.Prefix
}

func (h hostFacts) unknown() bool { return h.Distro.ID == host.UnknownDistro }

// readHost asks the host what it is.
func (p *planner) readHost() error {
	facts, err := host.ReadFacts(p.Root)
	if err != nil {
		return err
	}
	nics, err := host.NICs(p.Root)
	p.checked.here = hostFacts{Host: facts, nics: nics}
	return err
}

// preflight compares the host with the snapshot's and adds what it finds.
func (p *planner) preflight(ctx context.Context) error {
	if err := p.readHost(); err != nil {
		return err
	}
	here := p.checked.here
	if !isRoot() {
		p.find(CodeNotRoot, Block, "run it as root", "not root: owners of restored files cannot be set")
	}
	p.checkDistro(here)
	p.checkSecrets()
	p.checkClock()
	p.checkStack()
	p.checkBuild()
	p.checkAsked()
	p.checkPrivileged()
	for _, check := range []func(context.Context) error{p.checkNetwork, p.checkServers, p.checkCertificates, p.rollbackSpace} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return p.checkSpace()
}

func (p *planner) checkDistro(here hostFacts) {
	was := p.snapshot.Config.Host
	switch {
	case here.unknown():
		p.find("no-distro", Warn, "", "%s has no os-release: whether the distro fits cannot be checked", p.Root.Dir())
	case was.Distro.ID != here.Distro.ID:
		p.find(CodeDistro, Block, "install "+was.Distro.ID+" "+was.Distro.Version,
			"the snapshot is of %s %s, this host is %s %s", was.Distro.ID, was.Distro.Version, here.Distro.ID, here.Distro.Version)
	case majorMinor(was.Distro.Version) != majorMinor(here.Distro.Version):
		p.find(CodeVersion, Block, "bring this host to "+was.Distro.Version,
			"the snapshot is of %s %s, this host is at %s", was.Distro.ID, was.Distro.Version, here.Distro.Version)
	}
	if was.Arch != here.Arch {
		p.find(CodeArch, Block, "use a machine of the same kind", "the snapshot is of a %s machine, this one is %s", was.Arch, here.Arch)
	}
	if !here.unknown() && (here.Name != was.Name || here.FQDN != "" && was.FQDN != "" && here.FQDN != was.FQDN) {
		p.find("host-name", Warn, fmt.Sprintf("hostnamectl set-hostname %s", cmp.Or(was.FQDN, was.Name)),
			"the snapshot is of host %q, this one is called %q: names and certificates stay those of the snapshot",
			cmp.Or(was.FQDN, was.Name), cmp.Or(here.FQDN, here.Name))
	}
}

// majorMinor is the part of a version that has to be equal: 9.6 of 9.6.1.
func majorMinor(v string) string {
	parts := strings.SplitN(v, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// checkStack looks for an installation of the stack that does not fit.
func (p *planner) checkStack() {
	for _, m := range p.Stack.Markers {
		if m.Refuse != "" && p.Root.Exists(m.Path) {
			p.find(CodeServiceNode, Block, "choose another host", "%s: %s", p.Root.Path(m.Path), m.Refuse)
		}
	}
	was, here := p.snapshot.Config.Stack.Version, installedVersion(p.Stack, p.Root)
	if was != "" && here != "" && was != here {
		p.find(CodeStackVersion, Block, "bring this host to "+was+", or start from a fresh install",
			"the snapshot has %s %s, %s is installed here", p.Stack.Title, was, here)
	}
}
