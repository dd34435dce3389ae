package restore

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

func isRoot() bool { return os.Geteuid() == 0 }

// preflight compares the host with the snapshot's and adds what it finds.
func (p *planner) preflight(context.Context) error {
	here, err := host.ReadFacts(p.Root)
	if err != nil {
		return err
	}
	if !isRoot() {
		p.find(CodeNotRoot, Block, "run it as root", "not root: owners of restored files cannot be set")
	}
	p.checkDistro(here)
	p.checkStack()
	return p.checkSpace()
}

func (p *planner) checkDistro(here artifact.Host) {
	was := p.snapshot.Config.Host
	switch {
	case here.Distro.ID == host.UnknownDistro:
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
	if here.Name != was.Name && here.Distro.ID != host.UnknownDistro {
		p.find("host-name", Warn, fmt.Sprintf("hostnamectl set-hostname %s", cmp.Or(was.FQDN, was.Name)),
			"the snapshot is of host %q, this one is called %q: names and certificates stay those of the snapshot", was.Name, here.Name)
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

// maxSpare is what a filesystem should have left after an import, a twentieth
// of it if it is small.
const maxSpare = 64 << 20

func (p *planner) checkSpace() error {
	p.plan.Space = []Space{}
	for _, s := range p.need {
		d, err := p.Root.OpenDir(strings.TrimPrefix(s.Mount, strings.TrimSuffix(p.Root.Dir(), "/")))
		if err != nil {
			return err
		}
		free, total, err := d.Space()
		_ = d.Close()
		if err != nil {
			return err
		}
		s.Free = free
		spare := min(maxSpare, total/20)
		p.plan.Space = append(p.plan.Space, *s)
		if s.Need+spare > s.Free {
			p.find(CodeSpace, Block, "free "+size(s.Need+spare-s.Free)+" there",
				"%s has %s free, the import needs %s and %s to spare", s.Mount, size(s.Free), size(s.Need), size(spare))
		}
	}
	slices.SortFunc(p.plan.Space, func(a, b Space) int { return strings.Compare(a.Mount, b.Mount) })
	return nil
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
