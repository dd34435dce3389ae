package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// stagedDir is the directory beside the journal that holds the snapshot's tables
// during an import: a server reads them after packages were installed, and the
// medium may be gone by then.
const stagedDir = "database"

// stageDatabase unpacks the tables, verifies them, and builds what can be built
// before anything changes. All of them, also those that the host has: the stack
// writes on until it is stopped, and when it is.
func (a *applier) stageDatabase(ctx context.Context) error {
	if a.goal == nil {
		return nil
	}
	if err := a.unpackTables(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	for _, t := range a.snapshot.Config.Database.Tables {
		got, err := a.dump.Summarise(ctx, t.Name)
		if err != nil {
			return fmt.Errorf("database: %w", err)
		}
		if got != t {
			return fmt.Errorf("database: table %q: the layer holds %d rows, digest %s; the config says %d, %s", t.Name, got.Rows, got.Digest, t.Rows, t.Digest)
		}
	}
	if a.goal.to.Engine != database.EngineSQLite || a.ByStack {
		return nil
	}
	return a.buildTables(ctx, a.plan.Database.Restore)
}

// unpackTables copies the files of the database layer beside the journal.
func (a *applier) unpackTables(ctx context.Context) (err error) {
	state, err := a.work.state()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	if err := state.Mkdir(stagedDir, 0o700); err != nil {
		return err
	}
	if a.staged, err = state.OpenDir(stagedDir); err != nil {
		return err
	}
	schemas, files, err := a.unpackLayer(ctx, a.staged)
	if err != nil {
		return err
	}
	for _, t := range a.snapshot.Config.Database.Tables {
		if !slices.ContainsFunc(schemas, func(s database.Schema) bool { return s.Table == t.Name }) {
			return fmt.Errorf("table %q: no schema in %s", t.Name, artifact.SchemaFile)
		}
		if !files[t.Name] {
			return fmt.Errorf("table %q: in the config, not in the layer", t.Name)
		}
	}
	a.dump = database.NewFiles(a.goal.from, schemas, func(name string) (io.ReadCloser, error) { return a.staged.Open(name) })
	return a.staged.SyncFS()
}

// eachDatabaseFile calls fn for what the database layer holds, and verifies the
// layer to its end.
func (p *planner) eachDatabaseFile(ctx context.Context, fn func(artifact.Entry, io.Reader) error) (err error) {
	l, err := artifact.OpenLayer(ctx, p.fetcher, p.snapshot.Layers(artifact.KindDatabase)[0])
	if err != nil {
		return err
	}
	defer l.End(ctx, &err)
	for {
		e, r, err := l.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = fn(e, r)
		}
		if err != nil {
			return err
		}
	}
}

// tableOf is the table whose file e is, "" if it is none of the snapshot's.
func (p *planner) tableOf(e artifact.Entry) string {
	table, ok := strings.CutSuffix(strings.TrimPrefix(e.Path, artifact.TablesDir+"/"), ".csv")
	if !ok || !slices.ContainsFunc(p.snapshot.Config.Database.Tables, func(t artifact.Table) bool { return t.Name == table }) {
		return ""
	}
	return table
}

func (a *applier) unpackLayer(ctx context.Context, to *host.Dir) (schemas []database.Schema, files map[string]bool, err error) {
	files = map[string]bool{}
	err = a.eachDatabaseFile(ctx, func(e artifact.Entry, r io.Reader) (err error) {
		if e.Path == artifact.SchemaFile {
			schemas, err = readSchemas(r)
			return err
		}
		table := a.tableOf(e)
		if table == "" {
			return nil
		}
		files[table] = true
		if err := unpackFile(ctx, to, database.FileName(table), r); err != nil {
			return fmt.Errorf("table %q: %w", table, err)
		}
		return nil
	})
	return schemas, files, err
}

func unpackFile(ctx context.Context, to *host.Dir, name string, r io.Reader) (err error) {
	f, err := to.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, r)
	return errors.Join(err, ctx.Err())
}

const maxSchemas = 64 << 20

func readSchemas(r io.Reader) ([]database.Schema, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSchemas))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", artifact.SchemaFile, err)
	}
	list, err := database.ParseSchemas(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", artifact.SchemaFile, err)
	}
	return list, nil
}

// stagedTable is a database file that was built and read back.
type stagedTable struct {
	table artifact.Table
	slot  string
}

// buildTables builds a SQLite file for each of tables, in the work directory.
func (a *applier) buildTables(ctx context.Context, tables []artifact.Table) error {
	for _, t := range tables {
		if err := a.buildTable(ctx, t); err != nil {
			return fmt.Errorf("database: %w", err)
		}
	}
	return a.work.sync()
}

func (a *applier) buildTable(ctx context.Context, want artifact.Table) (err error) {
	schema, err := a.dump.FullSchema(want.Name)
	if err != nil {
		return err
	}
	csv, err := a.dump.Open(want.Name)
	if err != nil {
		return fmt.Errorf("table %q: %w", want.Name, err)
	}
	defer func() { err = errors.Join(err, csv.Close()) }()
	d, err := a.work.beside(a.tablePath(want.Name))
	if err != nil {
		return err
	}
	slot := a.work.slot()
	got, err := database.BuildSQLite(ctx, a.Root.Path(path.Join(d.Path(), slot)), schema, csv)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("table %q: built with %d rows, digest %s; the snapshot has %d, %s", want.Name, got.Rows, got.Digest, want.Rows, want.Digest)
	}
	a.tables = append(a.tables, stagedTable{table: want, slot: slot})
	return nil
}

// compareDatabase plans the tables again. Those on a server are looked at once it
// runs.
func (a *applier) compareDatabase(ctx context.Context) error {
	if a.goal == nil || a.goal.to.Engine != database.EngineSQLite {
		return nil
	}
	again := a.again()
	if err := again.database(ctx); err != nil {
		return err
	}
	return a.databaseAgain(ctx, again.plan.Database)
}

// databaseAgain is what is left to do about the database after packages were
// installed: again was planned then.
func (a *applier) databaseAgain(ctx context.Context, again DatabasePlan) error {
	var more []artifact.Table
	for _, t := range again.Restore {
		if !slices.Contains(a.plan.Database.Restore, t) {
			more = append(more, t)
		}
	}
	again.Restore = append(slices.Clone(a.plan.Database.Restore), more...)
	again.SetUp = a.plan.Database.SetUp
	a.plan.Database = again
	if len(more) == 0 || a.goal == nil || a.goal.to.Engine != database.EngineSQLite || a.ByStack {
		return nil
	}
	return a.buildTables(ctx, more)
}

// dropStaged removes the unpacked tables: they hold every password, and the
// database has them now.
func (a *applier) dropStaged() error {
	if a.staged == nil {
		return nil
	}
	state, err := a.work.state()
	if err != nil {
		return err
	}
	defer func() { _ = state.Close() }()
	return state.RemoveAll(stagedDir)
}

// closeDatabase closes the unpacked tables, and after a failure ends the server.
func (a *applier) closeDatabase(ctx context.Context, failed bool) (err error) {
	if failed && a.stopServer != nil {
		err = a.stopServer(ctx)
	}
	if a.staged != nil {
		err = errors.Join(err, a.staged.Close())
	}
	return err
}
