package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/service"
)

// commandsLog lies beside the journal and holds what commands of the stack said. It
// may show values of the database.
const commandsLog = "commands.log"

// commands plans which commands of the stack are run. What packages of this import
// bring counts as there.
func (p *planner) commands(context.Context) error {
	here, err := host.ReadFacts(p.Root)
	if err != nil {
		return err
	}
	p.plan.Commands = justified(p.Stack, commandFacts{
		source: p.snapshot.Config.Host, host: here, services: p.snapshot.Config.Services, leftOut: p.snapshot.Config.LeftOut,
		part:     !p.Wants(artifact.KindConfig) || !p.Wants(artifact.KindSecrets),
		exists:   func(at string) bool { return p.Root.Exists(at) || p.restores[at] || p.brings(at) },
		restored: func(at string) bool { return p.restores[at] },
	})
	return nil
}

// brings reports whether a package that this import installs brings path at, as far
// as its name tells: the discovery image has some for each architecture.
func (p *planner) brings(at string) bool {
	arch := path.Base(at)
	debian := map[string]string{"x86_64": "amd64", "ppc64": "ppc64el"}[arch]
	return slices.ContainsFunc(p.plan.Packages.Install, func(pkg artifact.Package) bool {
		name := strings.ToLower(pkg.Name)
		return strings.HasPrefix(name, "xcat-genesis-") && (strings.HasSuffix(name, "-"+arch) || debian != "" && strings.HasSuffix(name, "-"+debian))
	})
}

// noteRestored notes that a path is in the snapshot, where a command asks for it.
func (p *planner) noteRestored(at string) {
	dir := path.Dir(at)
	if _, asked := p.restores[at]; asked {
		p.restores[at] = true
	}
	if dir == p.noted { // most paths come after a neighbour
		return
	}
	for p.noted = dir; dir != "/"; dir = path.Dir(dir) {
		if _, asked := p.restores[dir]; asked {
			p.restores[dir] = true
		}
	}
}

// askedPaths are the paths that commands of the stack ask for, none noted yet.
func (p *planner) askedPaths() map[string]bool {
	asked := map[string]bool{}
	for _, c := range p.Stack.Commands {
		for _, at := range slices.Concat(c.Paths, c.Wants) {
			if !strings.Contains(at, "{") {
				asked[at] = false
			}
		}
	}
	return asked
}

// runCommands runs the commands of the plan. Those that are not to be run, or that
// failed, are left to the administrator.
func (a *applier) runCommands(ctx context.Context) (err error) {
	if len(a.plan.Commands) == 0 {
		return nil
	}
	a.Progress.Phase("commands", 0)
	state, err := a.work.state()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	log, err := state.Append(commandsLog)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	for _, c := range a.plan.Commands {
		a.runOne(ctx, c, log)
	}
	return nil
}

func (a *applier) runOne(ctx context.Context, c StackCommand, log io.Writer) {
	r := a.result.Report
	if c.Needs != "" && !service.Running(a.Root) {
		return // a daemon that is not there starts with what was restored
	}
	if c.Advice || a.NoStart || a.Standby || !service.Running(a.Root) {
		r.leave(c)
		return
	}
	err := a.ready(ctx, c)
	if err == nil {
		_, _ = fmt.Fprintf(log, "# %s\n", c.Command)
		err = runCommand(ctx, a.Runner, c, log)
	}
	one := CommandReport{Command: c.Command, Why: c.Why}
	if err != nil {
		one.Error = err.Error()
		r.leave(c)
	} else {
		r.ToDo = slices.DeleteFunc(r.ToDo, func(t ToDo) bool { return t.Command == c.Command })
	}
	r.Commands = append(r.Commands, one)
}

// ready keeps the files that c writes, and looks whether what it needs runs.
func (a *applier) ready(ctx context.Context, c StackCommand) error {
	if c.Needs != "" && service.Active(ctx, a.Root, a.Runner, c.Needs) != "active" {
		return fmt.Errorf("%s does not run", c.Needs)
	}
	g := guard{applier: a}
	for _, pattern := range c.writes {
		if err := g.pattern(pattern); err != nil {
			return fmt.Errorf("keeping %s: %w", pattern, err)
		}
	}
	return a.journal.sync()
}

// guard writes down, and keeps copies of, what a program is about to change.
type guard struct{ *applier }

func (g guard) pattern(pattern string) error {
	dir, name := path.Split(pattern)
	if name == "" {
		return g.tree(path.Clean(dir))
	}
	dir = path.Clean(dir)
	if !g.Root.Exists(dir) {
		return g.noteMade(dir)
	}
	names, err := g.names(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if ok, err := path.Match(name, n); err != nil || !ok {
			continue
		}
		if err := g.file(path.Join(dir, n)); err != nil {
			return err
		}
	}
	return nil
}

// tree guards everything in dir.
func (g guard) tree(dir string) error {
	st, err := g.Root.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return g.noteMade(dir)
	}
	if err != nil || !st.IsDir() {
		return err
	}
	names, err := g.names(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		p := path.Join(dir, n)
		st, err := g.Root.Lstat(p)
		switch {
		case err != nil:
			return err
		case st.IsDir():
			err = g.tree(p)
		default:
			err = g.file(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// names writes down the attributes of dir and what it holds, and returns that.
func (g guard) names(dir string) ([]string, error) {
	dir, err := g.Root.Resolve(dir)
	if err != nil {
		return nil, err
	}
	e, err := g.describe(dir)
	if err != nil {
		return nil, err
	}
	names, err := g.Root.Names(dir)
	if err != nil {
		return nil, err
	}
	r := record{Op: opNames, Path: rawPath(dir), Entry: &e}
	for _, n := range names {
		r.Trees = append(r.Trees, rawPath(n))
	}
	return names, g.journal.write(r)
}

// file keeps a copy of the regular file at p, which may be written in place.
func (g guard) file(p string) (err error) {
	p, err = g.Root.Resolve(p)
	if err != nil {
		return err
	}
	d, name, err := g.Root.OpenParent(p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	e, _, f, err := archive.Open(d, name, strings.TrimPrefix(p, "/"), noNames{})
	if err != nil {
		return ignoreMissing(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if e.Type != artifact.TypeFile {
		return nil
	}
	w, err := g.work.beside(p)
	if err != nil {
		return err
	}
	slot := g.work.slot()
	own := archive.Owner{UID: e.UID, GID: e.GID, AsIs: !isRoot()}
	if _, err := new(archive.Maker).Create(w.Dir, slot, e, own, io.NewSectionReader(f, 0, e.Size)); err != nil {
		return err
	}
	if err := w.SyncFS(); err != nil {
		return err
	}
	return g.journal.write(record{Op: opReplace, Path: rawPath(p), Work: rawPath(w.path), Slot: slot})
}

// names removes from directory p what r does not list, and gives it the attributes it
// had.
func (u *undoer) names(r record) error {
	d, err := u.Root.OpenDir(string(r.Path))
	if err != nil {
		return ignoreMissing(err)
	}
	names, err := d.Names()
	for _, n := range names {
		if err == nil && !slices.Contains(r.Trees, rawPath(n)) {
			err = d.RemoveAll(n)
		}
	}
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	r.Op = opAttr
	return u.name(r)
}
