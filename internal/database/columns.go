package database

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/xcrate/xcrate/artifact"
)

// Names lists the columns in schema order.
func (s Schema) Names() []string { return s.names() }

// FullSchema returns the schema of table with its Classes.
func (f *Files) FullSchema(table string) (Schema, error) { return f.find(table) }

// SummariseColumns counts the rows of table and takes the digest of just these
// columns; nil stands for all. A newer release of the stack may have added others.
func SummariseColumns(ctx context.Context, src Source, table string, columns []string) (artifact.Table, error) {
	s, err := src.Schema(ctx, table)
	if err != nil {
		return artifact.Table{}, err
	}
	if columns == nil || slices.Equal(columns, s.names()) {
		return summarise(ctx, src, s)
	}
	p := narrow{src, table, columns}
	if s, err = p.Schema(ctx, table); err != nil {
		return artifact.Table{}, err
	}
	return summarise(ctx, p, s)
}

// CompareTable returns the first differences, at most limit, of one table in two
// databases. Columns that only b has are not looked at.
func CompareTable(ctx context.Context, a, b Source, table string, limit int) ([]Difference, error) {
	s, err := a.Schema(ctx, table)
	if err != nil {
		return nil, err
	}
	c := &comparison{ctx: ctx, a: a, b: narrow{b, table, s.names()}, limit: limit}
	if err := c.table(table); !errors.Is(err, errEnough) {
		return c.found, err
	}
	return c.found, nil
}

// narrow is a source whose table has just these columns, in this order.
type narrow struct {
	Source
	table   string
	columns []string
}

// places are the columns' indexes in the source's schema.
func (n narrow) places(ctx context.Context) (s Schema, at []int, err error) {
	s, err = n.Source.Schema(ctx, n.table)
	if err != nil {
		return s, nil, err
	}
	for _, name := range n.columns {
		i := slices.Index(s.names(), name)
		if i < 0 {
			return s, nil, fmt.Errorf("table %q: column %q: is not there", n.table, name)
		}
		at = append(at, i)
	}
	return s, at, nil
}

// Schema implements Source.
func (n narrow) Schema(ctx context.Context, _ string) (Schema, error) {
	s, at, err := n.places(ctx)
	if err != nil {
		return s, err
	}
	all := s.Columns
	s.Columns = nil
	for _, i := range at {
		s.Columns = append(s.Columns, all[i])
	}
	return s, nil
}

// Rows implements Source.
func (n narrow) Rows(ctx context.Context, table string, fn func([]Value) error) error {
	_, at, err := n.places(ctx)
	if err != nil {
		return err
	}
	row := make([]Value, len(at))
	return n.Source.Rows(ctx, table, func(all []Value) error {
		for i, from := range at {
			row[i] = all[from]
		}
		return fn(row)
	})
}

// Named is String with names for the two databases that were compared.
func (d Difference) Named(first, second string) string {
	named := d
	for _, kind := range []string{"row ", "table "} {
		switch d.What {
		case kind + onlyFirst:
			named.What = kind + "only in the " + first
		case kind + onlySecond:
			named.What = kind + "only in the " + second
		}
	}
	return named.String()
}
