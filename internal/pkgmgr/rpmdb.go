package pkgmgr

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// queryFormat has one package to a line: none of the values can hold a tab.
const queryFormat = `%{NAME}\t%{EPOCH}\t%{VERSION}\t%{RELEASE}\t%{ARCH}\n`

// Installed implements Manager.
func (t rpmTarget) Installed(ctx context.Context) ([]artifact.Package, error) {
	out, err := t.run.Run(ctx, t.rpm("-qa", "--qf", queryFormat))
	if err != nil {
		return nil, fmt.Errorf("rpm database of %s: %w", t.root.Dir(), err)
	}
	var all []artifact.Package
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 {
			return nil, fmt.Errorf("rpm database of %s: line %q", t.root.Dir(), line)
		}
		if f[0] == keyPackage {
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
