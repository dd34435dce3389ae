package database

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/xcrate/xcrate/artifact"
)

// SQLiteTarget is a Target that builds the file of each table at a place of the
// caller's, who puts the files where they belong after Commit and has a journal
// for it. What there is at that other place is neither looked at nor touched: a
// table comes with the schema of its Shape, so it has no columns besides, and it
// can clear and drop only what it has built or was told of by Prepare.
type SQLiteTarget struct {
	path      func(table string) string
	shapes    map[string]Schema // nil before Prepare
	built     []string          // tables with a file, in the order they were built
	committed bool
}

// NewSQLiteTarget builds the file of a table at path(table), a path of this
// machine where there is no file yet.
func NewSQLiteTarget(path func(table string) string) *SQLiteTarget {
	return &SQLiteTarget{path: path}
}

// Engine implements Target.
func (*SQLiteTarget) Engine() Engine { return EngineSQLite }

// Prepare implements Target. It checks the schemas; files are made by Put.
func (t *SQLiteTarget) Prepare(_ context.Context, shapes []Shape) ([]string, error) {
	if t.shapes != nil {
		return nil, errors.New("database target: prepared twice")
	}
	prepared := map[string]Schema{}
	for _, shape := range shapes {
		if err := shape.Schema.Validate(); err != nil {
			return nil, err
		}
		prepared[shape.Schema.Table] = shape.Schema
	}
	t.shapes = prepared
	return nil, nil
}

// Put implements Target: see BuildSQLite. A second Put of a table replaces the
// first.
func (t *SQLiteTarget) Put(ctx context.Context, s Schema, csv io.Reader) (artifact.Table, error) {
	if _, ok := t.shapes[s.Table]; !ok {
		return artifact.Table{}, fmt.Errorf("table %q: was not prepared", s.Table)
	}
	return t.build(ctx, s, csv)
}

// Clear implements Target for a table that was prepared: it gets a file without
// rows.
func (t *SQLiteTarget) Clear(ctx context.Context, table string) error {
	s, ok := t.shapes[table]
	if !ok {
		return fmt.Errorf("table %q: was not prepared", table)
	}
	return t.buildEmpty(ctx, s)
}

func (t *SQLiteTarget) buildEmpty(ctx context.Context, s Schema) error {
	s.Classes = nil // of rows
	var header bytes.Buffer
	w, err := NewWriter(&header, s.Table, s.names())
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = t.build(ctx, s, &header)
	return err
}

func (t *SQLiteTarget) build(ctx context.Context, s Schema, csv io.Reader) (artifact.Table, error) {
	if err := t.unbuild(s.Table); err != nil {
		return artifact.Table{}, err
	}
	got, err := BuildSQLite(ctx, t.path(s.Table), s, csv)
	if err == nil {
		t.built = append(t.built, s.Table)
	}
	return got, err
}

// unbuild removes the file of a table that was built.
func (t *SQLiteTarget) unbuild(table string) error {
	i := slices.Index(t.built, table)
	if i < 0 {
		return nil
	}
	if err := os.Remove(t.path(table)); err != nil {
		return fmt.Errorf("table %q: %w", table, err)
	}
	t.built = slices.Delete(t.built, i, i+1)
	return nil
}

// Drop implements Target for a table that was built: its file goes again.
func (t *SQLiteTarget) Drop(_ context.Context, table string) error {
	if !slices.Contains(t.built, table) {
		return fmt.Errorf("table %q: was not built", table)
	}
	return t.unbuild(table)
}

// Commit implements Target: from now on the files, which are durable and were
// read back, are the caller's.
func (t *SQLiteTarget) Commit(context.Context) error {
	t.committed = true
	return nil
}

// Close implements Target: without Commit it removes what was built.
func (t *SQLiteTarget) Close() error {
	if t.committed {
		return nil
	}
	var errs []error
	for _, table := range slices.Clone(t.built) {
		errs = append(errs, t.unbuild(table))
	}
	return errors.Join(errs...)
}
