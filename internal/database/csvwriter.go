package database

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// MaxRow is how many bytes the values of one row may have together: what a
// Reader has to hold in memory.
const MaxRow = 64 << 20

// Writer writes a table in the CSV dialect of xCAT's tabdump (Table.pm,
// output_table): a header line "#column,column", then per row every value in
// double quotes with inner quotes doubled, NULL as nothing at all, newlines as
// they are, LF at the end of a row.
//
// It differs from tabdump where that loses data: an empty text is written as
// "" and a lone newline in quotes, where tabdump writes nothing for both.
// xCAT's tabrestore reads either.
type Writer struct {
	w       *bufio.Writer
	table   string
	columns int
	row     int64
}

// NewWriter writes the header line of table to w.
func NewWriter(w io.Writer, table string, columns []string) (*Writer, error) {
	if err := checkColumnNames(columns); err != nil {
		return nil, fmt.Errorf("table %q: %w", table, err)
	}
	c := &Writer{w: bufio.NewWriterSize(w, 64<<10), table: table, columns: len(columns)}
	if _, err := c.w.WriteString("#" + strings.Join(columns, ",") + "\n"); err != nil {
		return nil, fmt.Errorf("table %q: header: %w", table, err)
	}
	return c, nil
}

// Write writes one row, which has as many values as there are columns. What
// Class says is not written.
func (c *Writer) Write(row []Value) error {
	c.row++
	if len(row) != c.columns {
		return c.fail(fmt.Errorf("%d values for %d columns", len(row), c.columns))
	}
	size := 0
	for _, v := range row {
		size += len(v.Text)
	}
	if size > MaxRow {
		return c.fail(fmt.Errorf("%d bytes, at most %d", size, MaxRow))
	}
	for i, v := range row {
		if i > 0 {
			_ = c.w.WriteByte(',') // a bufio.Writer keeps its error for the next call
		}
		if !v.Null {
			c.quoted(v.Text)
		}
	}
	if err := c.w.WriteByte('\n'); err != nil {
		return c.fail(err)
	}
	return nil
}

func (c *Writer) quoted(s string) {
	_ = c.w.WriteByte('"') // as above
	for {
		before, after, found := strings.Cut(s, `"`)
		_, _ = c.w.WriteString(before)
		if !found {
			break
		}
		_, _ = c.w.WriteString(`""`)
		s = after
	}
	_ = c.w.WriteByte('"')
}

// Flush writes what is still held back. A Writer that was not flushed wrote a
// file that is too short.
func (c *Writer) Flush() error {
	if err := c.w.Flush(); err != nil {
		return c.fail(err)
	}
	return nil
}

func (c *Writer) fail(err error) error {
	return fmt.Errorf("table %q: row %d: %w", c.table, c.row, err)
}
