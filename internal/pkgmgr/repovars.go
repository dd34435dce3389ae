package pkgmgr

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

const maxVar = 64 << 10

// RepoVars returns the variables of the root's .repo files by name: those that
// follow from distro and architecture of h, and those its administrator set, a
// file each ("dnf.conf(5)", "Variables"; "zypper(8)", "Repository variables").
func RepoVars(root *host.Root, h artifact.Host) (map[string]string, error) {
	vars := distroVars(h)
	for _, dir := range []string{"/etc/yum/vars", "/usr/share/dnf5/vars.d", "/etc/dnf/vars", "/etc/zypp/vars.d"} {
		names, err := root.Names(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("variables of repositories: %w", err)
		}
		for _, name := range names {
			b, err := root.ReadFile(path.Join(dir, name), maxVar)
			if err != nil {
				continue // a repository that uses it says that it has no value
			}
			value, _, _ := strings.Cut(string(b), "\n")
			vars[name] = strings.TrimSpace(value)
		}
	}
	return vars, nil
}

// distroVars are the variables package managers know by themselves. An EL names
// its major version, SUSE the whole.
func distroVars(h artifact.Host) map[string]string {
	major, minor, _ := strings.Cut(h.Distro.Version, ".")
	release := major
	if IsSUSE(h.Distro) {
		release = h.Distro.Version
	}
	return map[string]string{
		"releasever": release, "releasever_major": major, "releasever_minor": minor,
		"basearch": h.Arch, "arch": h.Arch, "debarch": DebArch(h.Arch), "codename": h.Distro.Codename,
	}
}

// IsSUSE reports whether a distro is SUSE's or made of it.
func IsSUSE(d artifact.Distro) bool {
	return d.ID == "sles" || d.ID == "suse" || strings.Contains(d.Like, "suse")
}
