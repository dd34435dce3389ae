package database

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Difference is one thing two databases differ in. It names the place and never
// shows what stands there: that may be a password.
type Difference struct {
	Table string
	// Key are the names and values of the row's key columns, as "node=n1". A
	// value that may be secret is left out. Without a key it is empty.
	Key []string
	// Column is "" where the difference is a whole row or table.
	Column string
	What   string // "value differs", "row only in the first", ...
}

// String is the difference as one line.
func (d Difference) String() string {
	s := "table " + strconv.Quote(d.Table)
	if len(d.Key) > 0 {
		s += ": row " + strings.Join(d.Key, " ")
	}
	if d.Column != "" {
		s += ": column " + strconv.Quote(d.Column)
	}
	return s + ": " + d.What
}

const (
	onlyFirst  = "only in the first"
	onlySecond = "only in the second"
)

// errEnough ends a comparison at its limit.
var errEnough = errors.New("enough differences")

// Compare returns the first differences between two databases, at most limit,
// by table and row. It holds one row of each in memory.
func Compare(ctx context.Context, a, b Source, limit int) ([]Difference, error) {
	c := &comparison{ctx: ctx, a: a, b: b, limit: limit}
	err := c.tables()
	if errors.Is(err, errEnough) {
		err = nil
	}
	return c.found, err
}

type comparison struct {
	ctx   context.Context
	a, b  Source
	limit int
	found []Difference
}

func (c *comparison) add(d Difference) error {
	if len(c.found) < c.limit {
		c.found = append(c.found, d)
	}
	if len(c.found) >= c.limit {
		return errEnough
	}
	return nil
}

func (c *comparison) tables() error {
	inA, err := c.a.Tables(c.ctx)
	if err != nil {
		return err
	}
	inB, err := c.b.Tables(c.ctx)
	if err != nil {
		return err
	}
	all := slices.Concat(inA, inB)
	slices.Sort(all)
	for _, t := range slices.Compact(all) {
		switch {
		case !slices.Contains(inB, t):
			err = c.add(Difference{Table: t, What: "table " + onlyFirst})
		case !slices.Contains(inA, t):
			err = c.add(Difference{Table: t, What: "table " + onlySecond})
		default:
			err = c.table(t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) table(table string) error {
	a, err := c.a.Schema(c.ctx, table)
	if err != nil {
		return err
	}
	b, err := c.b.Schema(c.ctx, table)
	if err != nil {
		return err
	}
	if !slices.Equal(a.names(), b.names()) || !slices.Equal(a.order(), b.order()) {
		return c.add(Difference{Table: table, What: "columns or key differ"})
	}
	return c.rows(newRowOrder(a))
}

// rows walks both tables side by side, which their common order allows.
func (c *comparison) rows(o rowOrder) error {
	nextA, stopA := o.pull(c.ctx, c.a)
	defer stopA()
	nextB, stopB := o.pull(c.ctx, c.b)
	defer stopB()
	rowA, err := nextA()
	if err != nil {
		return err
	}
	rowB, err := nextB()
	if err != nil {
		return err
	}
	for rowA != nil || rowB != nil {
		side := o.compare(rowA, rowB, o.match)
		switch {
		case side < 0:
			err = c.add(o.difference(rowA, "row "+onlyFirst))
		case side > 0:
			err = c.add(o.difference(rowB, "row "+onlySecond))
		default:
			err = c.values(o, rowA, rowB)
		}
		if err == nil && side <= 0 {
			rowA, err = nextA()
		}
		if err == nil && side >= 0 {
			rowB, err = nextB()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) values(o rowOrder, a, b []Value) error {
	for i, v := range a {
		if v == b[i] {
			continue
		}
		d := o.difference(a, "value differs")
		d.Column = o.schema.Columns[i].Name
		if err := c.add(d); err != nil {
			return err
		}
	}
	return nil
}

// rowOrder is the order Source.Rows gives the rows of a table.
type rowOrder struct {
	schema  Schema
	all     []int // columns
	match   []int // those that tell rows apart: the key, all without one
	keys    []int
	numeric []bool // by column
}

func newRowOrder(s Schema) rowOrder {
	o := rowOrder{schema: s, all: s.order(), numeric: make([]bool, len(s.Columns))}
	for i, col := range s.Columns {
		o.numeric[i] = affinityOf(col.Type).numeric()
		if col.Key > 0 {
			o.keys = append(o.keys, i)
		}
	}
	o.match = o.all[:len(o.keys)]
	if len(o.keys) == 0 {
		o.match = o.all
	}
	return o
}

// compare orders two rows by columns; nil is behind every row.
func (o rowOrder) compare(a, b []Value, columns []int) int {
	if a == nil || b == nil {
		switch {
		case a != nil:
			return -1
		case b != nil:
			return 1
		}
		return 0
	}
	for _, i := range columns {
		if c := compareValues(a[i], b[i], o.numeric[i]); c != 0 {
			return c
		}
	}
	return 0
}

func (o rowOrder) difference(row []Value, what string) Difference {
	d := Difference{Table: o.schema.Table, What: what}
	for _, i := range o.keys {
		name := o.schema.Columns[i].Name
		if maySecret(name) {
			d.Key = append(d.Key, name)
			continue
		}
		if row[i].Null {
			d.Key = append(d.Key, name+"=NULL")
			continue
		}
		d.Key = append(d.Key, name+"="+strconv.Quote(row[i].Text))
	}
	return d
}

// pull turns Rows inside out. next returns nil after the last row.
func (o rowOrder) pull(ctx context.Context, src Source) (next func() ([]Value, error), stop func()) {
	errStopped := errors.New("stopped")
	pull, stop := iter.Pull2(func(yield func([]Value, error) bool) {
		var last []Value
		err := src.Rows(ctx, o.schema.Table, func(row []Value) error {
			if last != nil && o.compare(last, row, o.all) > 0 {
				return fmt.Errorf("table %q: rows are not in the order of their columns", o.schema.Table)
			}
			last = slices.Clone(row)
			if !yield(last, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	})
	return func() ([]Value, error) {
		row, err, _ := pull()
		return row, err
	}, stop
}

// maySecret reports whether a key column of this name can hold a secret; the
// REST tokens of xCAT's table token do.
func maySecret(column string) bool {
	c := strings.ToLower(column)
	for _, part := range []string{"token", "pass", "secret", "community"} {
		if strings.Contains(c, part) {
			return true
		}
	}
	return false
}
