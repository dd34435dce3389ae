package database

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/hosttest"
)

const realPostgres = "../../testdata/real-mn/postgres"

func postgresLocation(d *hosttest.PostgresDatabase) Location {
	return Location{
		Engine: EnginePostgres, Host: d.Host, Port: d.Port, Name: d.Name, User: d.User, Password: NewSecret(d.Password),
	}
}

// newPostgres makes a database that belongs to xCAT's role, and runs statements
// as that role would have.
func newPostgres(t testing.TB, encoding string, statements ...string) *hosttest.PostgresDatabase {
	t.Helper()
	d := hosttest.Postgres(t).NewDatabase(t, encoding, true)
	asRole(t, d, statements...)
	return d
}

func asRole(t testing.TB, d *hosttest.PostgresDatabase, statements ...string) {
	t.Helper()
	c, err := connectPostgres(t.Context(), postgresLocation(d))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, s := range statements {
		if err := c.exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// loadReal makes the database of a real management node.
func loadReal(t testing.TB) *hosttest.PostgresDatabase {
	t.Helper()
	d := hosttest.Postgres(t).NewDatabase(t, "SQL_ASCII", true)
	sql, err := os.ReadFile(realPostgres + "/xcatdb.sql")
	if err != nil {
		t.Fatal(err)
	}
	d.Admin(t, string(sql))
	return d
}

func openPostgres(t testing.TB, d *hosttest.PostgresDatabase) *Postgres {
	t.Helper()
	p, err := OpenPostgres(t.Context(), postgresLocation(d))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// dumpPostgres dumps and lets go of the tables.
func dumpPostgres(t testing.TB, d *hosttest.PostgresDatabase) dump {
	t.Helper()
	p := openPostgres(t, d)
	defer p.Close()
	return dumpAll(t, p)
}

func openTarget(t testing.TB, d *hosttest.PostgresDatabase) *PostgresTarget {
	t.Helper()
	p, err := OpenPostgresTarget(t.Context(), postgresLocation(d))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// put fills target with all tables of d, by way of the JSON the schemas travel in.
func (d dump) put(ctx context.Context, target Target) (tables []artifact.Table, err error) {
	facts, err := EncodeSchemas(d.Schemas)
	if err != nil {
		return nil, err
	}
	schemas, err := ParseSchemas(facts)
	if err != nil {
		return nil, err
	}
	shapes := make([]Shape, len(schemas))
	for i, s := range schemas {
		shapes[i] = Shape{Schema: s, Survey: surveyOf(s, d.files[FileName(s.Table)])}
	}
	if _, err := target.Prepare(ctx, shapes); err != nil {
		return nil, err
	}
	for _, s := range schemas {
		got, err := target.Put(ctx, s, bytes.NewReader(d.files[FileName(s.Table)]))
		if err != nil {
			return nil, err
		}
		tables = append(tables, got)
	}
	return tables, target.Commit(ctx)
}

// surveyOf looks at the lengths alone.
func surveyOf(s Schema, csv []byte) Survey {
	survey := Survey{Columns: make([]ColumnSurvey, len(s.Columns))}
	_, rows, err := readCSV(s.Table, csv)
	for _, row := range rows {
		for i, v := range row {
			survey.Columns[i].Longest = max(survey.Columns[i].Longest, len(v.Text))
		}
	}
	if err != nil { // a CSV that is wrong is for Put to find
		return Survey{}
	}
	return survey
}

// restore fills a database and commits.
func (d dump) restore(t testing.TB, db *hosttest.PostgresDatabase) []artifact.Table {
	t.Helper()
	target := openTarget(t, db)
	tables, err := d.put(t.Context(), target)
	if err = errors.Join(err, target.Close()); err != nil {
		t.Fatal(err)
	}
	return tables
}

// tableDump is a dump of one table, written by hand.
func tableDump(s Schema, csv string) dump {
	return dump{Dumped: Dumped{Schemas: []Schema{s}}, files: map[string][]byte{FileName(s.Table): []byte(csv)}}
}

// sameDump compares all that two dumps hold.
func sameDump(t testing.TB, got, want dump) {
	t.Helper()
	if !slices.Equal(got.Tables, want.Tables) {
		t.Errorf("tables\n%v\nwant\n%v", got.Tables, want.Tables)
	}
	for name, b := range want.files {
		if !bytes.Equal(got.files[name], b) {
			t.Errorf("%s\n%.2000q\nwant\n%.2000q", name, got.files[name], b)
		}
	}
}
