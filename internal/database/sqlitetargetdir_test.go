package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What the files beside a table's own are called: builtSuffix while it waits for
// Commit, asideSuffix what it replaced until Commit is done. Both begin with a
// dot, so that nobody takes them for tables.
const (
	builtSuffix = ".new"
	asideSuffix = ".old"
)

// sideSuffixes are the files SQLite may keep beside a database. Left there, the
// journal of an old database would be played into the new one.
func sideSuffixes() []string { return []string{"-journal", "-wal", "-shm"} }

// SQLiteDirTarget is how BuildSQLite takes part in the suite of the engines: a
// Target that replaces files TABLE.sqlite in a directory of this machine, where nobody may write meanwhile. A table comes with the schema
// of its Shape; that of the file it replaces, and columns only that one has, go
// with it.
//
// Commit is all or nothing for every error it meets. It cannot be for a crash in
// the middle of it, which leaves the old files it had put aside under hidden
// names: an import places the files that BuildSQLite makes under its journal.
type SQLiteDirTarget struct {
	SQLiteTarget

	dir    string
	drop   []string
	shaped []Schema // as prepared, in order
}

// NewSQLiteDirTarget replaces files in dir.
func NewSQLiteDirTarget(dir string) *SQLiteDirTarget {
	t := &SQLiteDirTarget{dir: dir}
	t.path = func(table string) string { return t.hidden(table+fileSuffix, builtSuffix) }
	return t
}

func (t *SQLiteDirTarget) hidden(name, suffix string) string {
	return filepath.Join(t.dir, "."+name+suffix)
}

func (t *SQLiteDirTarget) file(table string) string { return filepath.Join(t.dir, table+fileSuffix) }

// Prepare implements Target. What an earlier target that died was building is
// removed; what one that died in Commit put aside is an error, because it may be
// all that is left of a table.
func (t *SQLiteDirTarget) Prepare(ctx context.Context, shapes []Shape) ([]string, error) {
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return nil, fmt.Errorf("database directory: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(t.dir, e.Name())
		switch {
		case !strings.HasPrefix(e.Name(), ".") || !strings.Contains(e.Name(), fileSuffix):
		case strings.HasSuffix(e.Name(), asideSuffix):
			return nil, fmt.Errorf("database directory: %s: an interrupted restore put it aside", path)
		case strings.HasSuffix(e.Name(), builtSuffix):
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("database directory: %w", err)
			}
		}
	}
	for _, s := range shapes {
		t.shaped = append(t.shaped, s.Schema)
	}
	return t.SQLiteTarget.Prepare(ctx, shapes)
}

// Clear implements Target: the file gets one without rows and with the same
// schema in its place. A file that holds no table is left to xCAT, which fills it.
func (t *SQLiteDirTarget) Clear(ctx context.Context, table string) error {
	_, prepared := t.shapes[table]
	_, missing := os.Lstat(t.file(table))
	if slices.Contains(t.built, table) || prepared && errors.Is(missing, fs.ErrNotExist) {
		return t.SQLiteTarget.Clear(ctx, table)
	}
	f, err := openTable(ctx, t.file(table), table, SQLiteOptions{TempDir: t.dir}, defaultWait)
	if err != nil {
		return fmt.Errorf("table %q: %w", table, err)
	}
	err = f.inspect(ctx)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("table %q: %w", table, err)
	}
	if f.empty {
		return nil
	}
	return t.buildEmpty(ctx, f.schema)
}

// Drop implements Target.
func (t *SQLiteDirTarget) Drop(_ context.Context, table string) error {
	if err := t.unbuild(table); err != nil {
		return err
	}
	if _, err := os.Lstat(t.file(table)); err != nil {
		return fmt.Errorf("table %q: %w", table, err)
	}
	t.drop = append(t.drop, table)
	return nil
}

// Commit implements Target.
func (t *SQLiteDirTarget) Commit(ctx context.Context) error {
	if err := t.buildMissing(ctx); err != nil {
		return err
	}
	var m moves
	if err := t.place(&m); err != nil {
		return errors.Join(err, m.undo())
	}
	if err := syncPath(t.dir); err != nil {
		return errors.Join(err, m.undo())
	}
	t.committed = true
	for _, path := range m.aside {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("database directory: all tables are in place: %w", err)
		}
	}
	return nil
}

// buildMissing makes the tables that were prepared, are not in the directory and
// got no rows.
func (t *SQLiteDirTarget) buildMissing(ctx context.Context) error {
	for _, s := range t.shaped {
		if slices.Contains(t.built, s.Table) || slices.Contains(t.drop, s.Table) {
			continue
		}
		if _, err := os.Lstat(t.file(s.Table)); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("table %q: %w", s.Table, err)
		}
		if err := t.buildEmpty(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// place puts aside what is replaced and dropped, with what SQLite keeps beside,
// and what was built in its place.
func (t *SQLiteDirTarget) place(m *moves) error {
	tables := slices.Concat(t.built, t.drop)
	slices.Sort(tables)
	for _, table := range slices.Compact(tables) {
		for _, suffix := range append(sideSuffixes(), "") {
			name := table + fileSuffix + suffix
			if err := m.putAside(filepath.Join(t.dir, name), t.hidden(name, asideSuffix)); err != nil {
				return fmt.Errorf("table %q: %w", table, err)
			}
		}
		if !slices.Contains(t.built, table) {
			continue
		}
		if err := m.rename(t.path(table), t.file(table)); err != nil {
			return fmt.Errorf("table %q: %w", table, err)
		}
	}
	return nil
}

// moves are renames that can be taken back.
type moves struct {
	done  [][2]string
	aside []string
}

func (m *moves) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	m.done = append(m.done, [2]string{from, to})
	return nil
}

// putAside renames what is there, if anything is.
func (m *moves) putAside(from, to string) error {
	err := m.rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		m.aside = append(m.aside, to)
	}
	return err
}

func (m *moves) undo() error {
	var errs []error
	for _, move := range slices.Backward(m.done) {
		errs = append(errs, os.Rename(move[1], move[0]))
	}
	return errors.Join(errs...)
}
