package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
)

// sqliteSuffixes are the files SQLite may keep beside a database. Left there,
// the journal of an old database would be played into the new one.
var sqliteSuffixes = []string{"-journal", "-wal", "-shm"}

// tablePath is the file of a table on the host.
func (a *applier) tablePath(name string) string {
	return path.Join(a.goal.to.Dir, name+database.SQLiteSuffix)
}

// placeDatabase puts the tables where they go.
func (a *applier) placeDatabase(ctx context.Context) error {
	if a.goal == nil {
		return nil
	}
	a.Progress.Phase("database", 0)
	place := a.placeSQLite
	switch {
	case a.ByStack:
		place = a.restoreByStack
	case a.goal.to.Engine != database.EngineSQLite:
		place = a.fillServer
	}
	if err := place(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return a.removeStale()
}

// placeSQLite renames the built files into place. Journals of the files they
// replace go first, and tables the snapshot does not have go too.
func (a *applier) placeSQLite(ctx context.Context) error {
	for _, t := range a.tables {
		if err := a.removeJournals(a.tablePath(t.table.Name)); err != nil {
			return err
		}
	}
	for _, name := range a.plan.Database.Remove {
		if err := a.removeTable(a.goal.to.Dir, name); err != nil {
			return err
		}
	}
	changes := make([]change, 0, len(a.tables))
	for _, t := range a.tables {
		p := a.tablePath(t.table.Name)
		e := artifact.Entry{
			Path: strings.TrimPrefix(p, "/"), Type: artifact.TypeFile, Mode: 0o600, User: "root", Group: "root",
			MTime: artifact.Time{Sec: a.Now.Unix()},
		}
		changes = append(changes, change{entry: e, path: p, slot: t.slot, plain: true})
	}
	return a.commit.commit(ctx, changes...)
}

func (a *applier) removeJournals(p string) error {
	for _, suffix := range sqliteSuffixes {
		if err := a.removeIfThere(p + suffix); err != nil {
			return err
		}
	}
	return nil
}

// removeTable removes the SQLite file of a table in dir and its journals.
func (a *applier) removeTable(dir, name string) error {
	p := path.Join(dir, name+database.SQLiteSuffix)
	return errors.Join(a.removeJournals(p), a.removeIfThere(p))
}

// removeStale removes the SQLite files of a host whose database is elsewhere now:
// without cfgloc xCAT would go on with them.
func (a *applier) removeStale() error {
	for _, name := range a.plan.Database.Stale {
		if err := a.removeTable(a.goal.own.Dir, name); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) removeIfThere(p string) error {
	_, err := a.Root.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return a.commit.remove(p)
}

// placeCfgloc tells the stack where its database is, once it is there.
func (a *applier) placeCfgloc(context.Context) error {
	switch a.plan.Database.Cfgloc {
	case cfglocRemove:
		return a.removeIfThere(database.Cfgloc)
	case cfglocWrite:
		e := artifact.Entry{
			Path: cfglocPath, Type: artifact.TypeFile, Mode: 0o600, User: "root", Group: "root", MTime: artifact.Time{Sec: a.Now.Unix()},
		}
		if s := a.goal.entry; s != nil && s.Size == int64(len(a.goal.cfgloc)) {
			e.MTime = s.MTime
		}
		return a.putBytes(database.Cfgloc, e, a.goal.cfgloc)
	}
	return nil
}

// maxShown is how many differences an error shows.
const maxShown = 10

// readBack reads every table from where it is now and compares it with the
// snapshot: nothing but the rows themselves proves that they are there.
func (a *applier) readBack(ctx context.Context) (err error) {
	if a.goal == nil {
		return nil
	}
	src, closeAll, err := a.openRestored(ctx)
	if err != nil {
		return fmt.Errorf("database: reading back: %w", err)
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	have, err := src.Tables(ctx)
	if err != nil {
		return fmt.Errorf("database: reading back: %w", err)
	}
	want := a.snapshot.Config.Database
	for _, w := range want.Tables {
		if !slices.Contains(have, w.Name) {
			return fmt.Errorf("database: table %q: not there after the restore", w.Name)
		}
		if err := a.readBackTable(ctx, src, w); err != nil {
			return fmt.Errorf("database: %w", err)
		}
	}
	if a.goal.to.Engine == database.EngineSQLite {
		for _, t := range have {
			if !slices.ContainsFunc(want.Tables, func(w artifact.Table) bool { return w.Name == t }) && !slices.Contains(a.plan.Database.Keep, t) &&
				!slices.ContainsFunc(want.LeftOut, func(l artifact.TableLeftOut) bool { return l.Name == t }) {
				return fmt.Errorf("database: table %q: there after the restore, not in the snapshot", t)
			}
		}
	}
	a.result.Tables = len(want.Tables)
	return nil
}

func (a *applier) readBackTable(ctx context.Context, src database.Source, want artifact.Table) error {
	got, err := database.SummariseColumns(ctx, src, want.Name, a.columnsOf(want.Name))
	if err != nil {
		return fmt.Errorf("reading back: %w", err)
	}
	if got == want {
		return nil
	}
	err = fmt.Errorf("table %q: read back %d rows with digest %s, the snapshot has %d with %s", want.Name, got.Rows, got.Digest, want.Rows, want.Digest)
	if a.dump == nil {
		return err
	}
	found, diffErr := database.CompareTable(ctx, a.dump, src, want.Name, maxShown)
	for _, d := range found {
		err = fmt.Errorf("%w\n%s", err, d.Named("snapshot", "host"))
	}
	return errors.Join(err, diffErr)
}

// columnsOf are the columns the snapshot has of a table, nil where it was not
// unpacked and the table is as it was.
func (a *applier) columnsOf(table string) []string {
	if a.dump == nil {
		return nil
	}
	s, err := a.dump.FullSchema(table)
	if err != nil {
		return nil
	}
	return s.Names()
}

// openRestored opens the database where it is now.
func (a *applier) openRestored(ctx context.Context) (database.Source, func() error, error) {
	if a.goal.to.Engine != database.EngineSQLite {
		return a.openServer(ctx)
	}
	src, err := a.openSQLite(ctx, a.goal.to.Dir)
	if err != nil {
		return nil, nil, err
	}
	return src, src.Close, nil
}
