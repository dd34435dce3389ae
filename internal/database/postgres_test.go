package database

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestPostgresRealDumpEqualsTabdump reads the database of a real management node
// and compares with what its own xCAT wrote.
func TestPostgresRealDumpEqualsTabdump(t *testing.T) {
	d := dumpPostgres(t, loadReal(t))
	if len(d.Tables) != 73 {
		t.Fatalf("%d tables, want 73", len(d.Tables))
	}
	all := 0
	for _, table := range d.Tables {
		oracle, err := os.ReadFile(filepath.Join(realPostgres, "csv", FileName(table.Name)))
		if err != nil {
			t.Fatal(err)
		}
		_, want, err := readCSV(table.Name, oracle)
		if err != nil {
			t.Fatal(err)
		}
		columns, got, err := readCSV(table.Name, d.files[FileName(table.Name)])
		if err != nil {
			t.Fatal(err)
		}
		header, _, _ := strings.Cut(string(oracle), "\n")
		if !sameColumns(header, columns) {
			t.Errorf("table %s: columns %q, tabdump has %s", table.Name, columns, header)
		}
		all += len(got)
		if g, w := sortedRows(got), sortedRows(want); !slices.Equal(g, w) {
			t.Errorf("table %s: rows\n%q\ntabdump has\n%q", table.Name, g, w)
		}
	}
	if all < 280 {
		t.Errorf("%d rows in all: the fixture has more", all)
	}
}

func sameColumns(header string, columns []string) bool {
	return header == "#"+strings.Join(columns, ",")
}

// TestPostgresRealRoundTrip restores it in databases of both kinds. Row cn05 of
// nodelist, with a snowman in it, is the one that xCAT's own restore lost.
func TestPostgresRealRoundTrip(t *testing.T) {
	first := dumpPostgres(t, loadReal(t))
	for _, encoding := range []string{"SQL_ASCII", "UTF8", "LATIN1"} {
		t.Run(encoding, func(t *testing.T) {
			db := newPostgres(t, encoding)
			if got := first.restore(t, db); !slices.Equal(got, first.Tables) {
				t.Errorf("read back %v\ndumped %v", got, first.Tables)
			}
			again := dumpPostgres(t, db)
			sameDump(t, again, first)
			if !reflect.DeepEqual(again.Schemas, first.Schemas) {
				t.Errorf("schemas %+v\nwant %+v", again.Schemas, first.Schemas)
			}
			if !strings.Contains(string(again.files["nodelist.csv"]), `"Überraschung – ☃"`) {
				t.Error("cn05 has lost its comment")
			}
			// Once more into tables that are there and full.
			first.restore(t, db)
			sameDump(t, dumpPostgres(t, db), first)
		})
	}
}

// TestPostgresAsXCAT checks with psql how texts lie in the database: bytes as
// they are, or each byte as a character.
func TestPostgresAsXCAT(t *testing.T) {
	s := Schema{Table: "t", Columns: []Column{{Name: "a", Type: "text"}}}
	csv := "#a\n\"\xc3\xbc\"\n\"\xff\"\n"
	for encoding, want := range map[string]string{"SQL_ASCII": "\\xc3bc\n\\xff", "UTF8": "\\xc383c2bc\n\\xc3bf"} {
		db := newPostgres(t, encoding)
		tableDump(s, csv).restore(t, db)
		if got := db.Admin(t, `SET client_encoding = 'SQL_ASCII'; SELECT convert_to(a, getdatabaseencoding()) FROM t ORDER BY a COLLATE "C"`); got != want {
			t.Errorf("%s: in the database %q, want %q", encoding, got, want)
		}
	}
}

// TestPostgresValues round-trips what is awkward, through tables that the server
// and xCAT would make.
func TestPostgresValues(t *testing.T) {
	texts := []string{
		`''`, `'\N'`, `'\.'`, `E'a\nb\n\n'`, `E'tab\there'`, `E'\r'`, `E'\\'`, `'"quoted", ''q'' `, `' trailing  '`, `E'\001\013\177'`, `'x'`, `'X'`, `'é'`,
		`repeat('y', 1048576)`,
	}
	texts[7] += `'`
	for _, encoding := range []string{"SQL_ASCII", "UTF8"} {
		t.Run(encoding, func(t *testing.T) {
			all := slices.Clone(texts)
			if encoding == "UTF8" {
				all = append(all, `'☃'`, `'é☃'`, `U&'\FFFF'`, `U&'\+01F600'`)
			}
			db := newPostgres(
				t, encoding, `CREATE TABLE v (k varchar(20), "Odd Name" text, n numeric, f double precision, b bytea, c character(4), t timestamptz, d date, o boolean, i bigint)`,
				`INSERT INTO v ("Odd Name") VALUES (`+strings.Join(all, "), (")+`)`,
				`INSERT INTO v (n) VALUES (NULL), (10), (9), (-1.50), ('NaN'), (12345678901234567890.12), (12345678901234567890.13), (1e20)`,
				`INSERT INTO v (f) VALUES (0.1), (1e300), ('Infinity'), ('-Infinity'), (-0.0), (3), ('NaN')`,
				`INSERT INTO v (b) VALUES ('\x00ff'), (''), ('\x0a')`,
				`INSERT INTO v (c) VALUES ('a'), (''), (E'a\t')`,
				`INSERT INTO v (t, d) VALUES ('infinity', '-infinity'), ('2024-02-29 12:00:00.123456+02', '2024-02-29'), ('0044-03-15 BC', '10000-01-01')`,
				`INSERT INTO v (o, i) VALUES (true, 9007199254740993), (false, 9007199254740992), (NULL, -5)`,
				`CREATE TABLE k (a varchar(128), b varchar(128), c text, PRIMARY KEY (b, a))`,
				`INSERT INTO k VALUES ('a', 'b', ''), ('B', 'a', NULL), ('A', 'a', 'x'), ('é', 'a', 'x'), ('a ', 'a', 'x')`,
				`CREATE TABLE empty (a text)`,
			)
			first := dumpPostgres(t, db)
			into := newPostgres(t, encoding)
			first.restore(t, into)
			again := dumpPostgres(t, into)
			sameDump(t, again, first)
			if !reflect.DeepEqual(again.Schemas, first.Schemas) {
				t.Errorf("schemas %+v\nwant %+v", again.Schemas, first.Schemas)
			}
			// Compare checks the order of the rows.
			found, err := Compare(t.Context(), openPostgres(t, db), openPostgres(t, into), 10)
			if err != nil || len(found) > 0 {
				t.Errorf("compare: %v, %v", found, err)
			}
			for _, want := range []string{`"1E20"`, `"\N"`} {
				if want = strings.Replace(want, "1E20", "100000000000000000000", 1); !strings.Contains(string(first.files["v.csv"]), want) {
					t.Errorf("dump has no %s", want)
				}
			}
		})
	}
}

func TestPostgresSchema(t *testing.T) {
	db := newPostgres(
		t, "UTF8", "CREATE TABLE a (recid serial PRIMARY KEY, old text, x varchar(16) NOT NULL, j jsonb DEFAULT '{}')", "ALTER TABLE a DROP COLUMN old",
		"CREATE TABLE b (z text, y varchar(128), x varchar(128), n bigint GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (x, y) INCLUDE (z))",
		"INSERT INTO a (x) VALUES ('one'), ('two'); DELETE FROM a",
		"CREATE VIEW seen AS SELECT x FROM a", "CREATE INDEX by_x ON a (x)", "ALTER TABLE a ADD CONSTRAINT short CHECK (length(x) < 10), ADD CONSTRAINT once UNIQUE (x)",
		"CREATE SCHEMA other CREATE TABLE hidden (a text)", "CREATE SEQUENCE lonely",
		"CREATE TABLE part (a int, b text) PARTITION BY LIST (a)", "CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1)", "INSERT INTO part VALUES (1, 'x')",
		"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'", "CREATE TRIGGER tr BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f()",
		"ALTER TABLE b ADD FOREIGN KEY (x) REFERENCES a (x)", "CREATE TABLE child () INHERITS (a)", "INSERT INTO child (x) VALUES ('c')",
	)
	p := openPostgres(t, db)
	tables, err := p.Tables(t.Context())
	if want := []string{"a", "b", "child", "part"}; err != nil || !slices.Equal(tables, want) {
		t.Fatalf("tables %q, %v, want %q", tables, err, want)
	}
	three := int64(3) // the child's row took it
	for table, want := range map[string]Schema{
		"a": {Table: "a", Sequence: &three, Columns: []Column{
			{Name: "recid", Type: "integer", NotNull: true, Key: 1, Auto: true},
			{Name: "x", Type: "character varying(16)", NotNull: true},
			{Name: "j", Type: "text"},
		}},
		"b": {Table: "b", Columns: []Column{
			{Name: "z", Type: "text"},
			{Name: "y", Type: "character varying(128)", NotNull: true, Key: 2},
			{Name: "x", Type: "character varying(128)", NotNull: true, Key: 1},
			{Name: "n", Type: "bigint", NotNull: true, Auto: true},
		}},
		"part": {Table: "part", Columns: []Column{{Name: "a", Type: "integer"}, {Name: "b", Type: "text"}}},
	} {
		if got, err := p.Schema(t.Context(), table); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("schema %+v, %v\nwant %+v", got, err, want)
		}
	}
	if _, err := p.Schema(t.Context(), "hidden"); err == nil {
		t.Error("a table of another schema is given")
	}
	d := dumpAll(t, p)
	for _, table := range d.Tables { // rows of a are not those of child
		if want := map[string]int64{"a": 0, "b": 0, "child": 1, "part": 1}[table.Name]; table.Rows != want {
			t.Errorf("table %s: %d rows, want %d", table.Name, table.Rows, want)
		}
	}
	var left []string
	for _, l := range p.LeftOut() {
		if l.Reason == "" {
			t.Errorf("%s: no reason", l.What)
		}
		left = append(left, l.What)
		if strings.HasSuffix(l.Path, " public.a") && l.What == "default recid" || strings.Contains(l.What, "a_recid_seq") {
			t.Errorf("left out %+v, which belongs to a", l)
		}
	}
	for _, want := range []string{
		"view public.seen", "index by_x", "CHECK constraint short", "UNIQUE constraint once", "table other.hidden", "sequence public.lonely",
		"partition public.part_1", "function public.f", "trigger tr", "foreign key b_x_fkey", "parent table a", "default j", "type jsonb j",
	} {
		if !slices.Contains(left, want) {
			t.Errorf("left out %q, not %q", left, want)
		}
	}
}
