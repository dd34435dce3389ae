package database

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
)

// copyIn stores the rows of csv, which has the columns of s, in table t, by COPY.
// Columns that s does not have are written as NULL, for they might have a default.
func (c *postgresConn) copyIn(ctx context.Context, t postgresTable, s Schema, csv io.Reader) (rows int64, err error) {
	r, err := NewReader(csv, s.Table)
	if err != nil {
		return 0, err
	}
	if !slices.Equal(r.columns, s.names()) {
		return 0, fmt.Errorf("table %q: header: columns are not those of the schema, or in another order", s.Table)
	}
	e := &copyEncoder{r: r, runs: newRunReader(s), conn: c, columns: s.names()}
	for _, name := range e.columns {
		own, _ := t.column(name)
		e.kinds = append(e.kinds, own.kind)
	}
	names := e.columns
	for _, other := range t.others(s) {
		names, e.others = append(names[:len(names):len(names)], other.Name), e.others+"\t\\N"
	}
	// Nobody else sees a table that was emptied in this transaction. Its rows can be
	// stored as those that all may see, or reading them would write every page again.
	freeze := " (FREEZE)"
	if t.partitioned {
		freeze = "" // COPY cannot
	}
	tag, err := c.CopyFrom(ctx, e, "COPY "+t.quoted()+" ("+quoteNames(names)+") FROM STDIN"+freeze)
	rows, fault := e.end()
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case fault != nil: // the server says then that the client failed
		return 0, fault
	case err != nil:
		return 0, copyFault(ctx, s.Table, names, err)
	case tag.RowsAffected() != rows:
		return 0, fmt.Errorf("table %q: the server has stored %d rows of %d", s.Table, tag.RowsAffected(), rows)
	}
	return rows, nil
}

// copyEncoder gives the rows of a CSV in the text format of COPY
// (https://www.postgresql.org/docs/current/sql-copy.html): one line a row, so
// that the server's line number is that of the row.
type copyEncoder struct {
	// mu is for end: the driver may still read when the connection is lost.
	mu      sync.Mutex
	r       *Reader
	runs    *runReader
	conn    *postgresConn
	columns []string
	kinds   []postgresKind
	others  string // what the columns have that the CSV has not
	buf     []byte
	sent    int // of buf
	err     error
}

// copyChunk is how much is encoded at a time, a little more than what the
// driver sends at once.
const copyChunk = 128 << 10

// Read implements io.Reader.
func (e *copyEncoder) Read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sent == len(e.buf) {
		e.buf, e.sent = e.buf[:0], 0
		if cap(e.buf) > 4*copyChunk { // one giant row must not stay in memory for good
			e.buf = nil
		}
		for len(e.buf) < copyChunk && e.err == nil {
			e.err = e.next()
		}
		if len(e.buf) == 0 {
			return 0, e.err
		}
	}
	n := copy(p, e.buf[e.sent:])
	e.sent += n
	return n, nil
}

// end ends the reading and says how many rows it gave, and what was wrong with
// the CSV.
func (e *copyEncoder) end() (rows int64, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	err, e.err = e.err, errors.New("the copy has ended")
	e.buf, e.sent = nil, 0
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return e.r.row, err
}

// next encodes one row. The error after the last is io.EOF.
func (e *copyEncoder) next() error {
	row, err := e.r.Read()
	if errors.Is(err, io.EOF) {
		if err := e.runs.done(); err != nil {
			return fmt.Errorf("table %q: %w", e.r.table, err)
		}
		return io.EOF
	}
	if err != nil {
		return err
	}
	if err := e.runs.apply(e.r.row, row); err != nil {
		return fmt.Errorf("table %q: row %d: %w", e.r.table, e.r.row, err)
	}
	for i, v := range row {
		if i > 0 {
			e.buf = append(e.buf, '\t')
		}
		if err := e.value(v, e.kinds[i]); err != nil {
			return fmt.Errorf("table %q: row %d: column %q: %w", e.r.table, e.r.row, e.columns[i], err)
		}
	}
	e.buf = append(append(e.buf, e.others...), '\n')
	return nil
}

func (e *copyEncoder) value(v Value, kind postgresKind) error {
	switch {
	case v.Null:
		e.buf = append(e.buf, `\N`...)
		return nil
	case v.Class == ClassBlob && kind == postgresBytes:
		e.buf = hex.AppendEncode(append(e.buf, `\\x`...), []byte(v.Text))
		return nil
	case kind == postgresBytes:
		return errors.New("is a text, and the column is of bytes")
	case v.Class == ClassUnicode:
		if !e.conn.unicode {
			return fmt.Errorf("has characters that a database with encoding %s cannot keep apart from bytes", e.conn.encoding)
		}
		if _, latin := appendLatin(nil, []byte(v.Text)); latin || !utf8.ValidString(v.Text) {
			return errors.New("is listed as one with characters above U+00FF, and is none")
		}
	case v.Class != "":
		return fmt.Errorf("is a %s: a column of PostgreSQL holds one type", v.Class)
	}
	if strings.IndexByte(v.Text, 0) >= 0 {
		return errors.New("holds a byte 0, which PostgreSQL cannot store in a text")
	}
	e.text(v.Text, e.conn.unicode && v.Class == "")
	return nil
}

// text appends s escaped. widen gives each byte as the character of its number.
func (e *copyEncoder) text(s string, widen bool) {
	for {
		plain := 0
		for plain < len(s) && s[plain] >= ' ' && s[plain] != '\\' && (s[plain] < 0x80 || !widen) {
			plain++
		}
		e.buf = append(e.buf, s[:plain]...)
		if plain == len(s) {
			return
		}
		switch b := s[plain]; {
		case b == '\\':
			e.buf = append(e.buf, `\\`...)
		case b == '\n':
			e.buf = append(e.buf, `\n`...)
		case b == '\r':
			e.buf = append(e.buf, `\r`...)
		case b == '\t':
			e.buf = append(e.buf, `\t`...)
		case b >= 0x80:
			e.buf = append(e.buf, 0xC0|b>>6, 0x80|b&0x3F)
		default:
			e.buf = append(e.buf, b)
		}
		s = s[plain+1:]
	}
}

// copyFault says which row and column the server means. It tells so in a text,
// "COPY nodelist, line 3, column node: ..." in the language of the server, whose
// end is the value.
func copyFault(ctx context.Context, table string, columns []string, err error) error {
	place := fmt.Sprintf("table %q", table)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return fmt.Errorf("%s: %w", place, serverError(ctx, err))
	}
	where, _ := strings.CutPrefix(pg.Where, "COPY "+table+", ")
	const decimals = "0123456789"
	digits := where[max(0, strings.IndexAny(where, decimals)):]
	rest := strings.TrimLeft(digits, decimals)
	if row, err := strconv.Atoi(digits[:len(digits)-len(rest)]); err == nil {
		place += fmt.Sprintf(": row %d", row)
	}
	column := pg.ColumnName
	if words, found := strings.CutPrefix(rest, ", "); column == "" && found {
		_, words, _ = strings.Cut(words, " ")
		for _, name := range columns {
			if words == name || strings.HasPrefix(words, name+":") {
				column = name
			}
		}
	}
	if column != "" {
		place += fmt.Sprintf(": column %q", column)
	}
	if pg.Code == "54000" {
		return fmt.Errorf("%s: key is too long for the server's index", place)
	}
	return fmt.Errorf("%s: %w", place, serverError(ctx, err))
}
