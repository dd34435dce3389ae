package database

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mariaBatch is how long an INSERT gets before it is sent: long enough for
// round trips not to count.
const mariaBatch = 1 << 20

// mariaInsert stores rows, many in a statement.
type mariaInsert struct {
	conn   *mariaConn
	view   mariaView
	tail   string // of each row: NULL for the columns that the schema lacks
	packet int    // bytes of a statement that the server takes
	head   int    // length of the statement before its first row
	buf    []byte // the statement
	starts []int  // where its rows begin
	stored int64  // rows of statements before this
}

func newMariaInsert(c *mariaConn, v mariaView, extra []mariaColumn, packet int) *mariaInsert {
	names := make([]string, 0, len(v.columns)+len(extra))
	for _, col := range slices.Concat(v.columns, extra) {
		names = append(names, quoteMaria(col.Name))
	}
	in := &mariaInsert{conn: c, view: v, packet: packet, tail: strings.Repeat(",NULL", len(extra)) + ")"}
	in.buf = append(in.buf, "INSERT INTO "+quoteMaria(v.schema.Table)+" ("+strings.Join(names, ",")+") VALUES "...)
	in.head = len(in.buf)
	return in
}

// check finds what the server would change on the way in, or refuse without
// saying where.
func (in *mariaInsert) check(row []Value) error {
	for i, v := range row {
		c := in.view.columns[i]
		switch {
		case v.Null && c.NotNull:
			return fmt.Errorf("column %q: NULL, which the column does not take", c.Name)
		case v.Class == ClassBlob || v.Class == ClassInteger || v.Class == ClassReal:
			return fmt.Errorf("column %q: value of class %s, which only SQLite holds in a column of another type", c.Name, v.Class)
		case c.kind() != mariaBytes && !utf8.ValidString(v.Text):
			return fmt.Errorf("column %q: bytes that are no UTF-8, which MariaDB does not hold as text", c.Name)
		case c.data == "char" && strings.HasSuffix(v.Text, " "):
			return fmt.Errorf("column %q: blanks at the end, which a CHAR drops", c.Name)
		case c.data == "bit" && !v.Null:
			if _, err := strconv.ParseUint(v.Text, 10, 64); err != nil {
				return fmt.Errorf("column %q: not a number", c.Name)
			}
		}
	}
	return nil
}

// add takes a row that was checked.
func (in *mariaInsert) add(ctx context.Context, row []Value) error {
	start := len(in.buf)
	in.put(row)
	// The packet has a byte for the command before the statement.
	if len(in.starts) > 0 && len(in.buf) >= min(mariaBatch, in.packet) {
		last := slices.Clone(in.buf[start:])
		in.buf = in.buf[:start]
		if err := in.flush(ctx); err != nil {
			return err
		}
		start = len(in.buf)
		in.buf = append(in.buf, last...)
	}
	in.starts = append(in.starts, start)
	if len(in.buf) >= in.packet {
		return fmt.Errorf("row %d: takes %d bytes, max_allowed_packet of the server is %d", in.stored+1, len(in.buf), in.packet)
	}
	return nil
}

// put writes "(value,value)," behind the statement. Texts stand in quotes, in
// which the session's sql_mode leaves one character to double: the quote. No
// byte of a longer UTF-8 character looks like one.
func (in *mariaInsert) put(row []Value) {
	for i, v := range row {
		separator := byte(',')
		if i == 0 {
			separator = '('
		}
		in.buf = append(in.buf, separator)
		c := in.view.columns[i]
		switch {
		case v.Null:
			in.buf = append(in.buf, "NULL"...)
		case c.data == "bit": // digits, which as a text would be bits of characters
			in.buf = append(in.buf, v.Text...)
		case c.kind() == mariaBytes:
			in.buf = append(in.buf, "x'"...)
			in.buf = hex.AppendEncode(in.buf, []byte(v.Text))
			in.buf = append(in.buf, '\'')
		default:
			in.buf = append(in.buf, '\'')
			in.buf = appendQuoted(in.buf, v.Text)
			in.buf = append(in.buf, '\'')
		}
	}
	in.buf = append(in.buf, in.tail...)
	in.buf = append(in.buf, ',')
}

func appendQuoted(b []byte, s string) []byte {
	for {
		before, after, found := strings.Cut(s, "'")
		b = append(b, before...)
		if !found {
			return b
		}
		b = append(b, "''"...)
		s = after
	}
}

// flush sends what was collected.
func (in *mariaInsert) flush(ctx context.Context) error {
	if len(in.starts) == 0 {
		return nil
	}
	err := in.run(ctx, in.buf[:len(in.buf)-1])
	if err != nil {
		err = in.blame(ctx, err)
	}
	in.stored += int64(len(in.starts))
	in.starts, in.buf = in.starts[:0], in.buf[:in.head]
	if cap(in.buf) > 2*mariaBatch { // one giant row must not stay in memory for good
		in.buf = slices.Clone(in.buf)
	}
	return err
}

// run executes one INSERT. A warning is an error: it says that a value was
// changed to fit.
func (in *mariaInsert) run(ctx context.Context, statement []byte) error {
	if err := in.conn.run(ctx, string(statement)); err != nil {
		return err
	}
	var warnings int
	if err := in.conn.one(ctx, "SELECT @@warning_count", &warnings); err != nil || warnings == 0 {
		return err
	}
	return in.warning(ctx)
}

// warning makes an error of the statement's first warning.
func (in *mariaInsert) warning(ctx context.Context) error {
	var first *mariaFault
	err := in.conn.each(ctx, "SHOW WARNINGS LIMIT 1", nil, func(rows *sql.Rows) error {
		var level, message string
		var number uint16
		if err := rows.Scan(&level, &number, &message); err != nil {
			return err
		}
		first = &mariaFault{number: number, text: "server changes a value to make it fit", column: mariaColumnOf(message), row: mariaRowOf(message)}
		return nil
	})
	if err == nil && first == nil {
		return errors.New("server warns of something it does not tell")
	}
	if err != nil {
		return err
	}
	return first
}

// blame finds the row of a statement that failed. The server takes back what a
// statement did, so its rows are stored again one by one, up to the first that
// fails too. Of what it merely warns it says itself in which row it was.
func (in *mariaInsert) blame(ctx context.Context, err error) error {
	var f *mariaFault
	if !errors.As(err, &f) || isMaria(err, mariaDeadlock, mariaLockTimeout) {
		return err
	}
	if f.row > 0 {
		return in.name(in.stored+f.row, err)
	}
	for i, start := range in.starts {
		end := len(in.buf) - 1
		if i+1 < len(in.starts) {
			end = in.starts[i+1] - 1
		}
		statement := slices.Concat(in.buf[:in.head], in.buf[start:end])
		if e := in.run(ctx, statement); e != nil {
			return in.name(in.stored+int64(i)+1, e)
		}
	}
	return err
}

// name says where it was: the server's word for the column counts only if there
// is such a column, for it comes from a text with values in it.
func (in *mariaInsert) name(row int64, err error) error {
	var f *mariaFault
	if errors.As(err, &f) && slices.ContainsFunc(in.view.columns, func(c mariaColumn) bool { return c.Name == f.column }) {
		return fmt.Errorf("row %d: column %q: %w", row, f.column, err)
	}
	return fmt.Errorf("row %d: %w", row, err)
}
