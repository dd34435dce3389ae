package database

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
)

// awkwardTable has every awkward value, and every storage class in columns it
// does not belong in.
func awkwardTable(t *testing.T, dir string) {
	t.Helper()
	path := makeTable(t, dir, "awkward", `CREATE TABLE "awkward" (k INTEGER PRIMARY KEY AUTOINCREMENT,
 a VARCHAR(128) NOT NULL DEFAULT 'x;y', "b ;q" TEXT, -- ; no end
 i INTEGER, r REAL, n, d DATETIME, f BOOLEAN)`, `CREATE INDEX "odd name" ON awkward (i)`, "CREATE UNIQUE INDEX u ON awkward (k, r)",
		"PRAGMA user_version = 7", "PRAGMA application_id = -5")
	var rows [][]any
	for i, v := range awkward() {
		b, blob := any(v.Text), []byte(v.Text)
		if v.Null {
			b = nil
		}
		rows = append(rows, []any{i*3 + 1, v.Text, b, v.Text, v.Text, blob, v.Text, i})
	}
	for _, v := range []any{0.1, 1.0, 1e15, 1.5e-7, 123456789012345678.0, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.5} {
		rows = append(rows, []any{nil, "real", v, v, v, v, v, v})
	}
	for _, v := range []any{int64(-1 << 63), int64(1<<63 - 1), 0, 1} {
		rows = append(rows, []any{nil, "integer", v, v, v, v, "2026-01-02 03:04:05", v})
	}
	for _, v := range [][]byte{{}, {0, 255}, []byte("looks like text")} {
		rows = append(rows, []any{nil, v, v, v, v, v, v, v})
	}
	storeRows(t, path, "awkward", rows...)
	execute(t, path, "INSERT INTO awkward (a, r, i) VALUES ('inf', 9e999, -9e999)", "DELETE FROM awkward WHERE k > 1000",
		"UPDATE sqlite_sequence SET seq = 4711")
}

// rawRows reads every value as SQLite's own quote() and typeof() show it: an
// oracle that shares nothing with Rows.
func rawRows(t *testing.T, dir, table string) []string {
	t.Helper()
	c, err := connect(t.Context(), filepath.Join(dir, table+fileSuffix), "ro", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	columns, err := c.list(t.Context(), "SELECT name FROM pragma_table_info('"+table+"')")
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, n := range columns {
		// hex() as well: quote() ends a text at its first NUL.
		parts = append(parts, "typeof("+quoteName(n)+") || quote("+quoteName(n)+") || hex("+quoteName(n)+")")
	}
	all, err := c.list(t.Context(), "SELECT "+strings.Join(parts, " || ' ' || ")+" AS v FROM "+quoteName(table)+" ORDER BY v")
	if err != nil || len(all) == 0 {
		t.Fatalf("%d rows, %v", len(all), err)
	}
	return all
}

func TestAwkwardValuesSurvive(t *testing.T) {
	dir, second := t.TempDir(), t.TempDir()
	awkwardTable(t, dir)
	first := dumpDir(t, dir)
	built, err := first.build(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(built, first.Tables) {
		t.Errorf("built %v, dumped %v", built, first.Tables)
	}
	if a, b := rawRows(t, dir, "awkward"), rawRows(t, second, "awkward"); !reflect.DeepEqual(a, b) {
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Errorf("row %.200s\nbecame %.200s", a[i], b[i])
			}
		}
		t.Errorf("%d rows became %d", len(a), len(b))
	}
	again := dumpDir(t, second)
	if !reflect.DeepEqual(again, first) {
		t.Error("a second dump differs")
	}
	s := first.Schemas[0]
	if s.Sequence == nil || *s.Sequence != 4711 || !s.Columns[0].Auto || len(s.SQLite.Indexes) != 2 || s.SQLite.UserVersion != 7 || len(s.Classes) == 0 {
		t.Errorf("schema %+v %+v", s, s.SQLite)
	}
}

func dumpDir(t *testing.T, dir string) dump {
	t.Helper()
	s := open(t, dir)
	return dumpAll(t, s)
}

// TestSchemaSurvives builds tables that differ from what xCAT makes.
func TestSchemaSurvives(t *testing.T) {
	for name, statements := range map[string][]string{
		"renamed":       {"CREATE TABLE x (a TEXT, PRIMARY KEY (a))", "ALTER TABLE x RENAME TO t", "ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'q'"},
		"utf16":         {"PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t (a TEXT)", "INSERT INTO t VALUES ('ü☃')"},
		"pages":         {"PRAGMA page_size = 1024", "PRAGMA auto_vacuum = 1", "CREATE TABLE t (a TEXT)"},
		"without_rowid": {"CREATE TABLE t (a TEXT, b TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID", "INSERT INTO t VALUES ('2', '1'), ('1', '2')"},
		"unused_auto":   {"CREATE TABLE t (recid INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT)"},
		"check":         {"CREATE TABLE t (a TEXT CHECK (length(a) < 9), b TEXT DEFAULT CURRENT_TIMESTAMP UNIQUE)", "INSERT INTO t VALUES ('x', 'y')"},
		"comments":      {"CREATE TABLE /* ; */ t (a TEXT /* ' */, [b c] TEXT, `d` TEXT -- \"\n)"},
		"keys":          {"CREATE TABLE t (v TEXT, b TEXT, a TEXT, PRIMARY KEY (a, b))", "INSERT INTO t VALUES (1, NULL, NULL), (2, NULL, NULL), (3, '', 'z')"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, second := t.TempDir(), t.TempDir()
			makeTable(t, dir, "t", statements...)
			first := dumpDir(t, dir)
			if _, err := first.build(t.Context(), second); err != nil {
				t.Fatal(err)
			}
			if again := dumpDir(t, second); !reflect.DeepEqual(again, first) {
				t.Errorf("dumped %+v\nbuilt  %+v", first, again)
			}
		})
	}
}

func TestOrderIsByKeyThenRest(t *testing.T) {
	dir := t.TempDir()
	makeTable(t, dir, "t", "CREATE TABLE t (v TEXT, k2 VARCHAR(128), k1 INTEGER, PRIMARY KEY (k1, k2))",
		"INSERT INTO t VALUES ('c', 'b', 10), ('a', 'a', 10), ('b', 'B', 9), ('z', NULL, 9), ('y', NULL, 9), ('n', '', 9)")
	want := "#v,k2,k1\n\"y\",,\"9\"\n\"z\",,\"9\"\n\"n\",\"\",\"9\"\n\"b\",\"B\",\"9\"\n\"a\",\"a\",\"10\"\n\"c\",\"b\",\"10\"\n"
	if got := string(dumpDir(t, dir).files["t.csv"]); got != want {
		t.Errorf("dump %q\nwant %q", got, want)
	}
}

// TestDigestIsTheFormat pins the encoding: snapshots made with it lie around.
func TestDigestIsTheFormat(t *testing.T) {
	d := newDigester([]string{"node", "ip"})
	d.row([]Value{text("n1"), null})
	d.row([]Value{text(""), {Text: "\x00", Class: ClassBlob}})
	// printf '\2\4node\2ip\1\2n1\0\1\0\2\1\0' | sha256sum
	want := artifact.Table{Name: "t", Rows: 2, Digest: "sha256:23c29a678bb84792db4715643bd24b17f758ed66772360d5671fee614933cbad"}
	if got := d.table("t"); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBadFiles(t *testing.T) {
	good := func(t *testing.T, dir string) string {
		return makeTable(t, dir, "good", "CREATE TABLE good (k VARCHAR(128), v TEXT, PRIMARY KEY (k))",
			"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2000) INSERT INTO good SELECT 'key'||i, hex(i) FROM n")
	}
	flip := func(t *testing.T, path string, offset int64) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte("\xa5\x5a\xff\x81\x01"), offset)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		make func(t *testing.T, dir string)
		want []string
	}{
		"no_database": {func(t *testing.T, dir string) { write(t, dir, "bad.sqlite", strings.Repeat("text ", 500)) }, []string{`table "bad"`, "bad.sqlite", "not an SQLite database"}},
		"short":       {func(t *testing.T, dir string) { write(t, dir, "bad.sqlite", "SQLite format 3\x00") }, []string{"bad.sqlite", "not an SQLite database"}},
		"page_header": {func(t *testing.T, dir string) { flip(t, good(t, dir), 4096*3) }, []string{`table "good"`, "good.sqlite"}},
		"free_space":  {func(t *testing.T, dir string) { flip(t, good(t, dir), 4096*2+3) }, []string{"good.sqlite"}},
		"truncated": {func(t *testing.T, dir string) {
			if err := os.Truncate(good(t, dir), 4096*5); err != nil {
				t.Fatal(err)
			}
		}, []string{"good.sqlite"}},
		"other_table": {func(t *testing.T, dir string) { makeTable(t, dir, "bad", "CREATE TABLE worse (a)") }, []string{"bad.sqlite", `holds table "worse", not "bad"`}},
		"directory": {func(t *testing.T, dir string) {
			if err := os.Mkdir(filepath.Join(dir, "bad.sqlite"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, []string{"bad.sqlite", "not a regular file"}},
		"odd_name":    {func(t *testing.T, dir string) { write(t, dir, "a b.sqlite", "") }, []string{`"a b.sqlite"`, "characters"}},
		"column_name": {func(t *testing.T, dir string) { makeTable(t, dir, "bad", `CREATE TABLE bad ("a,b" TEXT)`) }, []string{"bad.sqlite", `"a,b"`}},
		"generated":   {func(t *testing.T, dir string) { makeTable(t, dir, "bad", `CREATE TABLE bad (a, b AS (a))`) }, []string{"bad.sqlite", `"b"`, "generated"}},
		"view":        {func(t *testing.T, dir string) { makeTable(t, dir, "bad", `CREATE VIEW bad AS SELECT 1`) }, []string{"bad.sqlite"}},
		"no_files":    {func(*testing.T, string) {}, []string{"no file"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tc.make(t, dir)
			s, err := OpenSQLite(t.Context(), dir, SQLiteOptions{TempDir: t.TempDir()})
			wantError(t, err, append(tc.want, dir)...)
			if s != nil {
				t.Error("a Source beside the error")
			}
		})
	}
	if _, err := OpenSQLite(t.Context(), t.TempDir()+"/none", SQLiteOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLeftOutIsListed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "empty.sqlite", "")
	makeTable(t, dir, "dropped", "CREATE TABLE dropped (a)", "DROP TABLE dropped")
	makeTable(t, dir, "t", "CREATE TABLE t (a TEXT)", "CREATE TABLE t_xcatbackup (a TEXT)", "CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END",
		"INSERT INTO t VALUES (1)", "CREATE INDEX i ON t (a)", "ANALYZE", "CREATE VIEW v AS SELECT * FROM t")
	s := open(t, dir)
	if tables, err := s.Tables(t.Context()); err != nil || !reflect.DeepEqual(tables, []string{"t"}) {
		t.Errorf("tables %v, %v", tables, err)
	}
	var what []string
	for _, l := range s.LeftOut() {
		what = append(what, l.What)
		if l.Reason == "" || !strings.HasPrefix(l.Path, dir) {
			t.Errorf("left out %+v: no path or reason", l)
		}
	}
	got := strings.Join(what, ", ")
	want := "empty database file dropped.sqlite, empty database file empty.sqlite, table t_xcatbackup, trigger tr, table sqlite_stat1, view v"
	if !strings.HasPrefix(strings.ReplaceAll(got, ", table sqlite_stat4", ""), want) {
		t.Errorf("left out %s\nwant %s", got, want)
	}
	second := t.TempDir()
	d := dumpAll(t, s)
	if _, err := d.build(t.Context(), second); err != nil {
		t.Error(err)
	}
}

// TestMemoryIsFlat reads a million rows, fewer under the race detector, which is
// slow: they must not be held.
func TestMemoryIsFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("a million rows take a while")
	}
	dir := t.TempDir()
	makeTable(t, dir, "performance", "CREATE TABLE performance (timestamp VARCHAR(128), node VARCHAR(128), attrname VARCHAR(128), attrvalue TEXT, PRIMARY KEY (timestamp, node, attrname))",
		"PRAGMA synchronous = OFF",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < "+strconv.Itoa(manyRowsInFile)+") INSERT INTO performance SELECT (i*7919)%1000000, 'node'||i, 'load', hex(zeroblob(50)) FROM n")
	s := open(t, dir)
	schema, err := s.Schema(t.Context(), "performance")
	if err != nil {
		t.Fatal(err)
	}
	debug.FreeOSMemory()
	before, most, rows := resident(t), int64(0), 0
	err = s.Rows(t.Context(), schema.Table, func([]Value) error {
		if rows++; rows%50_000 == 0 {
			debug.FreeOSMemory()
			most = max(most, resident(t))
		}
		return nil
	})
	if err != nil || rows != manyRowsInFile {
		t.Errorf("%d rows, %v", rows, err)
	}
	// A row that is held takes 200 bytes at least.
	if grown := (most - before) >> 20; grown > manyRowsInFile*200>>21 {
		t.Errorf("memory grew by %d MiB", grown)
	} else {
		t.Logf("memory grew by %d MiB over %d MiB", grown, before>>20)
	}
}
