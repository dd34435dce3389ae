package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// PackageResult says what the package manager did, by full name.
type PackageResult struct {
	Installed int      `json:"installed"` // of the snapshot, exactly as it has them
	Extra     []string `json:"extra"`     // came along: what they need, from the host's repositories
	Gone      []string `json:"gone"`      // were there and are not
	Replaced  []string `json:"replaced"`  // were there in another version: "OLD -> NEW"
}

// placeRepository puts the packages on the host as a repository, and describes it
// to the package manager.
func (a *applier) placeRepository(ctx context.Context) error {
	if err := a.placeFiles(ctx, func(k artifact.Kind) bool { return k == artifact.KindPackages }); err != nil {
		return err
	}
	if a.plan.Packages.Definition == "" {
		return nil
	}
	def, err := a.manager.Definition(a.repository())
	if err != nil {
		return wrapPackages(err)
	}
	a.hadDefinition = a.Root.Exists(def.Path)
	now := artifact.Time{Sec: a.Now.Unix()}
	e := artifact.Entry{Path: strings.TrimPrefix(def.Path, "/"), Type: artifact.TypeFile, Mode: 0o644, MTime: now}
	return a.putBytes(def.Path, e, def.Content)
}

// installPackages has the package manager install from the repository.
func (a *applier) installPackages(ctx context.Context) error {
	if a.plan.Packages.Definition == "" {
		return nil
	}
	if a.installs() {
		a.Progress.Phase("installing packages", 0)
		if err := a.runManager(ctx); err != nil {
			return wrapPackages(err)
		}
	}
	if a.plan.Packages.Keep || a.hadDefinition {
		return nil
	}
	return a.removeIfThere(a.plan.Packages.Definition)
}

// packagesLog lies beside the journal and holds what the package manager said.
const packagesLog = "packages.log"

func (a *applier) runManager(ctx context.Context) (err error) {
	state, err := a.work.state()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	log, err := state.Create(packagesLog)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	// A transaction that has begun is let end: half of one is worse than waiting.
	whole := context.WithoutCancel(ctx)
	if err := a.manager.Install(whole, a.repository(), a.request(), log); err != nil {
		return err
	}
	after, err := a.manager.Installed(whole)
	if err != nil {
		return err
	}
	if err := replaceJSON(state, packagesAfter, after); err != nil {
		return err
	}
	a.result.Packages = packageResult(a.plan.Packages.Install, a.installedBefore, after)
	return ctx.Err()
}

// packageResult compares what was installed before and after wanted was.
func packageResult(wanted, before, after []artifact.Package) PackageResult {
	r := PackageResult{Extra: []string{}, Gone: []string{}, Replaced: []string{}}
	is := map[string]bool{} // a wanted package
	for _, p := range wanted {
		is[p.NEVRA()] = true
	}
	was, now := byNameArch(before), byNameArch(after)
	for _, p := range after {
		old := was[p.Name+"."+p.Arch]
		switch {
		case slices.Contains(old, p.NEVRA()):
			continue
		case is[p.NEVRA()]:
			r.Installed++
		case len(old) == 0:
			r.Extra = append(r.Extra, p.NEVRA())
		}
		if gone := without(old, now[p.Name+"."+p.Arch]); len(gone) > 0 {
			r.Replaced = append(r.Replaced, strings.Join(gone, ", ")+" -> "+p.NEVRA())
		}
	}
	for _, p := range before {
		if len(now[p.Name+"."+p.Arch]) == 0 {
			r.Gone = append(r.Gone, p.NEVRA())
		}
	}
	return r
}

// byNameArch returns full names by name and arch: of a kernel there may be several.
func byNameArch(all []artifact.Package) map[string][]string {
	m := map[string][]string{}
	for _, p := range all {
		m[p.Name+"."+p.Arch] = append(m[p.Name+"."+p.Arch], p.NEVRA())
	}
	return m
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

// compareAgain plans once more after packages were installed, because they may
// have made accounts and replaced files that were as the snapshot has them. The
// database is compared again in any case: xcatd writes to it when it is stopped.
func (a *applier) compareAgain(ctx context.Context) (err error) {
	if !a.installs() { // or they were there already when the import went on
		return a.compareDatabase(ctx)
	}
	accounts, err := host.ReadAccounts(a.Root)
	if err != nil {
		return err
	}
	a.owners.accounts = accounts
	a.commit.ownersChanged = true
	if a.goal != nil && a.goal.own == nil { // scripts may have made a database
		if err := a.ownDatabase(a.goal); err != nil {
			return err
		}
	}
	if a.saved, err = a.work.state(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.saved.Close()); a.saved = nil }()
	again := a.again()
	again.Skip = append([]artifact.Kind{artifact.KindPackages}, a.Skip...)
	for _, step := range []func(context.Context) error{again.accounts, again.files, again.mirrors, again.database} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	before, now := a.plan.files.states, again.plan.files.states
	if err := a.stager().stage(ctx, &again.plan.files, func(n int, s state) bool { return s.missing() && !before[n].missing() }); err != nil {
		return err
	}
	for _, f := range again.plan.Findings {
		if f.Code == CodeConflict { // the other checks were about the host before
			return fmt.Errorf("%w: %s", ErrBlocked, f.Message)
		}
	}
	if err := a.dropUnused(ctx, now); err != nil {
		return err
	}
	for _, p := range a.plan.Remove { // the repository was not compared again
		if strings.HasPrefix(p, RepositoryDir+"/") {
			again.plan.Remove = append(again.plan.Remove, p)
		}
	}
	a.plan.Remove, a.plan.Accounts = again.plan.Remove, again.plan.Accounts
	a.merging, a.plan.Merges, a.own = again.merging, again.plan.Merges, again.own
	return a.databaseAgain(ctx, again.plan.Database)
}

// again is a planner that looks at the host as it is now.
func (a *applier) again() *planner {
	return &planner{
		Options: a.Options, fetcher: a.fetcher, snapshot: a.snapshot, owners: a.owners, plan: &Plan{},
		need: map[uint64]*Space{}, mount: mountOf{root: a.Root}, places: a.places, goal: a.goal,
		theirs: a.theirs, stagedBytes: a.readStaged,
	}
}

// dropUnused takes over the states the entries have now, and removes what was
// staged for those that need no change any more: a package has brought the very
// same file. The repository has its states still.
func (a *applier) dropUnused(ctx context.Context, now []state) error {
	beside := besides{work: a.work}
	err := a.plan.files.each(ctx, func(n int, s state, e artifact.Entry) error {
		if e.Kind == artifact.KindPackages {
			now[n] = s
		}
		if !s.missing() || now[n].missing() || !hasSlot(e) || !e.IsFirst() {
			return nil
		}
		d, err := beside.of(a.target(e))
		if err != nil {
			return err
		}
		return d.Remove(stagedSlot(n, e))
	})
	a.plan.files.states = now
	return err
}
