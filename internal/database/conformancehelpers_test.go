package database

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
)

// testEngine is an engine that the suite runs on, and what it cannot do.
type testEngine struct {
	engine  Engine
	variant string // of it, "" where there is one
	// newDatabase makes a database without tables, of the test's own.
	newDatabase func(t testing.TB) testDatabase

	noZero    bool // holds no byte 0
	onlyUTF8  bool // holds no other bytes
	nullKeys  bool // takes NULL in a key
	ownSchema bool // a table comes with its schema: what there was of columns goes
}

// testDatabase is a database that can be opened again and again.
type testDatabase struct {
	source func(t testing.TB) Source // closed at the end of the test, or by it
	target func(t testing.TB) Target
	// run runs a statement that all engines know, on the database a table is in.
	run func(t testing.TB, table, statement string)
}

func (e testEngine) name() string { return string(e.engine) + e.variant }

func sqliteEngine() testEngine {
	return testEngine{
		engine: EngineSQLite, nullKeys: true, ownSchema: true,
		newDatabase: func(t testing.TB) testDatabase {
			dir := t.TempDir()
			return testDatabase{
				source: func(t testing.TB) Source { t.Helper(); return open(t, dir) },
				target: func(testing.TB) Target { return NewSQLiteDirTarget(dir) },
				run: func(t testing.TB, table, statement string) {
					t.Helper()
					execute(t, dir+"/"+table+fileSuffix, statement)
				},
			}
		},
	}
}

// dump is a dump of db, whose source is closed again.
func (db testDatabase) dump(t testing.TB) dump {
	t.Helper()
	src := db.source(t)
	d := dumpAll(t, src)
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

// open begins a restore of d, all of whose tables are prepared.
func (db testDatabase) open(t testing.TB, d dump) (Target, []string) {
	t.Helper()
	tgt := db.target(t)
	did, err := tgt.Prepare(t.Context(), d.surveyed(t))
	if err != nil {
		t.Fatal(err)
	}
	return tgt, did
}

// fill restores d and checks what each Put says it did.
func (db testDatabase) fill(t testing.TB, d dump) {
	t.Helper()
	tgt, _ := db.open(t, d)
	for i, s := range d.Schemas {
		got, err := tgt.Put(t.Context(), s, bytes.NewReader(d.files[FileName(s.Table)]))
		if err != nil {
			t.Fatal(err)
		}
		if got != d.Tables[i] {
			t.Errorf("put %v, want %v", got, d.Tables[i])
		}
	}
	if err := errors.Join(tgt.Commit(t.Context()), tgt.Close()); err != nil {
		t.Fatal(err)
	}
}

// holds checks that db has just the tables of d, with the same rows to the byte.
func (db testDatabase) holds(t testing.TB, d dump) {
	t.Helper()
	got := db.dump(t)
	if !reflect.DeepEqual(got.Tables, d.Tables) {
		t.Errorf("tables %v\nwant   %v", got.Tables, d.Tables)
	}
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		if !bytes.Equal(got.files[name], d.files[name]) {
			t.Errorf("%s: %d bytes: %.400q\nwant %d bytes: %.400q", name, len(got.files[name]), got.files[name], len(d.files[name]), d.files[name])
		}
	}
}

// surveyed surveys the tables of d.
func (d dump) surveyed(t testing.TB) []Shape {
	t.Helper()
	var shapes []Shape
	for _, s := range d.Schemas {
		v, err := SurveyCSV(bytes.NewReader(d.files[FileName(s.Table)]), s)
		if err != nil {
			t.Fatal(err)
		}
		shapes = append(shapes, Shape{s, v})
	}
	return shapes
}

// dumpOf makes a dump of tables that no engine has seen: rows in the order that
// a Source promises, and the schema of none.
func dumpOf(t testing.TB, tables map[*Schema][][]Value) dump {
	t.Helper()
	d := dump{files: map[string][]byte{}}
	schemas := slices.SortedFunc(maps.Keys(tables), func(a, b *Schema) int { return strings.Compare(a.Table, b.Table) })
	for _, s := range schemas {
		rows, o := slices.Clone(tables[s]), newRowOrder(*s)
		slices.SortStableFunc(rows, func(a, b []Value) int { return o.compare(a, b, o.all) })
		var b bytes.Buffer
		table, classes, err := dumpTable(t.Context(), memory{*s, rows}, *s, &b)
		if err != nil {
			t.Fatal(err)
		}
		schema := *s
		schema.Classes = classes
		d.Tables = append(d.Tables, table)
		d.Schemas = append(d.Schemas, schema)
		d.files[FileName(s.Table)] = b.Bytes()
	}
	return d
}

// memory is a Source of one table, to make dumps from what no engine holds.
type memory struct {
	schema Schema
	all    [][]Value
}

func (m memory) Count(context.Context, string) (int64, error) { return int64(len(m.all)), nil }

func (memory) Engine() Engine                                   { return "memory" }
func (m memory) Tables(context.Context) ([]string, error)       { return []string{m.schema.Table}, nil }
func (m memory) Schema(context.Context, string) (Schema, error) { return m.schema, nil }
func (memory) LeftOut() []artifact.LeftOut                      { return nil }
func (memory) Close() error                                     { return nil }
func (m memory) Rows(_ context.Context, _ string, fn func([]Value) error) error {
	for _, row := range m.all {
		if err := fn(row); err != nil {
			return err
		}
	}
	return nil
}
