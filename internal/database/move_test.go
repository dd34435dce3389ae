package database

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestCheckMove(t *testing.T) {
	long := strings.Repeat("x", 64)
	key := Column{Name: "node", Type: "VARCHAR(128)", Key: 1}
	plain := Column{Name: "ip", Type: "TEXT"}
	auto := Column{Name: "recid", Type: "INTEGER", Key: 1, Auto: true}
	shape := func(columns []Column, surveys ...ColumnSurvey) Shape {
		return Shape{Schema: Schema{Table: "t", Columns: columns}, Survey: Survey{Rows: 9, Columns: surveys}}
	}
	blob := shape([]Column{key, plain})
	blob.Schema.Classes = []ClassRun{{Column: 1, Class: ClassBlob, First: 3, Last: 5}, {Column: 1, Class: ClassReal, First: 7, Last: 7}}
	wide := shape([]Column{plain})
	for i := range 1200 {
		wide.Schema.Columns = append(wide.Schema.Columns, Column{Name: fmt.Sprint("c", i), Type: "TEXT"})
	}
	for name, tc := range map[string]struct {
		shape Shape
		want  map[Engine][]string // by target
	}{
		"nothing":    {shape([]Column{key, plain}, ColumnSurvey{Longest: 128}, ColumnSurvey{Longest: 1 << 20, Null: 1, Wide: 2}), nil},
		"unsurveyed": {shape([]Column{key, plain}), nil},
		"classes": {blob, map[Engine][]string{
			EnginePostgres: {`table "t": column "ip": rows 3 to 5: blob where the column holds none`, `table "t": column "ip": row 7: real where the column holds none`},
			EngineMariaDB:  {`table "t": column "ip": rows 3 to 5: blob where the column holds none`, `table "t": column "ip": row 7: real where the column holds none`},
			EngineSQLite:   {`table "t": column "ip": rows 3 to 5: blob where the column holds none`, `table "t": column "ip": row 7: real where the column holds none`},
		}},
		"bytes": {shape([]Column{key, plain}, ColumnSurvey{Zero: 2, Wide: 3, NotUTF8: 4}, ColumnSurvey{Zero: 5, Wide: 6, NotUTF8: 7}), map[Engine][]string{
			EnginePostgres: {`table "t": column "node": row 2: byte 0, which PostgreSQL does not hold in a text`, `table "t": column "ip": row 5: byte 0, which PostgreSQL does not hold in a text`},
			EngineMariaDB:  {`table "t": column "node": row 4: bytes that are no UTF-8, which MariaDB does not hold in a text`, `table "t": column "ip": row 7: bytes that are no UTF-8, which MariaDB does not hold in a text`},
		}},
		"null_in_key": {shape([]Column{key, plain}, ColumnSurvey{Null: 1}), map[Engine][]string{
			EnginePostgres: {`table "t": column "node": row 1: NULL in a column of the key, which only SQLite has`},
			EngineMariaDB:  {`table "t": column "node": row 1: NULL in a column of the key, which only SQLite has`},
		}},
		"null_in_not_null": {shape([]Column{key, {Name: "x", Type: "TEXT", NotNull: true}}, ColumnSurvey{}, ColumnSurvey{Null: 8}), map[Engine][]string{
			EnginePostgres: {`table "t": column "x": row 8: NULL in a column that has none by its own schema`},
			EngineMariaDB:  {`table "t": column "x": row 8: NULL in a column that has none by its own schema`},
			EngineSQLite:   {`table "t": column "x": row 8: NULL in a column that has none by its own schema`},
		}},
		"numbers": {shape([]Column{auto, {Name: "n", Type: "int"}}, ColumnSurvey{NotInteger: 3}, ColumnSurvey{NotInteger: 4}), map[Engine][]string{
			EnginePostgres: {`table "t": column "recid": row 3: no integer in a column of integers`, `table "t": column "n": row 4: no integer in a column of integers`},
			EngineMariaDB:  {`table "t": column "recid": row 3: no integer in a column of integers`},
			EngineSQLite:   {`table "t": column "recid": row 3: no integer in a column of integers`, `table "t": column "n": row 4: no integer in a column of integers`},
		}},
		"sorted_by_integer": {shape([]Column{{Name: "n", Type: "INTEGER", Key: 1}}), map[Engine][]string{
			EngineMariaDB: {`table "t": column "n": its numbers, by which rows are sorted, become text`},
		}},
		"key_too_long": {shape([]Column{key, {Name: "b", Type: "TEXT", Key: 2}}, ColumnSurvey{Longest: 641}, ColumnSurvey{Longest: 980, Wide: 1}), map[Engine][]string{
			EnginePostgres: {`table "t": key takes up to 2601 bytes, an index of postgres holds 2600`},
			EngineMariaDB:  {`table "t": key takes up to 6484 bytes, an index of mariadb holds 3072`},
		}},
		"key_just_fits": {shape([]Column{key, {Name: "b", Type: "TEXT", Key: 2}}, ColumnSurvey{Longest: 640}, ColumnSurvey{Longest: 128}), nil},
		"sorted_by_real": {shape([]Column{{Name: "t", Type: "REAL", Key: 1}, {Name: "r", Type: "REAL"}}), map[Engine][]string{
			EnginePostgres: {`table "t": column "t": its numbers, by which rows are sorted, become text`},
			EngineMariaDB:  {`table "t": column "t": its numbers, by which rows are sorted, become text`},
			EngineSQLite:   {`table "t": column "t": its numbers, by which rows are sorted, become text`},
		}},
		"auto_twice": {shape([]Column{auto, {Name: "n", Type: "INTEGER", Auto: true}}), map[Engine][]string{
			EngineMariaDB: {
				`table "t": column "recid": is numbered by the engine, which MariaDB does for one column of a table`,
				`table "t": column "n": is numbered by the engine, which MariaDB does for one column of a table`,
			},
			EngineSQLite: {`table "t": column "n": is numbered by the engine, which SQLite does for the only column of a key`},
		}},
		"long_name": {shape([]Column{key, {Name: long, Type: "TEXT"}}), map[Engine][]string{
			EnginePostgres: {`table "t": column "` + long + `": name is too long for postgres`},
		}},
		"many_columns": {wide, map[Engine][]string{EngineMariaDB: {`table "t": 1201 columns, mariadb has at most 1017`}}},
	} {
		for _, to := range []Engine{EngineSQLite, EnginePostgres, EngineMariaDB} {
			t.Run(name+"_"+string(to), func(t *testing.T) {
				var got []string
				for _, o := range CheckMove("another", to, []Shape{tc.shape}) {
					got = append(got, o.String())
				}
				if !reflect.DeepEqual(got, tc.want[to]) {
					t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want[to], "\n"))
				}
				if same := CheckMove(to, to, []Shape{tc.shape}); same != nil {
					t.Errorf("within one engine: %v", same)
				}
			})
		}
	}
}

// checkKeys hands all rows to a check, as often as it wants them.
func checkKeys(s Schema, collation string, rows [][]Value) ([]Collision, int64) {
	k := NewKeyCheck(s, collation)
	for again := true; again; again = !k.again && k.Again() {
		for _, row := range rows {
			k.Row(row)
		}
	}
	return k.Collisions()
}

func TestKeyCheck(t *testing.T) {
	s := Schema{Table: "passwd", Columns: []Column{
		{Name: "password", Type: "TEXT"}, {Name: "username", Type: "VARCHAR(128)", Key: 2}, {Name: "key", Type: "VARCHAR(128)", Key: 1},
	}}
	row := func(key, user Value) []Value { return []Value{text("s3cret"), user, key} }
	rows := [][]Value{
		row(text("a"), text("root")), row(text("A "), text("ROOT")), row(text("\u00e4"), text("root  ")),
		row(text(""), text("roota")), row(text("ar"), text("oot")), row(null, text("x")), row(null, text("x")), row(text("b"), text("")),
	}
	got, total := checkKeys(s, "", rows)
	want := []string{
		`table "passwd": rows username="root" key="a" and username="ROOT" key="A ": the same key in MariaDB, which ignores case, accents and trailing blanks`,
		`table "passwd": rows username="root" key="a" and username="root  " key="` + "\u00e4" + `": the same key in MariaDB, which ignores case, accents and trailing blanks`,
	}
	if total != 2 || len(got) != 2 || got[0].String() != want[0] || got[1].String() != want[1] {
		t.Errorf("%d collisions: %v", total, got)
	}
	if got, total := checkKeys(s, "utf8mb4_bin", rows); total != 0 || got != nil {
		t.Errorf("with the collation of bytes: %d: %v", total, got)
	}
	if got, total := checkKeys(s, "utf8mb4_swedish_ci", rows); total != 1 || len(got) != 1 {
		t.Errorf("with the Swedish collation, where two of these are another letter: %d: %v", total, got)
	}
	s.Columns = []Column{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	if _, total := checkKeys(s, "", rows); total != 0 {
		t.Errorf("without a key: %d", total)
	}
}

func TestKeyCheckShowsSome(t *testing.T) {
	s := Schema{Table: "token", Columns: []Column{{Name: "tokenid", Type: "TEXT", Key: 1}}}
	var rows [][]Value
	for i := range 1000 {
		rows = append(rows, []Value{text(fmt.Sprint("s3cret", i))}, []Value{text(fmt.Sprint("S3CRET", i))})
	}
	got, total := checkKeys(s, "", rows)
	if total != 1000 || len(got) != 20 {
		t.Errorf("%d collisions, %d shown", total, len(got))
	}
	if line := fmt.Sprint(got); strings.Contains(strings.ToLower(line), "s3cret") || !strings.Contains(line, "tokenid and tokenid") {
		t.Errorf("a secret is shown: %s", line)
	}
}
