package database

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// xcatReader reads a CSV by the rules of xCAT's tabrestore and no others. It
// shares nothing with Reader on purpose.
type xcatReader struct {
	lines   []string
	at      int // of the line that is next
	columns []string
}

// errXCAT is what makes tabrestore take back all it did to a table.
var errXCAT = errors.New("tabrestore rolls back")

const blanks = " \t\n\r\f\v"

func trimRight(line string) string { return strings.TrimRight(line, blanks) }

// newXCATReader checks the header: a mark, then names without quotes, which
// must be among known, those of the running xCAT.
func newXCATReader(file string, known []string) (*xcatReader, error) {
	r := &xcatReader{lines: strings.SplitAfter(file, "\n")}
	if last := len(r.lines) - 1; r.lines[last] == "" {
		r.lines = r.lines[:last]
	}
	if len(r.lines) == 0 || !strings.HasPrefix(r.lines[0], "#") {
		return nil, fmt.Errorf("header: no mark: %w", errXCAT)
	}
	names := strings.ReplaceAll(r.lines[0], `"`, "")
	r.columns, r.at = strings.Split(trimRight(names[1:]), ","), 1
	for _, c := range r.columns {
		if !slices.Contains(known, c) {
			return nil, fmt.Errorf("header: column %q: %w", c, errXCAT)
		}
	}
	return r, nil
}

// rows reads all rows. Every mistake in one is an error: the rows before it
// would be rolled back with it.
func (r *xcatReader) rows() ([][]Value, error) {
	var rows [][]Value
	for r.at < len(r.lines) {
		row, err := r.row()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", r.at, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (r *xcatReader) row() ([]Value, error) {
	rest := trimRight(r.lines[r.at])
	r.at++
	var row []Value
	for range r.columns {
		var v Value
		var err error
		if v, rest, err = r.field(rest); err != nil {
			return nil, err
		}
		row = append(row, v)
	}
	if rest != "" && rest != "0" {
		return nil, fmt.Errorf("too many fields: %w", errXCAT)
	}
	if !slices.ContainsFunc(row, func(v Value) bool { return !v.Null }) {
		return nil, fmt.Errorf("row of NULLs: %w", errXCAT)
	}
	return row, nil
}

// field takes one field off the left of rest.
func (r *xcatReader) field(rest string) (v Value, left string, err error) {
	if rest == "" || rest[0] == ',' {
		return Value{Null: true}, strings.TrimPrefix(rest, ","), nil
	}
	if rest[0] == '"' {
		return r.quoted(rest)
	}
	text, left, _ := strings.Cut(rest, ",")
	if strings.Contains(text, `"`) {
		return v, "", fmt.Errorf("quote in a field without: %w", errXCAT)
	}
	return Value{Text: text}, left, nil
}

// quoted goes on over the lines that follow until the quote is closed. What it
// has is cut on its right with each line that is put to it.
func (r *xcatReader) quoted(line string) (v Value, left string, err error) {
	rest := []byte(line)
	for from := 1; ; {
		i := bytes.IndexByte(rest[from:], '"')
		if i < 0 {
			if r.at >= len(r.lines) {
				return v, "", fmt.Errorf("quote is not closed: %w", errXCAT)
			}
			from = len(rest)
			rest = append(append(rest, '\n'), strings.TrimSuffix(r.lines[r.at], "\n")...)
			rest = bytes.TrimRight(rest, blanks)
			r.at++
			continue
		}
		after := from + i + 1
		switch {
		case after < len(rest) && rest[after] == '"':
			from = after + 1
		case after == len(rest) || rest[after] == ',':
			text := strings.ReplaceAll(string(rest[1:after-1]), `""`, `"`)
			return Value{Text: text}, strings.TrimPrefix(string(rest[after:]), ","), nil
		default:
			return v, "", fmt.Errorf("text after a closed quote: %w", errXCAT)
		}
	}
}

// blanksBeforeBreak is what cutting the right end of each line takes away.
var blanksBeforeBreak = regexp.MustCompile(`[ \t\n\r\f\v]*\n`)

// throughTabrestore is what tabrestore makes of rows: each value, but for what
// it cuts off.
func throughTabrestore(rows [][]Value) (want [][]Value) {
	for _, row := range rows {
		row = slices.Clone(row)
		for i, v := range row {
			row[i].Text = blanksBeforeBreak.ReplaceAllString(v.Text, "\n")
		}
		want = append(want, row)
	}
	return want
}

// checkTabrestore reads file with both readers and compares.
func checkTabrestore(t testing.TB, table string, file []byte) {
	t.Helper()
	columns, rows, err := readCSV(table, file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newXCATReader(string(file), columns)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.rows()
	if err != nil {
		t.Fatalf("table %q: %v", table, err)
	}
	if want := throughTabrestore(rows); !reflect.DeepEqual(got, want) {
		t.Errorf("table %q: tabrestore reads\n%v\nwant\n%v", table, got, want)
	}
	for i, row := range rows {
		for c, v := range row {
			if changed := got[i][c] != v; changed != TabrestoreLoses(v) {
				t.Errorf("table %q: row %d: column %d: %q: TabrestoreLoses says %t", table, i+1, c, v.Text, !changed)
			}
		}
	}
}

func TestTabrestoreReadsRealDump(t *testing.T) {
	d := dumpAll(t, open(t, copyReal(t)))
	for _, table := range d.Tables {
		checkTabrestore(t, table.Name, d.files[FileName(table.Name)])
	}
}

func TestTabrestoreReadsAwkward(t *testing.T) {
	var rows [][]Value
	all := awkward()
	for i := range all {
		rows = append(rows, []Value{text(fmt.Sprint("n", i)), all[i], all[(i*5+3)%len(all)], all[(i*7+1)%len(all)]})
	}
	columns := []string{"node", "a", "b", "disable"}
	var b bytes.Buffer
	w, err := NewWriter(&b, "t", columns)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	checkTabrestore(t, "t", b.Bytes())
}

func TestTabrestoreLoses(t *testing.T) {
	for _, tc := range []struct {
		value Value
		want  bool
	}{
		{null, false},
		{text(""), false},
		{text("  "), false},
		{text("a  "), false},
		{text(" \ta\r"), false},
		{text("\n"), false},
		{text("\na"), false},
		{text("a\n"), false},
		{text("a\nb\nc"), false},
		{text("a\n b"), false},
		{text("\"\n\""), false},
		{text("a\u00a0\nb"), false},
		{text("a\x85\nb"), false},
		{text("a\x00\nb"), false},
		{text("\n\n"), true},
		{text("a\n\nb"), true},
		{text("a \nb"), true},
		{text("a\t\nb"), true},
		{text("a\r\nb"), true},
		{text(" \n"), true},
		{text("a\nb\v\n"), true},
		{text("a\f\n"), true},
	} {
		if got := TabrestoreLoses(tc.value); got != tc.want {
			t.Errorf("%q: %t, want %t", tc.value.Text, got, tc.want)
		}
	}
}

// TestTabrestoreRollsBack keeps the reader of this test honest: it refuses what
// xCAT's does.
func TestTabrestoreRollsBack(t *testing.T) {
	known := []string{"node", "ip", "disable"}
	for name, file := range map[string]string{
		"empty": "", "no_mark": "node,ip\n", "unknown_column": "#node,mac\n", "bom": "\ufeff#node,ip\n",
		"blank_line": "#node,ip\n\"a\",\n\n", "blank_line_of_blanks": "#node,ip\n  \n", "nulls": "#node,ip\n,\n",
		"too_many": "#node,ip\n1,2,3\n", "quote_within": "#node,ip\n1,2\"3\"\n", "after_quote": "#node,ip\n\"1\"2,\n",
		"not_closed": "#node,ip\n\"1\n2\n",
	} {
		r, err := newXCATReader(file, known)
		if err == nil {
			_, err = r.rows()
		}
		if !errors.Is(err, errXCAT) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	r, err := newXCATReader("#\"node\",\"ip\" \r\n1 , x,0\r\n\"\"\n\"a\"\"\n\n b\",\n", known)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.rows()
	want := [][]Value{{text("1 "), text(" x")}, {text(""), null}, {text("a\"\n b"), null}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("rows %v, %v, want %v", got, err, want)
	}
}
