package pkgmgr

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// queryFormat has one package to a line: none of the values can hold a tab.
const queryFormat = `%{NAME}\t%{EPOCH}\t%{VERSION}\t%{RELEASE}\t%{ARCH}\n`

// Installed implements Manager.
func (d *dnf) Installed(ctx context.Context) ([]artifact.Package, error) {
	args := []string{"-qa", "--qf", queryFormat}
	if d.outside {
		// This machine's rpm would look where its own distro keeps the database.
		args = append(args, "--root", d.root.Dir(), "--dbpath", d.dbpath)
	}
	out, err := d.run.Run(ctx, host.Command{Name: "rpm", Args: args, Chroot: d.chroot})
	if err != nil {
		return nil, fmt.Errorf("rpm database of %s: %w", d.root.Dir(), err)
	}
	var all []artifact.Package
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 {
			return nil, fmt.Errorf("rpm database of %s: line %q", d.root.Dir(), line)
		}
		if f[0] == "gpg-pubkey" {
			continue // a key, which rpm keeps among the packages
		}
		p := artifact.Package{Name: f[0], Epoch: f[1], Version: f[2], Release: f[3], Arch: f[4]}
		if p.Epoch == "(none)" {
			p.Epoch = ""
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b artifact.Package) int { return cmp.Compare(a.NEVRA(), b.NEVRA()) })
	return all, nil
}
