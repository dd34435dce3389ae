package database

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/hosttest"
)

const realMaria = "../../testdata/real-mn/mariadb"

// mariaLocation is where a test's database is, over its socket.
func mariaLocation(l hosttest.MariaDBLogin) Location {
	return Location{Engine: EngineMariaDB, Host: l.Socket, Name: l.Name, User: l.User, Password: NewSecret(l.Password)}
}

// newMaria makes a database of the given charset and runs statements in it.
func newMaria(t testing.TB, charset string, statements ...string) (*hosttest.MariaDBServer, hosttest.MariaDBLogin) {
	t.Helper()
	server := hosttest.MariaDB(t)
	l := server.NewDatabase(t, charset)
	server.Load(t, l.Name, strings.NewReader(strings.Join(statements, ";\n")))
	return server, l
}

// realMariaDB is the database of a real management node.
func realMariaDB(t testing.TB) hosttest.MariaDBLogin {
	t.Helper()
	server, l := newMaria(t, "latin1")
	f, err := os.Open(realMaria + "/xcatdb.sql")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	server.Load(t, l.Name, f)
	return l
}

func openMaria(t testing.TB, l hosttest.MariaDBLogin) *MariaDB {
	t.Helper()
	m, err := OpenMariaDB(t.Context(), mariaLocation(l))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// dumpMaria dumps a database and lets go of it.
func dumpMaria(t testing.TB, l hosttest.MariaDBLogin) dump {
	t.Helper()
	m, err := OpenMariaDB(t.Context(), mariaLocation(l))
	if err != nil {
		t.Fatal(err)
	}
	d := dumpAll(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

func openMariaTarget(t testing.TB, l hosttest.MariaDBLogin) *MariaDBTarget {
	t.Helper()
	m, err := OpenMariaDBTarget(t.Context(), mariaLocation(l))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// shapes surveys the rows of a dump.
func (d dump) shapes(t testing.TB) []Shape {
	t.Helper()
	var all []Shape
	for _, s := range d.Schemas {
		_, rows, err := readCSV(s.Table, d.files[FileName(s.Table)])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Shape{s, surveyRows(len(s.Columns), rows)})
	}
	return all
}

func surveyRows(columns int, rows [][]Value) Survey {
	v := Survey{Rows: int64(len(rows)), Columns: make([]ColumnSurvey, columns)}
	for i, row := range rows {
		first := func(at *int64, is bool) {
			if is && *at == 0 {
				*at = int64(i) + 1
			}
		}
		for j := range row {
			c, text := &v.Columns[j], row[j].Text
			c.Longest = max(c.Longest, len(text))
			first(&c.Null, row[j].Null)
			first(&c.Wide, strings.IndexFunc(text, func(r rune) bool { return r > 0x7F }) >= 0)
			first(&c.NotUTF8, strings.ToValidUTF8(text, "") != text)
			first(&c.Zero, strings.Contains(text, "\x00"))
		}
	}
	return v
}

// restoreMaria puts all of d into a database, and commits.
func (d dump) restoreMaria(t testing.TB, l hosttest.MariaDBLogin) (did []string, err error) {
	t.Helper()
	m := openMariaTarget(t, l)
	if did, err = m.Prepare(t.Context(), d.shapes(t)); err != nil {
		return did, err
	}
	var got []artifact.Table
	for _, s := range d.Schemas {
		table, err := m.Put(t.Context(), s, bytes.NewReader(d.files[FileName(s.Table)]))
		if err != nil {
			return did, err
		}
		got = append(got, table)
	}
	if !reflect.DeepEqual(got, d.Tables) {
		return did, fmt.Errorf("put %v\nof  %v", got, d.Tables)
	}
	return did, m.Commit(t.Context())
}

// handMade is a dump of one table.
func handMade(t testing.TB, s Schema, rows ...[]Value) dump {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, s.Table, s.names())
	if err != nil {
		t.Fatal(err)
	}
	d := newDigester(s.names())
	for _, r := range rows {
		d.row(r)
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return dump{
		Dumped: Dumped{Tables: []artifact.Table{d.table(s.Table)}, Schemas: []Schema{s}},
		files:  map[string][]byte{FileName(s.Table): b.Bytes()},
	}
}

// texts makes a row; "NULL" stands for NULL.
func texts(values ...string) []Value {
	row := make([]Value, len(values))
	for i, v := range values {
		row[i] = Value{Text: v}
		if v == "NULL" {
			row[i] = Value{Null: true}
		}
	}
	return row
}

// nodelistSchema is a table as xCAT has it on another engine than MariaDB.
func nodelistSchema() Schema {
	return Schema{Table: "nodelist", Columns: []Column{
		{Name: "node", Type: "VARCHAR(128)", NotNull: true, Key: 1}, {Name: "groups", Type: "TEXT"}, {Name: "comments", Type: "TEXT"},
	}}
}
