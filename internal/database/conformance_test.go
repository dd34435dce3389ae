package database

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestConformance runs the suite on every engine.
func TestConformance(t *testing.T) {
	for _, e := range testEngines() {
		t.Run(e.name(), func(t *testing.T) { conform(t, e) })
	}
}

func testEngines() []testEngine {
	return []testEngine{sqliteEngine(), postgresEngine("UTF8"), postgresEngine("SQL_ASCII"), mariaEngine()}
}

// conform is what every engine promises as Source and Target.
func conform(t *testing.T, e testEngine) {
	for _, c := range []struct {
		name string
		test func(*testing.T, testEngine)
	}{
		{"RealTables", conformReal},
		{"Values", conformValues},
		{"WideKeys", conformWideKeys},
		{"Order", conformOrder},
		{"Names", conformNames},
		{"Sequence", conformSequence},
		{"EmptyTables", conformEmpty},
		{"Replace", conformReplace},
		{"ClearAndDrop", conformClearAndDrop},
		{"ColumnsBesides", conformColumnsBesides},
		{"ColumnsLacking", conformColumnsLacking},
		{"Uncommitted", conformUncommitted},
		{"WrongCSV", conformWrongCSV},
		{"NoNumber", conformNoNumber},
		{"Cancelled", conformCancelled},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, e) })
	}
}

func conformReal(t *testing.T, e testEngine) {
	d := dumpAll(t, open(t, copyReal(t)))
	if found := CheckMove("", e.engine, d.surveyed(t)); found != nil {
		t.Fatalf("obstacles %v", found)
	}
	db := e.newDatabase(t)
	db.fill(t, d)
	db.holds(t, d)
	db.fill(t, d) // over themselves
	db.holds(t, d)
	found, err := Compare(t.Context(), open(t, copyReal(t)), db.source(t), 10)
	if err != nil || found != nil {
		t.Errorf("compared with the first: %v, %v", found, err)
	}
	// Its own dump, with its own schemas, gives the same in a database of its own.
	own := db.dump(t)
	other := e.newDatabase(t)
	other.fill(t, own)
	other.holds(t, d)
	if again := other.dump(t); !reflect.DeepEqual(again.Schemas, own.Schemas) {
		t.Errorf("schemas changed on the way")
	}
	if src := db.source(t); src.Engine() != e.engine || len(src.LeftOut()) > 0 {
		t.Errorf("engine %q, left out %v", src.Engine(), src.LeftOut())
	}
}

// values are those of awkward and more, as far as the engine holds them.
func (e testEngine) values() []Value {
	all := append(awkward(),
		text("x "), text(" x"), text("\t"), text("a\r\nb\r\n"), text("\x7f\x1b[0m\b"), text("%s %n"), text(`\.`), text(`\N`), text("\\"), text("a\\"),
		text("\u0080\u00ff"), text("\u00e9"), text("\xe9t\xe9"), text("e\u0301"), text("\ufeffx"), text(strings.Repeat("\u2603", 350_000)), text("true"), text("-0"),
		text(strings.Repeat("1 MB\n", 1<<20/5)))
	return slices.DeleteFunc(all, func(v Value) bool {
		return e.noZero && strings.Contains(v.Text, "\x00") || e.onlyUTF8 && !utf8.ValidString(v.Text)
	})
}

func conformValues(t *testing.T, e testEngine) {
	s := &Schema{Table: "nodelist", Columns: []Column{
		{Name: "node", Type: "VARCHAR(128)", Key: 1}, {Name: "groups", Type: "TEXT"}, {Name: "comments", Type: "TEXT"}, {Name: "disable", Type: "TEXT"},
	}}
	var rows [][]Value
	all := e.values()
	for i := range all {
		rows = append(rows, []Value{text(fmt.Sprintf("n%03d", i)), all[i], all[(i*7+5)%len(all)], []Value{null, text(""), text("1"), text("0")}[i%4]})
	}
	// All that a key can hold, and the same with what a collation might not see.
	for i, v := range all {
		if !v.Null && len(v.Text) < 100 {
			rows = append(rows, []Value{text(fmt.Sprintf("k%03d", i) + v.Text + "."), null, null, null})
		}
	}
	d := dumpOf(t, map[*Schema][][]Value{s: rows})
	db := e.newDatabase(t)
	db.fill(t, d)
	db.holds(t, d)
}

// conformWideKeys fills keys up to the width that CheckMove lets pass, with bytes
// that a server cannot make shorter.
func conformWideKeys(t *testing.T, e testEngine) {
	for name, tc := range map[string]struct{ from, to byte }{"ascii": {'!', '~'}, "latin1": {0x80, 0xFF}} {
		if e.onlyUTF8 && tc.to == 0xFF {
			continue
		}
		t.Run(name, func(t *testing.T) {
			s := &Schema{Table: "t", Columns: []Column{{Name: "a", Type: "TEXT", Key: 1}, {Name: "b", Type: "VARCHAR(128)", Key: 2}, {Name: "c", Type: "TEXT"}}}
			g := rand.New(rand.NewPCG(1, 2))
			widest := func(n int) dump {
				var rows [][]Value
				for range 3 {
					key := make([]byte, n)
					for i := range key {
						key[i] = tc.from + byte(g.IntN(int(tc.to-tc.from)+1))
					}
					rows = append(rows, []Value{text(string(key)), text("eth0"), null})
				}
				return dumpOf(t, map[*Schema][][]Value{s: rows})
			}
			n := sort.Search(10_000, func(n int) bool { return CheckMove("", e.engine, widest(n+1).surveyed(t)) != nil })
			t.Logf("%d bytes", n)
			d, db := widest(n), e.newDatabase(t)
			db.fill(t, d)
			db.holds(t, d)
		})
	}
}

func conformOrder(t *testing.T, e testEngine) {
	deps := &Schema{Table: "deps", Columns: []Column{ // the key is not at the front
		{Name: "node", Type: "VARCHAR(128)", Key: 1}, {Name: "nodedep", Type: "TEXT"}, {Name: "msdelay", Type: "TEXT"}, {Name: "cmd", Type: "VARCHAR(128)", Key: 2},
	}}
	mixed := &Schema{Table: "mixed", Columns: []Column{ // nor in the order of the columns
		{Name: "a", Type: "VARCHAR(128)", Key: 2}, {Name: "b", Type: "VARCHAR(128)", Key: 1}, {Name: "c", Type: "TEXT"},
	}}
	audit := &Schema{Table: "auditlog", Columns: []Column{{Name: "recid", Type: "INTEGER", Key: 1, Auto: true}, {Name: "args", Type: "TEXT"}}}
	last := int64(2000)
	audit.Sequence = &last
	keyless := &Schema{Table: "keyless", Columns: []Column{{Name: "x", Type: "TEXT"}, {Name: "y", Type: "TEXT"}}}
	pair := func(a, b string) []Value { return []Value{text(a), null, text("x"), text(b)} }
	d := dumpOf(t, map[*Schema][][]Value{
		deps:    {pair("n1", "off"), pair("n1", "on"), pair("n10", "on"), pair("n2", "on"), pair("N2", "offline"), pair("n", "z"), pair("\u00e4", "a"), pair("z", "")},
		mixed:   {{text("b"), text("x"), null}, {text("a"), text("y"), null}, {text("c"), text("x"), null}},
		audit:   {{text("9"), null}, {text("10"), text("x")}, {text("100"), null}, {text("1"), text("")}},
		keyless: {{null, text("b")}, {text(""), null}, {null, null}, {text("x"), text("y")}, {text("x"), text("y")}, {text("x"), text("Y")}, {text("x "), null}, {text("10"), null}, {text("9"), null}},
	})
	db := e.newDatabase(t)
	db.fill(t, d)
	db.holds(t, d)
	// Compare looks at the order while it reads.
	found, err := Compare(t.Context(), db.source(t), db.source(t), 10)
	if err != nil || found != nil {
		t.Errorf("compared with itself: %v, %v", found, err)
	}
}

// conformNames has tables and columns that are not xCAT's, and words that SQL
// keeps for itself.
func conformNames(t *testing.T, e testEngine) {
	tables := map[*Schema][][]Value{}
	for _, name := range []string{"x_teal_log", "Kit-Foo.bar", "select", "table", "MixedCase", "a", strings.Repeat("l", 60)} {
		s := &Schema{Table: name, Columns: []Column{{Name: "key", Type: "VARCHAR(128)", Key: 1}}}
		for _, c := range []string{"order", "group", "Desc", "my col", "it's", "back`tick", "back\\slash", "50%", "$1", "?", "ünicode"} {
			s.Columns = append(s.Columns, Column{Name: c, Type: "TEXT"})
		}
		row := []Value{text("k")}
		for i := range s.Columns[1:] {
			row = append(row, text(fmt.Sprint(i)))
		}
		tables[s] = [][]Value{row}
	}
	d := dumpOf(t, tables)
	db := e.newDatabase(t)
	db.fill(t, d)
	db.holds(t, d)
}

func conformSequence(t *testing.T, e testEngine) {
	for name, tc := range map[string]struct {
		last *int64
		rows [][]Value
	}{
		"behind_the_rows": {new(int64(7)), [][]Value{{text("3"), text("x")}, {text("7"), null}}},
		"far_behind":      {new(int64(1000)), [][]Value{{text("3"), text("x")}}},
		"no_rows":         {new(int64(41)), nil},
		"never":           {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Schema{Table: "auditlog", Sequence: tc.last, Columns: []Column{{Name: "recid", Type: "INTEGER", Key: 1, Auto: true}, {Name: "args", Type: "TEXT"}}}
			d := dumpOf(t, map[*Schema][][]Value{s: tc.rows})
			db := e.newDatabase(t)
			db.fill(t, d)
			db.holds(t, d)
			if got := db.dump(t).Schemas[0].Sequence; !reflect.DeepEqual(got, tc.last) {
				t.Errorf("sequence %v, want %v", show(got), show(tc.last))
			}
			db.run(t, "auditlog", "INSERT INTO auditlog (args) VALUES ('next')")
			want := fmt.Sprintf("\"%d\",\"next\"\n", 1+deref(tc.last))
			if got := string(db.dump(t).files["auditlog.csv"]); !strings.HasSuffix(got, want) {
				t.Errorf("rows %q, want %q at the end", got, want)
			}
		})
	}
}

func deref(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func show(n *int64) string {
	if n == nil {
		return "none"
	}
	return fmt.Sprint(*n)
}

// conformEmpty prepares tables that get no rows, and some that get none by Put.
func conformEmpty(t *testing.T, e testEngine) {
	d := nodes(t, "old")
	for name := range d.files {
		d.files[name] = []byte("#node,ip,disable\n")
	}
	for i, s := range d.Schemas {
		d.Tables[i] = newDigester(s.names()).table(s.Table)
	}
	db := e.newDatabase(t)
	tgt, did := db.open(t, d)
	if len(did) > 0 {
		t.Errorf("did %q to tables that were not there", did)
	}
	if got, err := tgt.Put(t.Context(), d.Schemas[0], bytes.NewReader(d.files[FileName(d.Schemas[0].Table)])); err != nil || got != d.Tables[0] {
		t.Errorf("put %v, %v", got, err)
	}
	if err := errors.Join(tgt.Commit(t.Context()), tgt.Close()); err != nil {
		t.Fatal(err)
	}
	db.holds(t, d)
}

// nodes is a dump of six tables with two rows each, whose values are marked.
func nodes(t testing.TB, mark string) dump {
	t.Helper()
	tables := map[*Schema][][]Value{}
	for _, name := range []string{"bootparams", "hosts", "ipmi", "mac", "nodelist", "vpd"} {
		s := &Schema{Table: name, Columns: []Column{{Name: "node", Type: "VARCHAR(128)", Key: 1}, {Name: "ip", Type: "TEXT"}, {Name: "disable", Type: "TEXT", NotNull: name == "vpd"}}}
		tables[s] = [][]Value{{text("n1"), text(mark), text("")}, {text("n2-" + mark), null, text("1")}}
	}
	return dumpOf(t, tables)
}

// conformReplace leaves tables alone that it was not given.
func conformReplace(t *testing.T, e testEngine) {
	was, now := nodes(t, "old"), nodes(t, "new")
	db := e.newDatabase(t)
	db.fill(t, was)
	some := now
	some.Tables, some.Schemas = now.Tables[:3], now.Schemas[:3]
	db.fill(t, some)
	for i := range 3 {
		was.Tables[i] = now.Tables[i]
		was.files[FileName(now.Tables[i].Name)] = now.files[FileName(now.Tables[i].Name)]
	}
	db.holds(t, was)
}
