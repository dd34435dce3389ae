package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// BuildSQLite makes the SQLite file of one table at path, from its schema and
// its rows as csv. There must be no file at path; its directory must exist.
// The file has mode 0600 from the first moment on. It is read back when it is
// durable: what is returned are the rows the file holds and their digest, to
// be compared with what the snapshot says.
//
// csv has the schema's columns in the schema's order. The schema may come from
// a stranger: SQL that is more than one table and its indexes is refused. On an
// error no file is left behind.
func BuildSQLite(ctx context.Context, path string, s Schema, csv io.Reader) (t artifact.Table, err error) {
	if err := s.Validate(); err != nil {
		return t, err
	}
	// Made here for its mode: SQLite takes a file without content for new.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return t, fmt.Errorf("table %q: %w", s.Table, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil { // a umask may have taken bits
		return t, fmt.Errorf("table %q: %w", s.Table, err)
	}
	rows, err := fill(ctx, path, s, csv)
	if err != nil {
		return t, err
	}
	if err := syncFile(path); err != nil {
		return t, fmt.Errorf("table %q: %w", s.Table, err)
	}
	t, err = readBack(ctx, path, s)
	if err != nil {
		return artifact.Table{}, fmt.Errorf("table %q: read back: %w", s.Table, err)
	}
	if t.Rows != rows {
		return artifact.Table{}, fmt.Errorf("table %q: read back: %d rows of %d", s.Table, t.Rows, rows)
	}
	return t, nil
}

// fill creates the table and stores the rows. There is no journal on disk: a
// file that was not finished is removed, not recovered.
func fill(ctx context.Context, path string, s Schema, csv io.Reader) (rows int64, err error) {
	r, err := newSchemaReader(csv, s)
	if err != nil {
		return 0, err
	}
	c, err := connect(ctx, path, "rw", 0)
	if err != nil {
		return 0, fmt.Errorf("table %q: %w", s.Table, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.create(ctx, s); err != nil {
		return 0, fmt.Errorf("table %q: create: %w", s.Table, err)
	}
	if rows, err = c.insert(ctx, s, r); err != nil {
		return 0, err
	}
	if err := c.finish(ctx, s); err != nil {
		return 0, fmt.Errorf("table %q: %w", s.Table, err)
	}
	return rows, nil
}

// create prepares the empty database and makes the table, in a transaction
// that stays open.
func (c *connection) create(ctx context.Context, s Schema) error {
	f := SQLiteFacts{SQL: createStatement(s)}
	if s.SQLite != nil {
		f = *s.SQLite
	}
	encoding, page := f.Encoding, f.PageSize
	if encoding == "" {
		encoding = defaultCoding
	}
	if page == 0 {
		page = defaultPage
	}
	for _, statement := range []string{
		"PRAGMA encoding = '" + encoding + "'",
		"PRAGMA page_size = " + strconv.Itoa(page),
		"PRAGMA auto_vacuum = " + strconv.Itoa(f.AutoVacuum),
		"PRAGMA journal_mode = MEMORY",
		"PRAGMA synchronous = OFF", // syncFile does it, once
		"PRAGMA trusted_schema = OFF",
	} {
		if err := c.run(ctx, statement); err != nil {
			return err
		}
	}
	if err := errors.Join(c.limit(), c.guard(s.Table)); err != nil {
		return err
	}
	statements := append([]string{
		"BEGIN IMMEDIATE",
		"PRAGMA user_version = " + strconv.FormatInt(int64(f.UserVersion), 10),
		"PRAGMA application_id = " + strconv.FormatInt(int64(f.ApplicationID), 10),
		f.SQL,
	}, f.Indexes...)
	for _, statement := range statements {
		if err := c.run(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// createStatement is for a table of another engine: xCAT's own choice of types
// for SQLite (Table.pm, buildcreatestmt).
func createStatement(s Schema) string {
	var parts, keys []string
	for _, at := range s.order() {
		if s.Columns[at].Key > 0 {
			keys = append(keys, s.Columns[at].Name)
		}
	}
	for _, col := range s.Columns {
		typ := "TEXT"
		switch {
		case affinityOf(col.Type) == affinityInteger:
			typ = "INTEGER"
		case col.Key > 0:
			typ = "VARCHAR(128)"
		}
		part := quoteName(col.Name) + " " + typ
		if col.NotNull {
			part += " NOT NULL"
		}
		if col.Auto && col.Key == 1 && len(keys) == 1 {
			part = quoteName(col.Name) + " INTEGER PRIMARY KEY AUTOINCREMENT"
			keys = nil
		}
		parts = append(parts, part)
	}
	if len(keys) > 0 {
		parts = append(parts, "PRIMARY KEY ("+quoteNames(keys)+")")
	}
	return "CREATE TABLE " + quoteName(s.Table) + " (" + strings.Join(parts, ", ") + ")"
}

func (c *connection) insert(ctx context.Context, s Schema, r *Reader) (int64, error) {
	marks := strings.TrimSuffix(strings.Repeat("?,", len(s.Columns)), ",")
	statement, err := c.PrepareContext(ctx, "INSERT INTO main."+quoteName(s.Table)+" VALUES ("+marks+")")
	if err != nil {
		return 0, fmt.Errorf("table %q: %w", s.Table, sqliteError(err))
	}
	defer func() { _ = statement.Close() }()
	runs, args := newRunReader(s), make([]any, len(s.Columns))
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		if err = runs.apply(r.row, row); err == nil {
			err = bindRow(args, row)
		}
		if err == nil {
			_, err = statement.ExecContext(ctx, args...)
		}
		if err != nil {
			return 0, fmt.Errorf("table %q: row %d: %w", s.Table, r.row, sqliteError(err))
		}
	}
	if err := runs.done(); err != nil {
		return 0, fmt.Errorf("table %q: %w", s.Table, err)
	}
	return r.row, nil
}

// bindRow gives each value the type SQLite stores it by.
func bindRow(args []any, row []Value) (err error) {
	for i, v := range row {
		switch {
		case v.Null:
			args[i] = nil
		case v.Class == ClassBlob:
			args[i] = []byte(v.Text)
		case v.Class == ClassInteger:
			args[i], err = strconv.ParseInt(v.Text, 10, 64)
		case v.Class == ClassReal:
			args[i], err = parseReal(v.Text)
		default:
			args[i] = v.Text
		}
		if err != nil {
			return fmt.Errorf("column %d: not a number of class %s", i+1, v.Class)
		}
	}
	return nil
}

// parseReal reads what formatReal writes: out of range is an infinity.
func parseReal(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if errors.Is(err, strconv.ErrRange) {
		return f, nil
	}
	return f, err
}

// finish sets the sequence, commits and checks what is in the file now.
func (c *connection) finish(ctx context.Context, s Schema) error {
	if slices.ContainsFunc(s.Columns, func(col Column) bool { return col.Auto }) {
		if err := c.setSequence(ctx, s); err != nil {
			return fmt.Errorf("sequence: %w", err)
		}
	}
	if err := c.run(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	found, err := c.list(ctx, "PRAGMA main.integrity_check(3)")
	if err != nil {
		return fmt.Errorf("integrity_check: %w", err)
	}
	if len(found) != 1 || found[0] != "ok" {
		return fmt.Errorf("integrity_check: %s", strings.Join(found, "; "))
	}
	return nil
}

func (c *connection) setSequence(ctx context.Context, s Schema) error {
	if _, err := c.ExecContext(ctx, "DELETE FROM main.sqlite_sequence WHERE name = ?", s.Table); err != nil {
		return sqliteError(err)
	}
	if s.Sequence == nil {
		return nil
	}
	_, err := c.ExecContext(ctx, "INSERT INTO main.sqlite_sequence (name, seq) VALUES (?, ?)", s.Table, *s.Sequence)
	return sqliteError(err)
}

// readBack opens the finished file as any reader would, compares its schema
// with the wanted one and sums up its rows.
func readBack(ctx context.Context, path string, s Schema) (t artifact.Table, err error) {
	f, err := openTable(ctx, path, s.Table, SQLiteOptions{}, 0)
	if err != nil {
		return t, err
	}
	src := &SQLite{files: []*tableFile{f}}
	defer func() { err = errors.Join(err, src.Close()) }()
	if err := f.inspect(ctx); err != nil {
		return t, err
	}
	got, want := f.schema, s
	want.Classes = nil
	if s.SQLite == nil { // the types are SQLite's now; names, order and key are not
		want = Schema{Table: s.Table, Columns: slices.Clone(s.Columns), Sequence: s.Sequence, SQLite: got.SQLite}
		for i := range min(len(want.Columns), len(got.Columns)) {
			want.Columns[i].Type, want.Columns[i].NotNull = got.Columns[i].Type, got.Columns[i].NotNull
		}
	}
	if len(f.others) > 0 || !reflect.DeepEqual(got, want) {
		return t, errors.New("the file's schema is not what was asked for")
	}
	return summarise(ctx, src, got)
}

// syncFile makes a closed file and its name durable.
func syncFile(path string) error { return errors.Join(syncPath(path), syncPath(filepath.Dir(path))) }

// syncPath makes a file durable, or the names in a directory.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}
