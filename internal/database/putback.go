package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// PutBack makes the database at l what dump says: tables that dump has not are
// dropped. A database that is not there any more needs nothing.
func PutBack(ctx context.Context, l Location, dump *Files) (err error) {
	now, err := tablesAt(ctx, l)
	if errors.Is(err, ErrNoDatabase) {
		return nil
	}
	if err != nil {
		return err
	}
	shapes, err := Shapes(ctx, dump)
	if err != nil {
		return err
	}
	t, err := OpenTarget(ctx, l)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	if _, err := t.Prepare(ctx, shapes); err != nil {
		return err
	}
	for _, s := range shapes {
		if err := putBack(ctx, t, s.Schema, dump); err != nil {
			return err
		}
	}
	for _, table := range now {
		if slices.ContainsFunc(shapes, func(s Shape) bool { return s.Schema.Table == table }) {
			continue
		}
		if err := t.Drop(ctx, table); err != nil {
			return err
		}
	}
	return t.Commit(ctx)
}

func tablesAt(ctx context.Context, l Location) (_ []string, err error) {
	src, err := Open(ctx, l, SQLiteOptions{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	return src.Tables(ctx)
}

func putBack(ctx context.Context, t Target, s Schema, dump *Files) (err error) {
	want, err := dump.Summarise(ctx, s.Table)
	if err != nil {
		return err
	}
	csv, err := dump.Open(s.Table)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, csv.Close()) }()
	got, err := t.Put(ctx, s, csv)
	if err == nil && got != want {
		err = fmt.Errorf("table %q: %d rows with another digest than the %d there were", s.Table, got.Rows, want.Rows)
	}
	return err
}

// Shapes are the tables of dump and what their rows demand.
func Shapes(ctx context.Context, dump *Files) ([]Shape, error) {
	shapes := []Shape{}
	for _, s := range dump.schemas {
		shape, err := dump.Shape(ctx, s.Table)
		if err != nil {
			return nil, err
		}
		shapes = append(shapes, shape)
	}
	return shapes, nil
}

// Shape is one table of the dump and what its rows demand.
func (f *Files) Shape(ctx context.Context, table string) (shape Shape, err error) {
	s, err := f.find(table)
	if err != nil {
		return shape, err
	}
	csv, err := f.Open(table)
	if err != nil {
		return shape, fmt.Errorf("table %q: %w", table, err)
	}
	defer func() { err = errors.Join(err, csv.Close(), ctx.Err()) }()
	survey, err := SurveyCSV(io.Reader(csv), s)
	return Shape{Schema: s, Survey: survey}, err
}
