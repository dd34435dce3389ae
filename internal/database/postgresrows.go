package database

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/xcrate/xcrate/artifact"
)

// rows reads the columns of s from table t, in the order that Source.Rows
// promises of s. One row is in memory.
func (c *postgresConn) rows(ctx context.Context, t postgresTable, s Schema, fn func([]Value) error) error {
	query, kinds, err := selectRows(t, s)
	if err != nil {
		return fmt.Errorf("table %q: %w", t.name, err)
	}
	result := c.ExecParams(ctx, query, nil, nil, nil, nil)
	d := rowDecoder{conn: c, kinds: kinds, values: make([]Value, len(kinds))}
	var fault error // of fn, which names the table itself
	n := 1
	for ; result.NextRow(); n++ {
		row, err := d.decode(result.Values())
		if err != nil {
			fault = fmt.Errorf("table %q: row %d: %w", t.name, n, err)
			break
		}
		if fault = fn(row); fault != nil {
			break
		}
	}
	_, err = result.Close()
	var large *pgproto3.ExceededMaxBodyLenErr
	if fault == nil && errors.As(err, &large) {
		return fmt.Errorf("table %q: row %d: is larger than a row can be, at most %d bytes", t.name, n, MaxRow)
	}
	if fault == nil && err != nil {
		return fmt.Errorf("table %q: %w", t.name, serverError(ctx, err))
	}
	return fault
}

// selectRows is the query for rows, and what kinds of values it gives.
func selectRows(t postgresTable, s Schema) (query string, kinds []postgresKind, err error) {
	kinds = make([]postgresKind, len(s.Columns))
	values, sorted := make([]string, len(s.Columns)), []string(nil)
	for i, col := range s.Columns {
		own, found := t.column(col.Name)
		if !found {
			return "", nil, fmt.Errorf("column %q: there is none", col.Name)
		}
		kinds[i], values[i] = own.kind, quoteName(col.Name)
	}
	order := newRowOrder(s)
	by := order.all
	if t.hasKey() && sameKey(t, s) {
		by = order.all[:len(order.keys)] // no two rows have the same
	}
	for _, at := range by {
		sorted = append(sorted, kinds[at].sortBy(quoteName(s.Columns[at].Name), order.numeric[at]))
	}
	return "SELECT " + strings.Join(values, ", ") + " FROM " + t.rowsOf() + " ORDER BY " + strings.Join(sorted, ", "), kinds, nil
}

// sameKey reports whether the key of s holds that of t.
func sameKey(t postgresTable, s Schema) bool {
	inKey := map[string]bool{}
	for _, col := range s.Columns {
		inKey[col.Name] = col.Key > 0
	}
	for _, col := range t.columns {
		if col.Key > 0 && !inKey[col.Name] {
			return false
		}
	}
	return true
}

// rowDecoder makes Values of what the server sends.
type rowDecoder struct {
	conn   *postgresConn
	kinds  []postgresKind
	values []Value
	buf    []byte // the row's values, one after the other
	ends   []int
}

func (d *rowDecoder) decode(raw [][]byte) ([]Value, error) {
	d.buf, d.ends = d.buf[:0], d.ends[:0]
	if cap(d.buf) > 1<<20 { // one giant row must not stay in memory for good
		d.buf = nil
	}
	for i, b := range raw {
		d.values[i] = Value{Null: b == nil}
		if err := d.value(&d.values[i], d.kinds[i], b); err != nil {
			return nil, fmt.Errorf("column %d: %w", i+1, err)
		}
		d.ends = append(d.ends, len(d.buf))
	}
	if len(d.buf) > MaxRow {
		return nil, fmt.Errorf("%d bytes, at most %d", len(d.buf), MaxRow)
	}
	text, start := string(d.buf), 0
	for i, end := range d.ends {
		d.values[i].Text = text[start:end]
		start = end
	}
	return d.values, nil
}

// value appends one value to the buffer and says what it is.
func (d *rowDecoder) value(v *Value, kind postgresKind, b []byte) error {
	if v.Null {
		return nil
	}
	if kind == postgresBytes {
		v.Class = ClassBlob
		digits, found := strings.CutPrefix(string(b), `\x`)
		if !found {
			return errors.New("bytes are not in hexadecimal form")
		}
		var err error
		d.buf, err = hex.AppendDecode(d.buf, []byte(digits))
		return err
	}
	if d.conn.unicode {
		var latin bool
		if d.buf, latin = appendLatin(d.buf, b); latin {
			return nil
		}
		v.Class = ClassUnicode
	}
	d.buf = append(d.buf, b...)
	return nil
}

// summarise counts the rows of t and takes their digest, as the snapshot's
// schema s sees them.
func (c *postgresConn) summarise(ctx context.Context, t postgresTable, s Schema) (artifact.Table, error) {
	d := newDigester(s.names())
	err := c.rows(ctx, t, s, func(row []Value) error {
		d.row(row)
		return nil
	})
	return d.table(s.Table), err
}
