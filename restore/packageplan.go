package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/dbserver"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/pkgmgr"
)

// PackagePlan says what the package manager would do.
type PackagePlan struct {
	Manager   string             `json:"manager"` // "" where none can act on the root
	Install   []artifact.Package `json:"install"`
	Installed int                `json:"installed"` // wanted and already there
	// Replace are packages of Install that are there in another version.
	Replace []Replacement `json:"replace,omitempty"`
	// Names are packages of the distro that the source had and the host lacks: they
	// come in any version, from the host's own repositories.
	Names []string `json:"names,omitempty"`
	// Signed counts those of Install whose signature the manager checks, against
	// keys of the snapshot.
	Signed int `json:"signed"`
	// Definition is the file that describes the repository to the manager, "" where
	// there is none. With Keep it stays after the import.
	Definition string `json:"definition,omitempty"`
	Keep       bool   `json:"keep_definition,omitempty"`
}

// Replacement is a package that is there in another version.
type Replacement struct {
	From string `json:"from"` // full names
	To   string `json:"to"`
}

// packages asks the host's package manager what is there, and whether it could
// install the rest.
func (p *planner) packages(ctx context.Context) error {
	p.plan.Packages.Install = []artifact.Package{}
	if !p.Wants(artifact.KindPackages) || len(p.snapshot.Layers(artifact.KindPackages)) == 0 {
		return nil
	}
	var wanted []artifact.Package
	for _, pkg := range p.snapshot.Config.Packages {
		if pkg.Install {
			wanted = append(wanted, pkg)
		}
	}
	manager, err := p.findManager(ctx)
	if errors.Is(err, pkgmgr.ErrNone) {
		p.find("packages-staged", Warn, "", "no package manager can act on %s: %d packages are put into its %s and not installed",
			p.Root.Dir(), len(wanted), RepositoryDir)
		return nil
	}
	if err != nil {
		return fmt.Errorf("packages: %w", err)
	}
	if i := slices.IndexFunc(wanted, func(pkg artifact.Package) bool { return pkgmgr.FormatOf(pkg) != manager.Format() }); i >= 0 {
		p.find("packages-staged", Warn, "", "%s installs no %s: %d packages are put into %s and not installed",
			manager.Name(), wanted[i].File, len(wanted), p.Root.Path(RepositoryDir))
		return nil
	}
	p.manager, p.plan.Packages.Manager = manager, manager.Name()
	have, err := manager.Installed(ctx)
	if err != nil {
		return fmt.Errorf("packages: %w", err)
	}
	p.compareInstalled(wanted, have)
	p.facts.packages(have, p.concerns())
	return p.repositoryPlan(ctx)
}

// compareInstalled says what of wanted the host has, and in which version.
func (p *planner) compareInstalled(wanted, have []artifact.Package) {
	exact, names, other := map[string]bool{}, map[string]bool{}, map[string]artifact.Package{}
	for _, pkg := range have {
		exact[pkg.NEVRA()], names[pkg.Name], other[pkg.Name+"."+pkg.Arch] = true, true, pkg
	}
	plan := &p.plan.Packages
	var newer []string
	for _, pkg := range wanted {
		if exact[pkg.NEVRA()] {
			plan.Installed++
			continue
		}
		plan.Install = append(plan.Install, pkg)
		if old, ok := other[pkg.Name+"."+pkg.Arch]; ok {
			plan.Replace = append(plan.Replace, Replacement{From: old.NEVRA(), To: pkg.NEVRA()})
			old.File = pkg.File // the rules of comparison are the format's
			if pkgmgr.CompareEVR(old, pkg) > 0 {
				newer = append(newer, old.NEVRA())
			}
			p.noteBuild(old, pkg)
		}
	}
	if len(newer) > 0 {
		p.find(CodeNewerPackages, Block, "start from a fresh install, or have the older ones put in their place",
			"newer than in the snapshot: %s", strings.Join(newer, ", "))
	}
	byName := p.serverPackages()
	for _, pkg := range p.snapshot.Config.DistroPackages {
		byName = append(byName, pkg.Name)
	}
	for _, name := range byName {
		if !names[name] && !slices.Contains(plan.Names, name) {
			plan.Names = append(plan.Names, name)
		}
	}
}

// serverPackages are those of the database server an import changes to. The
// snapshot lists that of the source.
func (p *planner) serverPackages() []string {
	if p.Engine == "" || string(p.Engine) == p.snapshot.Config.Database.Engine || !p.Wants(artifact.KindDatabase) {
		return nil
	}
	facts, err := host.ReadFacts(p.Root)
	if err != nil {
		return nil // said where the distro is checked
	}
	return dbserver.Packages(facts.Distro, p.Engine)
}

// repositoryPlan decides how the repository is made known to the manager, and has
// it say whether it could install from there.
func (p *planner) repositoryPlan(ctx context.Context) error {
	plan := &p.plan.Packages
	plan.Keep = p.KeepRepository
	if len(plan.Install) == 0 && len(plan.Names) == 0 && !plan.Keep {
		return nil
	}
	repo := p.repository()
	unsigned := map[string]bool{}
	for _, name := range repo.Unsigned {
		unsigned[name] = true
	}
	for _, pkg := range plan.Install {
		if len(repo.Keys) > 0 && !unsigned[pkg.Name] {
			plan.Signed++
		}
	}
	def, err := p.manager.Definition(repo)
	if err != nil {
		return fmt.Errorf("packages: %w", err)
	}
	plan.Definition = def.Path
	nothing := len(plan.Install) == 0 && len(plan.Names) == 0
	if nothing {
		if b, err := p.Root.ReadFile(def.Path, 1<<20); err == nil && bytes.Equal(b, def.Content) {
			plan.Definition = ""
		}
		return nil
	}
	if n := len(plan.Install) - plan.Signed; plan.Signed > 0 && n > 0 {
		p.find("packages-unsigned", Warn, "", "%d of the %d packages to install are signed by no key of the source: the snapshot's digests alone vouch for them",
			n, len(plan.Install))
	}
	if !isRoot() {
		return nil
	}
	return p.checkDependencies(ctx, repo)
}

// repository is the snapshot's, as the manager gets it. A name of which one
// package is not signed counts as unsigned.
func (p *planner) repository() pkgmgr.Repo {
	repo := pkgmgr.Repo{Dir: RepositoryDir}
	known := map[string]bool{}
	for _, k := range p.snapshot.Config.PackageKeys {
		repo.Keys = append(repo.Keys, k.File)
		known[k.ID] = true
	}
	if len(repo.Keys) == 0 {
		return repo
	}
	for _, pkg := range p.snapshot.Config.Packages {
		signed := pkg.Signature == string(pkgmgr.Verified) && known[pkg.KeyID]
		if !signed && !slices.Contains(repo.Unsigned, pkg.Name) {
			repo.Unsigned = append(repo.Unsigned, pkg.Name)
		}
	}
	return repo
}

// checkDependencies has the manager try the transaction without carrying it out.
// Packages of the distro that are not to be had are a warning: without them the
// stack works, if not in every way it did.
func (p *planner) checkDependencies(ctx context.Context, repo pkgmgr.Repo) (err error) {
	p.Progress.Phase("checking dependencies", 0)
	var remove func() error
	if repo.Dir, remove, err = p.metadata(ctx); err != nil {
		return fmt.Errorf("metadata of the packages: %w", err)
	}
	defer func() { err = errors.Join(err, remove()) }()
	plan := &p.plan.Packages
	refusal, err := p.manager.Check(ctx, repo, p.request())
	if err != nil {
		return wrapPackages(err)
	}
	p.checked.asked = true
	p.checkRepositories(refusal)
	if !refusal.Refused() {
		return nil
	}
	if len(plan.Names) > 0 {
		names := plan.Names
		plan.Names = nil
		if without, err := p.manager.Check(ctx, repo, p.request()); err != nil || !without.Refused() {
			p.find("distro-packages", Warn, "make the distro's repositories or media known to "+plan.Manager+", then: "+plan.Manager+" install "+strings.Join(names, " "),
				"the source had packages of the distro that are not to be had here: %s (%s)", strings.Join(names, ", "), reason(refusal))
			return wrapPackages(err)
		}
		plan.Names = names
	}
	p.find(CodeDependencies, Block, "make the distro's repositories or media known to "+plan.Manager+", or install what is missing",
		"%s would not install the packages: %s", plan.Manager, reason(refusal))
	return nil
}

func wrapPackages(err error) error {
	if err != nil {
		return fmt.Errorf("packages: %w", err)
	}
	return nil
}

// request is what the manager is asked for.
func (p *planner) request() pkgmgr.Request {
	return pkgmgr.Request{Packages: p.plan.Packages.Install, Names: p.plan.Packages.Names}
}

func reason(r pkgmgr.Refusal) string {
	if len(r.Missing) > 0 {
		return "nothing provides " + strings.Join(r.Missing, "; ")
	}
	return r.Says
}
