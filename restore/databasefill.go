package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/dbserver"
	"github.com/xcrate/xcrate/internal/service"
)

// setUpServer has the host's database server run, with the user, the database and
// the doors the snapshot's cfgloc names.
func (a *applier) setUpServer(ctx context.Context) (err error) {
	if a.goal == nil || a.goal.to.Engine == database.EngineSQLite || !a.ours() {
		return nil
	}
	a.Progress.Phase("database server", 0)
	w, err := a.wantedServer()
	if err != nil {
		return err
	}
	if a.server, err = dbserver.Find(a.Root, a.Runner, a.goal.to.Engine); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	acts, err := openActs(a.work, a.journal, a.goal.to.Engine, a.past.server != "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, acts.close()) }()
	note := func(act dbserver.Act) error {
		if act.Kind == dbserver.ActCluster {
			a.result.SetUp = append(a.result.SetUp, act.What)
		}
		return errors.Join(acts.note(act), a.fault())
	}
	if err := a.unmaskServer(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if a.stopServer, err = a.server.Start(ctx, note); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	done, err := a.server.Ensure(ctx, w, note)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	a.result.SetUp = append(a.result.SetUp, done.Steps...)
	return nil
}

// unmaskServer lifts the mask that an import as a standby left on the server: it has to
// run for a while.
func (a *applier) unmaskServer(ctx context.Context) error {
	unit := a.server.Unit() + ".service"
	if _, state, err := service.State(a.Root, unit); err != nil || state != service.Masked || !service.Running(a.Root) {
		return nil //nolint:nilerr // of a unit that is not there nothing is masked
	}
	if err := a.setEnablement(ctx, unit, service.Unmasked); err != nil {
		return err
	}
	return service.Reload(ctx, a.Runner)
}

// fillServer replaces the tables on the server, all in one transaction where the
// engine can. What they held before lies beside the journal.
func (a *applier) fillServer(ctx context.Context) (err error) {
	t, err := a.prepareServer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	for _, want := range a.plan.Database.Restore {
		if err := errors.Join(ctx.Err(), a.fault()); err != nil {
			return err
		}
		if err := a.fillTable(ctx, t, want); err != nil {
			return err
		}
	}
	for _, name := range a.plan.Database.Remove {
		if err := t.Clear(ctx, name); err != nil {
			return err
		}
	}
	if err := a.fault(); err != nil {
		return err
	}
	return t.Commit(ctx)
}

// prepareServer keeps what the server holds, and opens it with the tables that are
// to be filled made.
func (a *applier) prepareServer(ctx context.Context) (_ database.Target, err error) {
	to := a.serverLogin()
	if err := a.keepTables(ctx, to); err != nil {
		return nil, fmt.Errorf("keeping what is there: %w", err)
	}
	if err := a.planFill(); err != nil {
		return nil, err
	}
	shapes, err := a.shapes(ctx)
	if err != nil {
		return nil, err
	}
	t, err := database.OpenTarget(ctx, to)
	if err != nil {
		return nil, err
	}
	if a.result.Prepared, err = t.Prepare(ctx, shapes); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// serverLogin is how this import reaches the server: as the stack will, or through
// the private socket of a server that runs for it alone.
func (a *applier) serverLogin() database.Location {
	if a.server == nil {
		return a.goal.to
	}
	return a.server.Login(a.goal.to)
}

// planFill plans the tables again, now that the server shows what it has.
func (a *applier) planFill() error {
	d := &a.plan.Database
	d.Restore, d.Remove, d.Keep, d.Same = []artifact.Table{}, []string{}, nil, 0
	findings := len(a.plan.Findings)
	a.compareTables(a.had)
	for _, f := range a.plan.Findings[findings:] {
		if f.Level == Block {
			return fmt.Errorf("%w: %s", ErrBlocked, f.Message)
		}
	}
	return nil
}

func (a *applier) shapes(ctx context.Context) ([]database.Shape, error) {
	shapes := []database.Shape{}
	for _, t := range a.plan.Database.Restore {
		shape, err := a.dump.Shape(ctx, t.Name)
		if err != nil {
			return nil, err
		}
		shapes = append(shapes, shape)
	}
	return shapes, nil
}

func (a *applier) fillTable(ctx context.Context, t database.Target, want artifact.Table) (err error) {
	s, err := a.dump.FullSchema(want.Name)
	if err != nil {
		return err
	}
	csv, err := a.dump.Open(want.Name)
	if err != nil {
		return fmt.Errorf("table %q: %w", want.Name, err)
	}
	defer func() { err = errors.Join(err, csv.Close()) }()
	got, err := t.Put(ctx, s, csv)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("table %q: the engine holds %d rows with digest %s, the snapshot has %d with %s", want.Name, got.Rows, got.Digest, want.Rows, want.Digest)
	}
	return nil
}

// openServer opens the database where it is now.
func (a *applier) openServer(ctx context.Context) (database.Source, func() error, error) {
	src, err := database.Open(ctx, a.serverLogin(), database.SQLiteOptions{})
	if err != nil {
		return nil, nil, err
	}
	return src, src.Close, nil
}

// serverUnit is the unit of the database server that is to run on here, "" for none.
func (a *applier) serverUnit() string {
	if a.server == nil || a.Standby || !service.Running(a.Root) {
		return ""
	}
	return a.server.Unit() + ".service"
}

// leaveServer ends a server that ran for the import alone, and on a standby the
// one of the host too.
func (a *applier) leaveServer(ctx context.Context) error {
	if a.stopServer == nil || service.Running(a.Root) && !a.Standby {
		return nil
	}
	stop := a.stopServer
	a.stopServer = nil
	err := stop(ctx)
	if unit := a.server.Unit() + ".service"; a.Standby && err == nil {
		err = a.setEnablement(ctx, unit, service.Masked)
		if !slices.Contains(a.result.Disabled, unit) {
			a.result.Disabled = append(a.result.Disabled, unit)
		}
	}
	return err
}
