package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// mariaView is a table as a schema sees it: the columns of the table that the
// schema has, in the schema's order.
type mariaView struct {
	schema  Schema
	columns []mariaColumn
}

// view finds the schema's columns in the table. A column that is not there, or
// is computed, is an error.
func (t mariaTable) view(s Schema) (mariaView, error) {
	v := mariaView{schema: s}
	for _, want := range s.Columns {
		c, found := t.column(want.Name)
		switch {
		case !found:
			return v, fmt.Errorf("column %q: the table on the server has none of this name", want.Name)
		case c.generated:
			return v, fmt.Errorf("column %q: is computed on the server", want.Name)
		}
		v.columns = append(v.columns, c)
	}
	return v, nil
}

// sorted lists the columns, as indexes, that rows are sorted by: those of the
// key tell all rows apart, so that the rest would cost time only. In a target
// the key may be another.
func (v mariaView) sorted(unique bool) []int {
	all := v.schema.order()
	keys := 0
	for _, c := range v.schema.Columns {
		if c.Key > 0 {
			keys++
		}
	}
	if keys > 0 && unique {
		return all[:keys]
	}
	return all
}

// keyIsOurs reports whether the server's key is the schema's, or part of it.
func (v mariaView) keyIsOurs(t mariaTable) bool {
	has := false
	for _, c := range t.columns {
		if c.Key == 0 {
			continue
		}
		has = true
		if !slices.ContainsFunc(v.schema.Columns, func(s Column) bool { return s.Key > 0 && strings.EqualFold(s.Name, c.Name) }) {
			return false
		}
	}
	return has
}

// Limits of sorting. The server compares as much of a value as max_sort_length
// says, and wants to hold some 16 rows' worth of that in sort_buffer_size; both
// are set as needed, because it takes memory by them.
const (
	mariaSortLength    = 1024 // default
	mariaMaxSortLength = 8 << 20
	mariaSortSuffix    = 8 // of max_sort_length, for the length of the value itself
	mariaSortBuffer    = 16 << 20
	mariaMaxSortBuffer = 1 << 30
	mariaSortRows      = 16
)

// orderBy lists the expressions that sort as Source.Rows promises. longest is
// the length of the longest value among those that are sorted by.
func (v mariaView) orderBy(sorted []int, longest int64) []string {
	var order []string
	for _, i := range sorted {
		numeric := affinityOf(v.schema.Columns[i].Type).numeric()
		for _, t := range v.columns[i].sortedBy(numeric) {
			order = append(order, t)
			// What lies behind the limit is compared by further terms.
			const step = mariaMaxSortLength - mariaSortSuffix
			for from := int64(step); from < longest && !numeric; from += step {
				order = append(order, fmt.Sprintf("SUBSTRING(%s, %d)", t, from+1))
			}
		}
	}
	return order
}

// rows reads the view's rows in the order Source.Rows promises. They are those
// of the connection's transaction. unique says that the schema's key tells the
// server's rows apart.
func (c *mariaConn) rows(ctx context.Context, v mariaView, unique bool, fn func([]Value) error) error {
	sorted := v.sorted(unique)
	from, err := c.fromKey(ctx, v, sorted, unique)
	if err == nil && from == "" {
		from, err = c.fromSort(ctx, v, sorted)
	}
	if err != nil {
		return err
	}
	values := make([]string, len(v.columns))
	for i, col := range v.columns {
		values[i] = col.value()
	}
	return c.values(ctx, "SELECT "+strings.Join(values, ", ")+from, fn)
}

// values calls fn for each row of a query.
func (c *mariaConn) values(ctx context.Context, query string, fn func([]Value) error) error {
	var scan rowScanner
	return c.stream(ctx, query, func(raw []driver.Value) error {
		row, err := scan.row(raw)
		if err != nil {
			return err
		}
		return fn(row)
	})
}

// errMariaUnsorted ends a look at keys whose collation sorts them otherwise.
var errMariaUnsorted = errors.New("keys are not sorted by their bytes")

// fromKey is the FROM and ORDER BY of a query in the order of the server's
// index, "" where that is not the one Source.Rows promises. A collation sorts
// most names just as their bytes do, but only the keys can tell, so they are
// read first. To sort the rows would take the server several times as long.
func (c *mariaConn) fromKey(ctx context.Context, v mariaView, sorted []int, unique bool) (string, error) {
	if !unique || v.schema.Columns[sorted[0]].Key == 0 {
		return "", nil
	}
	var values, names []string
	var s Schema
	for i, at := range sorted {
		values, names = append(values, v.columns[at].value()), append(names, quoteMaria(v.columns[at].Name))
		s.Columns = append(s.Columns, v.schema.Columns[at])
		s.Columns[i].Key = i + 1
	}
	from := " FROM " + quoteMaria(v.schema.Table) + " FORCE INDEX (PRIMARY) ORDER BY " + strings.Join(names, ", ")
	order := newRowOrder(s)
	var last []Value
	err := c.values(ctx, "SELECT "+strings.Join(values, ", ")+from, func(row []Value) error {
		if last != nil && order.compare(last, row, order.keys) >= 0 {
			return errMariaUnsorted
		}
		last = append(last[:0], row...)
		return nil
	})
	if errors.Is(err, errMariaUnsorted) {
		return "", nil
	}
	return from, err
}

// fromSort is the FROM and ORDER BY of a query that has the server sort.
func (c *mariaConn) fromSort(ctx context.Context, v mariaView, sorted []int) (string, error) {
	longest, err := c.longest(ctx, v, sorted)
	if err != nil {
		return "", err
	}
	order := v.orderBy(sorted, longest)
	length := min(max(longest+mariaSortSuffix, mariaSortLength), mariaMaxSortLength)
	buffer := min(max(int64(len(order))*length*mariaSortRows, mariaSortBuffer), mariaMaxSortBuffer)
	err = c.run(ctx, fmt.Sprintf("SET SESSION max_sort_length = %d, sort_buffer_size = %d", length, buffer))
	return " FROM " + quoteMaria(v.schema.Table) + " ORDER BY " + strings.Join(order, ", "), err
}

// longest is the length in bytes of the longest value that rows are sorted by,
// 0 where the types keep all of them within what the server compares anyway.
func (c *mariaConn) longest(ctx context.Context, v mariaView, sorted []int) (longest int64, err error) {
	var lengths []string
	for _, i := range sorted {
		if col := v.columns[i]; col.chars*mariaCharBytes > mariaSortLength-mariaSortSuffix {
			lengths = append(lengths, "COALESCE(MAX(LENGTH("+col.bytes()+")), 0)")
		}
	}
	if len(lengths) == 0 {
		return 0, nil
	}
	query := "SELECT " + strings.Join(lengths, ", ") + " FROM " + quoteMaria(v.schema.Table)
	err = c.stream(ctx, query, func(values []driver.Value) error {
		for _, v := range values {
			n, ok := v.(int64)
			if !ok {
				return fmt.Errorf("length of Go type %T", v)
			}
			longest = max(longest, n)
		}
		return nil
	})
	return longest, err
}

// rowScanner makes Values of what the driver hands out. One text holds all
// values of a row: that is one allocation.
type rowScanner struct {
	buf    []byte
	ends   []int
	values []Value
}

func (s *rowScanner) row(raw []driver.Value) ([]Value, error) {
	s.buf, s.ends, s.values = s.buf[:0], s.ends[:0], s.values[:0]
	if cap(s.buf) > 1<<20 { // one giant row must not stay in memory for good
		s.buf = nil
	}
	for i, v := range raw {
		switch v := v.(type) {
		case nil:
		case []byte:
			s.buf = append(s.buf, v...)
		case int64:
			s.buf = strconv.AppendInt(s.buf, v, 10)
		case uint64:
			s.buf = strconv.AppendUint(s.buf, v, 10)
		default:
			return nil, fmt.Errorf("column %d: value of Go type %T", i+1, v)
		}
		s.ends = append(s.ends, len(s.buf))
	}
	text, start := string(s.buf), 0
	for i, end := range s.ends {
		s.values = append(s.values, Value{Text: text[start:end], Null: raw[i] == nil})
		start = end
	}
	return s.values, nil
}
