package database

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// Files is a Source over the files that Dump wrote. It holds one row in memory,
// and trusts none of them: rows that are not in the order a Source promises are
// an error of who compares.
type Files struct {
	engine  Engine
	schemas []Schema // with Classes, sorted by table
	open    func(name string) (io.ReadCloser, error)
}

// NewFiles returns the tables of schemas, which came from engine; open opens the
// file of this name (see FileName).
func NewFiles(engine Engine, schemas []Schema, open func(name string) (io.ReadCloser, error)) *Files {
	f := &Files{engine: engine, schemas: slices.Clone(schemas), open: open}
	slices.SortFunc(f.schemas, func(a, b Schema) int { return cmp.Compare(a.Table, b.Table) })
	return f
}

// Engine implements Source.
func (f *Files) Engine() Engine { return f.engine }

// Tables implements Source.
func (f *Files) Tables(context.Context) ([]string, error) {
	names := make([]string, len(f.schemas))
	for i, s := range f.schemas {
		names[i] = s.Table
	}
	return names, nil
}

func (f *Files) find(table string) (Schema, error) {
	i, found := slices.BinarySearchFunc(f.schemas, table, func(s Schema, t string) int { return strings.Compare(s.Table, t) })
	if !found {
		return Schema{}, fmt.Errorf("table %q: there is none", table)
	}
	return f.schemas[i], nil
}

// Schema implements Source.
func (f *Files) Schema(_ context.Context, table string) (Schema, error) {
	s, err := f.find(table)
	s.Classes = nil
	return s, err
}

// Open opens the CSV of table.
func (f *Files) Open(table string) (io.ReadCloser, error) { return f.open(FileName(table)) }

// Rows implements Source.
func (f *Files) Rows(ctx context.Context, table string, fn func([]Value) error) (err error) {
	s, err := f.find(table)
	if err != nil {
		return err
	}
	file, err := f.Open(table)
	if err != nil {
		return fmt.Errorf("table %q: %w", table, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return eachRow(ctx, file, s, func(_ int64, row []Value) error { return fn(row) })
}

// eachRow calls fn for each row of csv, which is a table of schema s, with its
// number, counted from 1, and its classes. An error of fn is returned as it is.
func eachRow(ctx context.Context, csv io.Reader, s Schema, fn func(n int64, row []Value) error) error {
	r, err := NewReader(csv, s.Table)
	if err != nil {
		return err
	}
	if !slices.Equal(r.columns, s.names()) {
		return fmt.Errorf("table %q: header: columns are not those of the schema, or in another order", s.Table)
	}
	runs := newRunReader(s)
	for {
		if r.row%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := runs.apply(r.row, row); err != nil {
			return fmt.Errorf("table %q: row %d: %w", s.Table, r.row, err)
		}
		if err := fn(r.row, row); err != nil {
			return err
		}
	}
	if err := runs.done(); err != nil {
		return fmt.Errorf("table %q: %w", s.Table, err)
	}
	return nil
}

// Count implements Source.
func (f *Files) Count(ctx context.Context, table string) (n int64, err error) {
	err = f.Rows(ctx, table, func([]Value) error { n++; return nil })
	return n, err
}

// Summarise counts the rows of one table and takes their digest.
func (f *Files) Summarise(ctx context.Context, table string) (artifact.Table, error) {
	s, err := f.find(table)
	if err != nil {
		return artifact.Table{}, err
	}
	return summarise(ctx, f, s)
}

// LeftOut implements Source.
func (*Files) LeftOut() []artifact.LeftOut { return nil }

// Close implements Source.
func (*Files) Close() error { return nil }
