package database

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Reader reads a table in the dialect Writer and xCAT's tabdump write. It takes
// values byte for byte, where xCAT's tabrestore trims every line on its right.
// It holds one row in memory, of at most MaxRow bytes.
//
// As in tabrestore (tabutils.pm), a field may stand without quotes, and a row
// may end early: the columns it lacks are NULL. Anything else that tabdump
// does not write is an error: too many fields, text before or after quotes, a
// blank line, a byte order mark, CRLF, a last line without its end.
type Reader struct {
	r       *bufio.Reader
	table   string
	columns []string
	limit   int // bytes of a row: MaxRow
	row     int64
	buf     []byte  // the row's values, one after the other
	ends    []int   // where each value ends in buf
	values  []Value // handed out
}

// NewReader reads the header line of table from r.
func NewReader(r io.Reader, table string) (*Reader, error) {
	c := &Reader{r: bufio.NewReaderSize(r, 64<<10), table: table, limit: MaxRow}
	line, err := c.header()
	if err != nil {
		return nil, fmt.Errorf("table %q: header: %w", table, err)
	}
	c.columns = strings.Split(line, ",")
	if err := checkColumnNames(c.columns); err != nil {
		return nil, fmt.Errorf("table %q: header: %w", table, err)
	}
	c.values = make([]Value, len(c.columns))
	return c, nil
}

// newSchemaReader reads the header line and checks that the columns are those of
// s, in their order.
func newSchemaReader(r io.Reader, s Schema) (*Reader, error) {
	c, err := NewReader(r, s.Table)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(c.columns, s.names()) {
		return nil, fmt.Errorf("table %q: header: columns are not those of the schema, or in another order", s.Table)
	}
	return c, nil
}

func (c *Reader) header() (string, error) {
	var line []byte
	for {
		part, err := c.r.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", noEOF(err)
		}
		if len(line) > maxColumns*(maxName+1) {
			return "", fmt.Errorf("more than %d bytes", maxColumns*(maxName+1))
		}
	}
	text := string(line[:len(line)-1])
	if strings.HasPrefix(text, "\xef\xbb\xbf") {
		return "", errors.New("begins with a byte order mark: save it as UTF-8 without one")
	}
	names, found := strings.CutPrefix(text, "#")
	if !found {
		return "", errors.New(`does not begin with "#"`)
	}
	return names, nil
}

// Columns returns the names in the header.
func (c *Reader) Columns() []string { return slices.Clone(c.columns) }

// Read returns the next row: a value for each column, valid until the next
// call. The error after the last row is io.EOF itself.
func (c *Reader) Read() ([]Value, error) {
	if _, err := c.r.Peek(1); errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	c.row++
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("table %q: row %d: %w", c.table, c.row, err)
	}
	text, start := string(c.buf), 0
	for i, end := range c.ends {
		c.values[i].Text = text[start:end]
		start = end
	}
	return c.values, nil
}

func (c *Reader) read() error {
	c.buf, c.ends = c.buf[:0], c.ends[:0]
	if cap(c.buf) > 1<<20 { // one giant row must not stay in memory for good
		c.buf = nil
	}
	for i := range c.values {
		c.values[i] = Value{Null: true}
	}
	for more := true; more; {
		if len(c.ends) == len(c.columns) {
			return fmt.Errorf("more than %d fields", len(c.columns))
		}
		var defined bool
		var err error
		if defined, more, err = c.field(); err != nil {
			return fmt.Errorf("column %q: %w", c.columns[len(c.ends)], err)
		}
		c.values[len(c.ends)].Null = !defined
		c.ends = append(c.ends, len(c.buf))
	}
	// Of one column, a blank line is a NULL; tabrestore takes it for a mistake
	// in any other table, and so is it.
	if len(c.ends) == 1 && len(c.columns) > 1 && c.values[0].Null {
		return errors.New("blank line")
	}
	return nil
}

// field reads one field and what ends it. It reports whether the field is
// something else than NULL, and whether another follows in the row.
func (c *Reader) field() (defined, more bool, err error) {
	first, err := c.r.ReadByte()
	if err != nil {
		return false, false, noEOF(err)
	}
	if first == '"' {
		end, err := c.quoted()
		return true, end == ',', err
	}
	for b := first; ; {
		switch b {
		case ',', '\n':
			return defined, b == ',', nil
		case '"':
			return false, false, errors.New("quote within an unquoted field")
		case '\r':
			return false, false, errors.New("carriage return in an unquoted field: the file has CRLF line ends")
		}
		defined = true
		if err := c.keep(b); err != nil {
			return false, false, err
		}
		if b, err = c.r.ReadByte(); err != nil {
			return false, false, noEOF(err)
		}
	}
}

// quoted reads on after an opening quote and returns the byte that ends the
// field: ',' or LF.
func (c *Reader) quoted() (end byte, err error) {
	for {
		part, err := c.r.ReadSlice('"')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				return 0, errors.New("quote is not closed")
			}
			return 0, err
		}
		closed := err == nil
		if closed {
			part = part[:len(part)-1]
		}
		if err := c.keep(part...); err != nil {
			return 0, err
		}
		if !closed {
			continue
		}
		b, err := c.r.ReadByte()
		switch {
		case err != nil:
			return 0, noEOF(err)
		case b == ',' || b == '\n':
			return b, nil
		case b != '"':
			return 0, errors.New("text after the closing quote")
		}
		if err := c.keep('"'); err != nil {
			return 0, err
		}
	}
}

func (c *Reader) keep(b ...byte) error {
	if len(c.buf)+len(b) > c.limit {
		return fmt.Errorf("row of more than %d bytes", c.limit)
	}
	c.buf = append(c.buf, b...)
	return nil
}

// noEOF says what the end of the file means where it must not be: io.EOF itself
// would read as the regular end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("file ends without the end of the line: %w", io.ErrUnexpectedEOF)
	}
	return err
}
