package database

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// content is what a database holds, for comparing before and after.
func content(t testing.TB, l hosttest.MariaDBLogin) string {
	t.Helper()
	d := dumpMaria(t, l)
	var b strings.Builder
	for _, table := range d.Tables {
		fmt.Fprintf(&b, "%s\n%s", table.Name, d.files[FileName(table.Name)])
	}
	return b.String()
}

// TestMariaSnowman puts a character that latin1 lacks into tables as
// mysqlsetup makes them: xCAT's tabrestore empties the table there.
func TestMariaSnowman(t *testing.T) {
	const ddl = `CREATE TABLE nodelist (node VARCHAR(128) NOT NULL PRIMARY KEY, ` + "`groups`" + ` TEXT, comments TEXT) CHARACTER SET latin1`
	server, l := newMaria(t, "latin1", ddl, "INSERT INTO nodelist VALUES ('old', 'all', 'stays if all fails')",
		"CREATE TABLE plain (k VARCHAR(128) NOT NULL PRIMARY KEY) CHARACTER SET latin1")
	d := handMade(t, nodelistSchema(), texts("cn01", "all", "plain"), texts("cn05", "all", "☃ and 😀"), texts("cn06", "all", "ü"))
	plain := handMade(t, Schema{Table: "plain", Columns: []Column{{Name: "k", Type: "TEXT", Key: 1}}}, texts("a"))
	d.Tables, d.Schemas = append(d.Tables, plain.Tables...), append(d.Schemas, plain.Schemas...)
	d.files["plain.csv"] = plain.files["plain.csv"]
	did, err := d.restoreMaria(t, l)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`table "nodelist": converted from latin1 to utf8mb4, collation utf8mb4_swedish_ci, for the texts of column "comments"`}
	if !reflect.DeepEqual(did, want) {
		t.Errorf("did %q, want %q", did, want)
	}
	if again := dumpMaria(t, l); !reflect.DeepEqual(again.Tables, d.Tables) {
		t.Errorf("%v, want %v", again.Tables, d.Tables)
	}
	if made := server.Admin(t, "SHOW CREATE TABLE "+l.Name+".plain"); !strings.Contains(made, "latin1") {
		t.Errorf("a table that needs nothing was converted: %s", made)
	}
}

// TestMariaNewTableIsUnicode holds that the latin1 of the database is not asked.
func TestMariaNewTableIsUnicode(t *testing.T) {
	server, l := newMaria(t, "latin1")
	if _, err := handMade(t, nodelistSchema(), texts("cn05", "all", "☃")).restoreMaria(t, l); err != nil {
		t.Fatal(err)
	}
	made := server.Admin(t, "SHOW CREATE TABLE "+l.Name+".nodelist")
	for _, part := range []string{"InnoDB", "utf8mb4_general_ci", "ROW_FORMAT=DYNAMIC", "`node` varchar(128) NOT NULL", "`comments` text DEFAULT NULL"} {
		if !strings.Contains(made, part) {
			t.Errorf("no %q in %s", part, made)
		}
	}
}

// TestMariaCells puts what is hard to quote, to hold or to keep.
func TestMariaCells(t *testing.T) {
	var control strings.Builder
	for b := range byte(0x20) {
		control.WriteByte(b)
	}
	rows := [][]Value{
		texts(" ", "", "NULL"), texts("1mb", strings.Repeat("☃'\"\\\n", 1<<17), strings.Repeat("'", 1<<20)), texts("3mb", strings.Repeat("x", 3<<20), ""),
		texts("\t", "tab as the key", "x  "), texts("blanks", "  x  ", "\r\n\n"), texts("control", control.String()+"\x7f\u0085\ufeff", "\x00"),
		texts("quotes", `'`, `\`), texts("sql", `'); DROP TABLE nodelist; -- `, `\'); DROP TABLE nodelist; -- `), texts("zero", "\x00\x00", "a\x00"),
	}
	s := nodelistSchema()
	// In the order that Source promises.
	var sorted [][]Value
	for _, key := range []string{"\t", " ", "1mb", "3mb", "blanks", "control", "quotes", "sql", "zero"} {
		for _, r := range rows {
			if r[0].Text == key {
				sorted = append(sorted, r)
			}
		}
	}
	_, l := newMaria(t, "latin1")
	if _, err := handMade(t, s, sorted...).restoreMaria(t, l); err != nil {
		t.Fatal(err)
	}
	src := openMaria(t, l)
	var got [][]Value
	if err := src.Rows(t.Context(), "nodelist", func(row []Value) error {
		got = append(got, append([]Value(nil), row...))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, sorted) {
		t.Errorf("%d rows came back otherwise", len(got))
	}
}

// TestMariaRefused is what a target cannot hold: an error that says where, and
// the old rows as they were.
func TestMariaRefused(t *testing.T) {
	key := func(c Column) Schema { return Schema{Table: "t", Columns: []Column{c, {Name: "v", Type: "TEXT"}}} }
	text := key(Column{Name: "k", Type: "VARCHAR(128)", NotNull: true, Key: 1})
	blob := text
	blob.Classes = []ClassRun{{Column: 1, Class: ClassBlob, First: 2, Last: 2}}
	const plain = "CREATE TABLE t (k VARCHAR(128) NOT NULL PRIMARY KEY, v TEXT) CHARACTER SET "
	for name, tc := range map[string]struct {
		ddl  string
		s    Schema
		rows [][]Value
		want []string
	}{
		"case":             {plain + "latin1", text, [][]Value{texts("A", "1"), texts("a", "geheim"), texts("b", "2")}, []string{"row 2", "differ only in case"}},
		"trailing blank":   {plain + "utf8mb4", text, [][]Value{texts("geheim", "1"), texts("geheim ", "2")}, []string{"row 2", "trailing blanks"}},
		"not UTF-8":        {plain + "utf8mb4", text, [][]Value{texts("a", "1"), texts("b", "geheim\xff")}, []string{"row 2", `column "v"`, "no UTF-8"}},
		"null key":         {plain + "latin1", text, [][]Value{texts("NULL", "1")}, []string{"row 1", `column "k"`, "NULL"}},
		"blob":             {plain + "latin1", blob, [][]Value{texts("a", "1"), texts("b", "geheim")}, []string{"row 2", `column "v"`, "class blob"}},
		"lacks column":     {"CREATE TABLE t (k INT PRIMARY KEY)", text, [][]Value{texts("1", "1")}, []string{`column "v"`, "has none"}},
		"computed column":  {"CREATE TABLE t (k INT PRIMARY KEY, v INT AS (k + 1))", text, [][]Value{texts("1", "1")}, []string{`column "v"`, "computed"}},
		"must not be null": {"CREATE TABLE t (k INT PRIMARY KEY, v TEXT, w INT NOT NULL DEFAULT 3)", text, [][]Value{texts("1", "1")}, []string{`column "w"`, "may not be NULL"}},
		"no number":        {"CREATE TABLE t (k INT PRIMARY KEY, v INT)", text, [][]Value{texts("1", "1"), texts("2", "geheim")}, []string{"row 2", `column "v"`}},
		"rounded":          {"CREATE TABLE t (k INT PRIMARY KEY, v DECIMAL(5,1))", text, [][]Value{texts("1", "1.0"), texts("2", "7.77")}, []string{"row 2", `column "v"`}},
		"long key":         {plain + "utf8mb4", text, [][]Value{texts(strings.Repeat("geheim", 1000), "1")}, []string{`column "k"`, "does not take in a key"}},
		"check":            {"CREATE TABLE t (k INT PRIMARY KEY, v INT, CHECK (v < 9))", text, [][]Value{texts("1", "1"), texts("2", "10")}, []string{"row 2", "CHECK"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, l := newMaria(t, "latin1", tc.ddl, "INSERT INTO t (k) VALUES ('1')")
			before := content(t, l)
			_, err := handMade(t, tc.s, tc.rows...).restoreMaria(t, l)
			wantError(t, err, append(tc.want, `table "t"`)...)
			if strings.Contains(fmt.Sprint(err), "geheim") {
				t.Errorf("a value in %q", err)
			}
			if after := content(t, l); after != before {
				t.Errorf("afterwards\n%s\nbefore\n%s", after, before)
			}
		})
	}
}

// TestMariaRefusedUnannounced puts values that Prepare was not told of: the
// server, which would cut some of them with a warning only, must not.
func TestMariaRefusedUnannounced(t *testing.T) {
	s := Schema{Table: "t", Columns: []Column{{Name: "k", Type: "INTEGER", NotNull: true, Key: 1}, {Name: "v", Type: "TEXT"}}}
	for name, tc := range map[string]struct{ typ, v, want string }{
		"too long":        {"VARCHAR(5)", "geheim", "too long"},
		"blanks too long": {"VARCHAR(5)", "a         ", "make it fit"},
		"no latin1":       {"TEXT CHARACTER SET latin1", "☃", "character set"},
		"no ascii":        {"VARCHAR(9) CHARACTER SET ascii", "ü", "character set"},
		"no date":         {"DATE", "2024-02-30", "row 3"},
		"padded":          {"CHAR(5)", "a ", "CHAR"},
	} {
		t.Run(name, func(t *testing.T) {
			_, l := newMaria(t, "latin1", "CREATE TABLE t (k INT PRIMARY KEY, v "+tc.typ+")", "INSERT INTO t (k) VALUES (1)")
			before := content(t, l)
			m := openMariaTarget(t, l)
			if _, err := m.Prepare(t.Context(), []Shape{{Schema: s}}); err != nil {
				t.Fatal(err)
			}
			d := handMade(t, s, texts("1", "NULL"), texts("2", "NULL"), texts("3", tc.v), texts("4", "NULL"))
			_, err := m.Put(t.Context(), s, bytes.NewReader(d.files["t.csv"]))
			wantError(t, err, `table "t": row 3: column "v"`, tc.want)
			wantError(t, m.Commit(t.Context()), "could not be replaced")
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			if after := content(t, l); after != before {
				t.Errorf("afterwards\n%s\nbefore\n%s", after, before)
			}
		})
	}
}

// TestMariaExtraColumns holds that columns of a newer xCAT become NULL, not
// their default.
func TestMariaExtraColumns(t *testing.T) {
	server, l := newMaria(t, "latin1", "CREATE TABLE nodelist (extra TEXT, comments TEXT, node VARCHAR(128) PRIMARY KEY, more INT DEFAULT 5, `groups` TEXT, sum INT AS (more + 1))",
		"INSERT INTO nodelist VALUES ('x', 'x', 'x', 7, 'x', DEFAULT)")
	if _, err := handMade(t, nodelistSchema(), texts("a", "b", "c"), texts("d", "NULL", "")).restoreMaria(t, l); err != nil {
		t.Fatal(err)
	}
	if got, want := server.Admin(t, "SELECT * FROM "+l.Name+".nodelist ORDER BY node"), "NULL\tc\ta\tNULL\tb\tNULL\nNULL\t\td\tNULL\tNULL\tNULL\n"; got != want {
		t.Errorf("rows %q, want %q", got, want)
	}
}

// TestMariaWidens prepares tables that could not take what comes.
func TestMariaWidens(t *testing.T) {
	_, l := newMaria(t, "latin1", "CREATE TABLE nodelist (node VARCHAR(10) PRIMARY KEY, `groups` VARCHAR(20), comments TEXT DEFAULT 'x') ENGINE=MyISAM CHARACTER SET latin1",
		"INSERT INTO nodelist VALUES ('old', 'o', 'o')")
	before := content(t, l)
	d := handMade(t, nodelistSchema(), texts("a", "b", strings.Repeat("c", 70000)), texts(strings.Repeat("k", 300), strings.Repeat("g", 21), "c"))
	m := openMariaTarget(t, l)
	did, err := m.Prepare(t.Context(), d.shapes(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`table "nodelist": engine MyISAM made InnoDB, whose changes can be taken back`,
		`table "nodelist": column "node" widened from varchar(10) to VARCHAR(300)`,
		`table "nodelist": column "groups" widened from varchar(20) to TEXT`,
		`table "nodelist": column "comments" widened from text to MEDIUMTEXT, its default value is gone`,
	}
	if !reflect.DeepEqual(did, want) {
		t.Errorf("did %q\nwant %q", did, want)
	}
	if after := content(t, l); after != before {
		t.Errorf("rows changed: %s", after)
	}
	if _, err := m.Prepare(t.Context(), nil); err == nil {
		t.Error("prepared twice")
	}
	if did, err := d.restoreMaria(t, l); err != nil || len(did) > 0 {
		t.Errorf("did %q again, %v", did, err)
	}
}

// TestMariaClearAndDrop changes nothing before Commit, and everything with it.
func TestMariaClearAndDrop(t *testing.T) {
	_, l := newMaria(t, "latin1", "CREATE TABLE a (k INT PRIMARY KEY)", "CREATE TABLE b (k INT PRIMARY KEY)", "CREATE TABLE c (k INT PRIMARY KEY) ENGINE=MyISAM",
		"CREATE TABLE d (k INT PRIMARY KEY) ENGINE=Aria", "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1)", "INSERT INTO c VALUES (1)", "INSERT INTO d VALUES (1)")
	before := content(t, l)
	run := func() *MariaDBTarget {
		m := openMariaTarget(t, l)
		for _, table := range []string{"a", "c"} {
			if err := m.Clear(t.Context(), table); err != nil {
				t.Fatal(err)
			}
		}
		for _, table := range []string{"b", "d"} {
			if err := m.Drop(t.Context(), table); err != nil {
				t.Fatal(err)
			}
		}
		return m
	}
	if err := run().Close(); err != nil {
		t.Fatal(err)
	}
	if after := content(t, l); after != before {
		t.Errorf("given up, and\n%s", after)
	}
	if err := run().Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := content(t, l), "a\n#k\nc\n#k\n"; got != want {
		t.Errorf("afterwards %q, want %q", got, want)
	}
	m := openMariaTarget(t, l)
	wantError(t, m.Clear(t.Context(), "none"), `table "none"`)
}

// TestMariaHostileSchema holds that nothing of a snapshot gets into SQL unless
// it is a name in quotes or a type of the list.
func TestMariaHostileSchema(t *testing.T) {
	_, l := newMaria(t, "latin1", "CREATE TABLE victim (k INT PRIMARY KEY)")
	evil := "TEXT); DROP TABLE victim; -- "
	s := Schema{
		Table: "t", Collation: "utf8mb4_general_ci; DROP TABLE victim",
		Columns: []Column{{Name: "k`); DROP TABLE victim; --", Type: "VARCHAR(10)", Key: 1}, {Name: "v' \\", Type: evil}, {Name: "w", Type: "enum('x') " + evil}},
	}
	d := handMade(t, s, texts("a", "b", "c"))
	if _, err := d.restoreMaria(t, l); err == nil {
		again := dumpMaria(t, l)
		if len(again.Tables) != 2 || again.Tables[0].Digest != d.Tables[0].Digest {
			t.Errorf("tables %v", again.Tables)
		}
	}
	if d := dumpMaria(t, l); d.Tables[len(d.Tables)-1].Name != "victim" {
		t.Errorf("tables %v", d.Tables)
	}
	m := openMariaTarget(t, l)
	s.Table = "victim`x"
	_, err := m.Prepare(t.Context(), []Shape{{Schema: s}})
	wantError(t, err, "name has other characters")
}

// TestMariaTriggersRefused: a trigger would write where nobody looks.
func TestMariaTriggersRefused(t *testing.T) {
	_, l := newMaria(t, "latin1", "CREATE TABLE nodelist (node VARCHAR(128) PRIMARY KEY, `groups` TEXT, comments TEXT)",
		"CREATE TRIGGER ring AFTER INSERT ON nodelist FOR EACH ROW SET @x = 1")
	_, err := handMade(t, nodelistSchema()).restoreMaria(t, l)
	wantError(t, err, `table "nodelist"`, "1 triggers")
	wantError(t, openMariaTarget(t, l).Clear(t.Context(), "nodelist"), `table "nodelist"`, "1 triggers")
}

// TestMariaConvertKeepsRows: Prepare may not be taken back, so what was there
// must be there still, in the same bytes.
func TestMariaConvertKeepsRows(t *testing.T) {
	_, l := newMaria(t, "latin1", "CREATE TABLE nodelist (node VARCHAR(128) PRIMARY KEY, `groups` TEXT, comments VARCHAR(16000)) ROW_FORMAT=COMPACT",
		"INSERT INTO nodelist VALUES ('ü', '€', REPEAT('ü', 16000)), ('UE', REPEAT('ß', 60000), NULL)")
	before := content(t, l)
	m := openMariaTarget(t, l)
	did, err := m.Prepare(t.Context(), handMade(t, nodelistSchema(), texts("☃", "", "")).shapes(t))
	if err != nil || len(did) != 1 {
		t.Fatalf("did %q, %v", did, err)
	}
	if after := content(t, l); after != before {
		t.Error("rows changed")
	}
}

// TestMariaNoRights names the table that a user may not write to.
func TestMariaNoRights(t *testing.T) {
	server, l := newMaria(t, "latin1", "CREATE TABLE nodelist (node VARCHAR(128) PRIMARY KEY, `groups` TEXT, comments TEXT)")
	d := handMade(t, nodelistSchema(), texts("a", "b", "c"))
	server.Admin(t, "CREATE OR REPLACE USER reader@'%' IDENTIFIED BY 'p'; GRANT SELECT, TRIGGER ON "+l.Name+".* TO reader@'%'")
	l.User, l.Password = "reader", "p"
	_, err := d.restoreMaria(t, l)
	wantError(t, err, `table "nodelist": DELETE command denied`)
	d.Schemas[0].Table, d.files["other.csv"] = "other", d.files["nodelist.csv"]
	_, err = d.restoreMaria(t, l)
	wantError(t, err, `table "other": prepare: CREATE command denied`)
}
