package database

import (
	"context"
	"fmt"
)

// Without is src but for the tables for which leave is true.
func Without(src Source, leave func(table string) bool) Source { return without{src, leave} }

type without struct {
	Source
	leave func(table string) bool
}

// Tables implements Source.
func (w without) Tables(ctx context.Context) ([]string, error) {
	all, err := w.Source.Tables(ctx)
	var tables []string
	for _, t := range all {
		if !w.leave(t) {
			tables = append(tables, t)
		}
	}
	return tables, err
}

// Schema implements Source.
func (w without) Schema(ctx context.Context, table string) (Schema, error) {
	if w.leave(table) {
		return Schema{}, fmt.Errorf("table %q: is left out", table)
	}
	return w.Source.Schema(ctx, table)
}

// Rows implements Source.
func (w without) Rows(ctx context.Context, table string, fn func([]Value) error) error {
	if w.leave(table) {
		return fmt.Errorf("table %q: is left out", table)
	}
	return w.Source.Rows(ctx, table, fn)
}
