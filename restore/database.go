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
	"github.com/xcrate/xcrate/internal/database"
)

// sqliteSuffixes are the files SQLite may keep beside a database. Left there,
// the journal of an old database would be played into the new one.
var sqliteSuffixes = []string{"-journal", "-wal", "-shm"}

// database compares the tables of the snapshot with those of the host.
func (p *planner) database(ctx context.Context) (err error) {
	p.plan.Database = DatabasePlan{Restore: []artifact.Table{}, Remove: []string{}}
	want := p.snapshot.Config.Database
	if !p.wants(artifact.KindDatabase) || len(p.snapshot.Layers(artifact.KindDatabase)) == 0 {
		return nil
	}
	if want.Engine != string(database.EngineSQLite) {
		return fmt.Errorf("database: engine %q: this version restores SQLite only", want.Engine)
	}
	if err := artifact.CheckPath(strings.TrimPrefix(want.Dir, "/")); err != nil {
		return fmt.Errorf("config: database: %w", err)
	}
	p.plan.Database.Engine, p.plan.Database.Dir = want.Engine, want.Dir
	have, err := p.hostTables(ctx, want.Dir)
	if err != nil && ctx.Err() == nil {
		// A broken database is what an import may be there to mend.
		p.find(CodeDatabase, Block, "mend it, or have all of it replaced; the broken files are kept",
			"the database in %s cannot be read: %v", p.Root.Path(want.Dir), err)
		have, err = p.hostFiles(want.Dir)
	}
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	for _, t := range want.Tables {
		if slices.Contains(have, t) {
			p.plan.Database.Same++
			continue
		}
		p.plan.Database.Restore = append(p.plan.Database.Restore, t)
	}
	for _, t := range have {
		if !slices.ContainsFunc(want.Tables, func(w artifact.Table) bool { return w.Name == t.Name }) {
			p.plan.Database.Remove = append(p.plan.Database.Remove, t.Name)
		}
		if nodes := t.Name == p.Stack.NodeTable && t.Rows > 0; nodes && !slices.Contains(want.Tables, t) {
			p.find(CodeNodes, Block, "give another root, or a host without managed nodes",
				"the database in %s has %d managed nodes of its own, which the snapshot's would replace", p.Root.Path(want.Dir), t.Rows)
		}
	}
	return p.databaseSpace()
}

// databaseSpace counts what the new files need: the CSV and its index, about
// three times the rows' bytes.
func (p *planner) databaseSpace() error {
	if len(p.plan.Database.Restore) == 0 {
		return nil
	}
	sum, _ := p.snapshot.Config.Kind(artifact.KindDatabase)
	return p.addNeed(path.Join(p.plan.Database.Dir, "x"), 3*sum.Bytes+int64(len(p.plan.Database.Restore))*16<<10)
}

// hostFiles lists the tables in dir by their files, none if there is no
// database. What they hold is not looked at.
func (p *planner) hostFiles(dir string) ([]artifact.Table, error) {
	names, err := p.Root.Names(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var tables []artifact.Table
	for _, n := range names {
		if table, ok := strings.CutSuffix(n, database.SQLiteSuffix); ok {
			tables = append(tables, artifact.Table{Name: table})
		}
	}
	return tables, err
}

// hostTables sums up the tables in dir, none if there is no database.
func (p *planner) hostTables(ctx context.Context, dir string) (_ []artifact.Table, err error) {
	files, err := p.hostFiles(dir)
	if err != nil || len(files) == 0 {
		return nil, err
	}
	resolved, err := p.Root.Resolve(dir)
	if err != nil {
		return nil, err
	}
	src, err := database.OpenSQLite(ctx, p.Root.Path(resolved), database.SQLiteOptions{TempDir: p.TempDir})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	return database.Summarise(ctx, src)
}

// stagedTable is a database file that was built and read back.
type stagedTable struct {
	table artifact.Table
	slot  string
}

// stageDatabase builds a file per table to be restored, and compares what it
// holds with what the config says of the source.
func (a *applier) stageDatabase(ctx context.Context) error {
	want := map[string]artifact.Table{}
	for _, t := range a.plan.Database.Restore {
		want[t.Name] = t
	}
	if len(want) == 0 {
		return nil
	}
	if err := a.buildTables(ctx, want); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if len(a.tables) != len(want) {
		return fmt.Errorf("database: %d tables of %d are in the layer", len(a.tables), len(want))
	}
	return a.work.sync()
}

func (a *applier) buildTables(ctx context.Context, want map[string]artifact.Table) (err error) {
	l, err := artifact.OpenLayer(ctx, a.fetcher, a.snapshot.Layers(artifact.KindDatabase)[0])
	if err != nil {
		return err
	}
	defer l.End(ctx, &err)
	schemas := map[string]database.Schema{}
	for {
		e, r, err := l.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e.Path == artifact.SchemaFile {
			if schemas, err = readSchemas(r); err != nil {
				return err
			}
			continue
		}
		name := strings.TrimSuffix(strings.TrimPrefix(e.Path, artifact.TablesDir+"/"), ".csv")
		t, ok := want[name]
		if !ok {
			continue
		}
		if err := a.buildTable(ctx, t, schemas, r); err != nil {
			return fmt.Errorf("table %q: %w", name, err)
		}
	}
}

const maxSchemas = 64 << 20

func readSchemas(r io.Reader) (map[string]database.Schema, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSchemas))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", artifact.SchemaFile, err)
	}
	list, err := database.ParseSchemas(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", artifact.SchemaFile, err)
	}
	byName := map[string]database.Schema{}
	for _, s := range list {
		byName[s.Table] = s
	}
	return byName, nil
}

func (a *applier) buildTable(ctx context.Context, want artifact.Table, schemas map[string]database.Schema, csv io.Reader) error {
	schema, ok := schemas[want.Name]
	if !ok {
		return fmt.Errorf("no schema in %s", artifact.SchemaFile)
	}
	p := a.tablePath(want.Name)
	d, err := a.work.beside(p)
	if err != nil {
		return err
	}
	slot := a.work.slot()
	got, err := database.BuildSQLite(ctx, a.Root.Path(path.Join(d.Path(), slot)), schema, csv)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("built with %d rows, digest %s; the snapshot has %d, %s", got.Rows, got.Digest, want.Rows, want.Digest)
	}
	a.tables = append(a.tables, stagedTable{table: want, slot: slot})
	return nil
}

// tablePath is the file of a table on the host.
func (a *applier) tablePath(name string) string {
	return path.Join(a.plan.Database.Dir, name+database.SQLiteSuffix)
}

// placeDatabase renames the built files into place. Journals of the files they
// replace go first, and tables the snapshot does not have go too.
func (a *applier) placeDatabase(ctx context.Context) error {
	gone := slices.Clone(a.plan.Database.Remove)
	for _, t := range a.tables {
		gone = append(gone, t.table.Name)
	}
	for _, name := range gone {
		for _, suffix := range sqliteSuffixes {
			if err := a.removeIfThere(a.tablePath(name) + suffix); err != nil {
				return err
			}
		}
	}
	for _, name := range a.plan.Database.Remove {
		if err := a.removeIfThere(a.tablePath(name)); err != nil {
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

// databaseAgain is what is left to do about the database after packages were
// installed: again was planned then.
func (a *applier) databaseAgain(ctx context.Context, again DatabasePlan) error {
	var more []artifact.Table
	for _, t := range again.Restore {
		if !slices.ContainsFunc(a.tables, func(s stagedTable) bool { return s.table == t }) {
			more = append(more, t)
		}
	}
	a.plan.Database.Remove = again.Remove
	if len(more) == 0 {
		return nil
	}
	built := len(a.tables)
	want := map[string]artifact.Table{}
	for _, t := range more {
		want[t.Name] = t
	}
	if err := a.buildTables(ctx, want); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if len(a.tables)-built != len(more) {
		return fmt.Errorf("database: %d tables of %d are in the layer", len(a.tables)-built, len(more))
	}
	a.plan.Database.Restore = append(a.plan.Database.Restore, more...)
	return a.work.sync()
}

// readBack reads every table from where it is now and compares it with the
// snapshot: nothing but the rows themselves proves that they are there.
func (a *applier) readBack(ctx context.Context) error {
	want := a.snapshot.Config.Database.Tables
	if a.plan.Database.Engine == "" {
		return nil
	}
	have, err := a.hostTables(ctx, a.plan.Database.Dir)
	if err != nil {
		return fmt.Errorf("database: reading back: %w", err)
	}
	for _, w := range want {
		i := slices.IndexFunc(have, func(t artifact.Table) bool { return t.Name == w.Name })
		switch {
		case i < 0:
			return fmt.Errorf("database: table %q: not there after the restore", w.Name)
		case have[i] != w:
			return fmt.Errorf("database: table %q: read back %d rows with digest %s, the snapshot has %d with %s",
				w.Name, have[i].Rows, have[i].Digest, w.Rows, w.Digest)
		}
	}
	if len(have) != len(want) {
		return fmt.Errorf("database: %d tables after the restore, the snapshot has %d", len(have), len(want))
	}
	a.result.Tables = len(want)
	return nil
}
