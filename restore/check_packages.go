package restore

import (
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/pkgmgr"
)

// noteBuild notes old, a package of the stack, if it is of another build than pkg,
// which takes its place: nightly builds of xCAT share one version.
func (p *planner) noteBuild(old, pkg artifact.Package) {
	if p.Stack.Packages.Installs(pkg.Name) && old.Version == pkg.Version && old.Release != pkg.Release {
		p.checked.builds = append(p.checked.builds, old.NEVRA()+" for "+pkg.NEVRA())
	}
}

// checkBuild says which packages of the stack are here in another build of the
// same version.
func (p *planner) checkBuild() {
	if all := p.checked.builds; len(all) > 0 {
		p.find(codeStackBuild, Warn, "none needed: the packages of the snapshot take their place",
			"another build of the same version of %s is installed here: %s", p.Stack.Title, strings.Join(all, ", "))
	}
}

// checkRepositories says whether the repositories of the host gave what the
// packages need, as the package manager answered when it was asked for all of
// them.
func (p *planner) checkRepositories(r pkgmgr.Refusal) {
	if !r.Refused() {
		p.find(codeRepositories, Pass, "", "the repositories of this host have what the packages need of the distro")
		return
	}
	p.find(codeRepositories, Warn, "make the distro's repositories or media known to "+p.plan.Packages.Manager+", and see that they answer",
		"the repositories of this host do not have all that was asked for: %s", reason(r))
}

// checkAsked says why the repositories were not asked.
func (p *planner) checkAsked() {
	if !p.checked.asked {
		p.find(codeRepositories, Skip, "", "%s", p.whyNotAsked())
	}
}

// concerns tells whether a package matters to the plan: it is one of the
// snapshot's, or the stack's.
func (p *planner) concerns() func(name string) bool {
	names := map[string]bool{}
	for _, pkg := range p.snapshot.Config.Packages {
		names[pkg.Name] = pkg.Install || names[pkg.Name]
	}
	for _, pkg := range p.snapshot.Config.DistroPackages {
		names[pkg.Name] = true
	}
	return func(name string) bool { return names[name] || p.Stack.Packages.Installs(name) }
}
