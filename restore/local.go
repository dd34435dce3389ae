package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/pkgmgr"
)

// checkLocal decides where the changes to the stack's own files go: a program or
// template of one build of the stack need not fit another, so where the host has
// another they are placed beside its own.
func (p *planner) checkLocal(ctx context.Context) error {
	local, ok := p.snapshot.Config.Kind(artifact.KindOpt)
	if !ok || !p.Wants(artifact.KindOpt) {
		return nil
	}
	differs, err := p.otherStack(ctx)
	if err != nil {
		return fmt.Errorf("local changes: %w", err)
	}
	if differs == "" {
		return nil
	}
	p.beside = true
	p.find("local-changes", Warn,
		"compare each NAME with NAME"+BesideSuffix+", which --show-files lists, and take over what this version lacks",
		"%s: %d files that were changed or added below %s are put beside the host's own, as NAME%s",
		differs, local.Files, p.Stack.Local, BesideSuffix)
	return nil
}

// otherStack says how the host's build of the stack differs from the snapshot's,
// "" if it is the same or there is none. It is the one the host has once this
// import has installed packages. The packages tell, every one that an import
// installs: two builds may have one version. Without a package database, or
// packages in the snapshot, the version has to do.
func (p *planner) otherStack(ctx context.Context) (string, error) {
	if len(p.plan.Packages.Install) == 0 && !p.Root.Exists(p.Stack.VersionFile) {
		return "", nil
	}
	wanted := slices.Clone(p.snapshot.Config.MissingPackages)
	for _, pkg := range p.snapshot.Config.Packages {
		if pkg.Install {
			wanted = append(wanted, pkg.NEVRA())
		}
	}
	have, err := p.stackPackages(ctx)
	if err != nil {
		return "", err
	}
	if len(have) == 0 || len(wanted) == 0 {
		return p.otherVersion(), nil
	}
	for _, nevra := range wanted {
		if !have[nevra] {
			return fmt.Sprintf("this %s is not the build of the snapshot, of which %s is not here", p.Stack.Title, nevra), nil
		}
	}
	return "", nil
}

// stackPackages are the full names of the stack's packages that the host has, or
// gets by this import.
func (p *planner) stackPackages(ctx context.Context) (map[string]bool, error) {
	have := map[string]bool{}
	installed, err := pkgmgr.InstalledOn(ctx, p.Root, p.TempDir)
	if err != nil && !errors.Is(err, pkgmgr.ErrNone) {
		return nil, err
	}
	for _, pkg := range installed {
		if p.Stack.Packages.Installs(pkg.Name) {
			have[pkg.NEVRA()] = true
		}
	}
	for _, pkg := range p.plan.Packages.Install {
		have[pkg.NEVRA()] = true
	}
	return have, nil
}

func (p *planner) otherVersion() string {
	have, want := installedVersion(p.Stack, p.Root), p.snapshot.Config.Stack.Version
	if have == want {
		return ""
	}
	const unknown = "of an unknown version"
	return fmt.Sprintf("%s %s is installed, the snapshot is of %s", p.Stack.Title, cmp.Or(have, unknown), cmp.Or(want, "one "+unknown))
}
