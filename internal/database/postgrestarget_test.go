package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// twoTables are schemas as xCAT's own tables have them.
func twoTables() (nodelist, log Schema) {
	nodelist = Schema{Table: "nodelist", Columns: []Column{
		{Name: "node", Type: "character varying(128)", NotNull: true, Key: 1}, {Name: "groups", Type: "text"}, {Name: "disable", Type: "text"},
	}}
	log = Schema{Table: "auditlog", Columns: []Column{
		{Name: "recid", Type: "integer", NotNull: true, Key: 1, Auto: true}, {Name: "args", Type: "text"},
	}}
	return nodelist, log
}

const (
	nodelistSQL = `CREATE TABLE nodelist (node varchar(128) PRIMARY KEY, groups text, disable text); INSERT INTO nodelist VALUES ('old', 'all', NULL)`
	auditlogSQL = `CREATE TABLE auditlog (recid serial PRIMARY KEY, args text); INSERT INTO auditlog (args) VALUES ('old'), ('older')`
)

// oldRows checks that nothing of nodelistSQL and auditlogSQL has changed.
func oldRows(t *testing.T, db *hosttest.PostgresDatabase) {
	t.Helper()
	got := db.Admin(t, "SELECT * FROM nodelist; SELECT * FROM auditlog ORDER BY 1; SELECT last_value, is_called FROM auditlog_recid_seq")
	if want := "old|all|\n1|old\n2|older\n2|t"; got != want {
		t.Errorf("in the database\n%s\nwant\n%s", got, want)
	}
}

func TestPostgresTargetErrors(t *testing.T) {
	nodelist, log := twoTables()
	classed := func(c Class, column int) Schema {
		s := nodelist
		s.Classes = []ClassRun{{Column: column, Class: c, First: 1, Last: 1}}
		return s
	}
	databases := map[string]*hosttest.PostgresDatabase{} // one for all: nothing changes
	for _, encoding := range []string{"UTF8", "SQL_ASCII", "EUC_JP"} {
		databases[encoding] = newPostgres(t, encoding, nodelistSQL, auditlogSQL)
	}
	const header = "#node,groups,disable\n"
	for name, tc := range map[string]struct {
		encoding string
		schema   Schema
		csv      string
		want     []string
	}{
		"byte_0":          {"UTF8", nodelist, header + "\"n1\",\"a\",\n\"n2\",\"s3cret\x00\",\n", []string{`table "nodelist"`, "row 2", `column "groups"`, "byte 0"}},
		"twice":           {"UTF8", nodelist, header + "\"s3cret\",,\n\"n2\",,\n\"s3cret\",,\n", []string{`table "nodelist"`, "row 3", "key is there twice"}},
		"null_key":        {"UTF8", nodelist, header + "\"n1\",,\n,\"s3cret\",\n", []string{`table "nodelist"`, "row 2", `column "node"`, "NULL"}},
		"long_key":        {"UTF8", nodelist, header + `"` + strings.Repeat("s3cret", 40) + "\",,\n", []string{`table "nodelist"`, "row 1", `column "node"`, "too long"}},
		"no_number":       {"UTF8", log, "#recid,args\n\"1\",\n\"s3cret\",\n", []string{`table "auditlog"`, "row 2", `column "recid"`, "type"}},
		"large_number":    {"UTF8", log, "#recid,args\n\"33333333333\",\n", []string{`table "auditlog"`, "row 1", `column "recid"`, "range"}},
		"header":          {"UTF8", nodelist, "#node,disable,groups\n", []string{`table "nodelist"`, "header"}},
		"bad_csv":         {"UTF8", nodelist, header + "\"n1\",\"s3cret\n", []string{`table "nodelist"`, "row 1", `column "groups"`, "quote is not closed"}},
		"unicode_class":   {"SQL_ASCII", classed(ClassUnicode, 1), header + "\"n1\",\"☃ s3cret\",\n", []string{"row 1", `column "groups"`, "SQL_ASCII"}},
		"no_unicode":      {"UTF8", classed(ClassUnicode, 1), header + "\"n1\",\"é s3cret\",\n", []string{"row 1", `column "groups"`, "U+00FF"}},
		"broken_unicode":  {"UTF8", classed(ClassUnicode, 1), header + "\"n1\",\"\xe2\x98 s3cret\",\n", []string{"row 1", `column "groups"`, "U+00FF"}},
		"blob_class":      {"UTF8", classed(ClassBlob, 2), header + "\"n1\",,\"s3cret\"\n", []string{"row 1", `column "disable"`, "blob"}},
		"class_behind":    {"UTF8", classed(ClassUnicode, 1), header, []string{`table "nodelist"`, "behind the last"}},
		"foreign_charset": {"EUC_JP", nodelist, header + "\"n1\",,\n\"n2\",\"\xff\xff s3cret\",\n", []string{`table "nodelist"`, "row 2", "encoding"}},
	} {
		t.Run(name, func(t *testing.T) {
			db := databases[tc.encoding]
			target := openTarget(t, db)
			other := log
			if tc.schema.Table == log.Table {
				other = nodelist
			}
			if _, err := target.Prepare(t.Context(), []Shape{{Schema: tc.schema}, {Schema: other}}); err != nil {
				t.Fatal(err)
			}
			if err := target.Clear(t.Context(), other.Table); err != nil {
				t.Fatal(err)
			}
			_, err := target.Put(t.Context(), tc.schema, strings.NewReader(tc.csv))
			wantError(t, err, tc.want...)
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error shows a value: %v", err)
			}
			wantError(t, target.Commit(t.Context()), "an earlier step failed")
			if err := target.Close(); err != nil {
				t.Error(err)
			}
			oldRows(t, db)
		})
	}
}

// TestPostgresTargetOther is a table whose xCAT is newer than the snapshot's.
func TestPostgresTargetOther(t *testing.T) {
	nodelist, _ := twoTables()
	const csv = "#node,groups,disable\n\"n1\",\"a\",\"\"\n"
	db := newPostgres(t, "UTF8", `CREATE TABLE nodelist (zone text DEFAULT 'x', node varchar(128) PRIMARY KEY, disable text, twice text GENERATED ALWAYS AS (node || node) STORED, groups text, n serial)`)
	asRole(t, db, "ALTER TABLE nodelist ALTER COLUMN n DROP NOT NULL")
	d := tableDump(nodelist, csv)
	got := d.restore(t, db)
	if got[0].Rows != 1 {
		t.Errorf("%v", got)
	}
	if got := db.Admin(t, "SELECT zone IS NULL, node, disable, groups, n IS NULL FROM nodelist"); got != "t|n1||a|t" {
		t.Errorf("in the database %s", got)
	}
	for sql, want := range map[string][]string{
		"CREATE TABLE nodelist (node varchar(128) PRIMARY KEY)":                                                 {`table "nodelist"`, `"groups", "disable"`},
		"CREATE TABLE nodelist (node varchar(128), groups text, disable text, extra text NOT NULL DEFAULT 'x')": {`column "extra"`, "NULL"},
		"CREATE TABLE nodelist (node varchar(128), groups text, disable text GENERATED ALWAYS AS ('x') STORED)": {`column "disable"`, "generated"},
		"CREATE TABLE nodelist (node character(1), groups text, disable text)":                                  {`column "node"`, "character(1)"},
		"CREATE TABLE nodelist (node text, groups text, disable text, new text); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.new = 1; RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON nodelist FOR EACH ROW EXECUTE FUNCTION f()": {`column "new"`, "1 rows"},
		"CREATE TABLE nodelist (node text, groups text, disable text); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER t BEFORE INSERT ON nodelist FOR EACH ROW EXECUTE FUNCTION f()":                       {"0 rows of 1"},
	} {
		db := newPostgres(t, "UTF8", sql)
		_, err := d.put(t.Context(), openTarget(t, db))
		wantError(t, err, want...)
	}
}

// TestPostgresTargetChanges looks at what Prepare makes, alters and takes back.
func TestPostgresTargetChanges(t *testing.T) {
	key := strings.Repeat("k", 300)
	nodelist, log := twoTables()
	fromSQLite := Schema{
		Table: "deps", SQLite: &SQLiteFacts{SQL: "CREATE TABLE deps (node TEXT)"},
		Columns: []Column{{Name: "node", Type: "VARCHAR(128)", Key: 2}, {Name: "x", Type: "TEXT", NotNull: true}, {Name: "cmd", Type: "VARCHAR(128)", Key: 1}, {Name: "n", Type: "INTEGER"}},
	}
	fromMariaDB := Schema{
		Table: "eventlog", Collation: "utf8mb4_general_ci",
		Columns: []Column{{Name: "recid", Type: "int(11)", NotNull: true, Key: 1, Auto: true}, {Name: "x", Type: "mediumtext"}},
	}
	seven := int64(7)
	fromMariaDB.Sequence = &seven
	evil := Schema{Table: "evil", Columns: []Column{{Name: "a); DROP TABLE nodelist; --", Type: `text); DROP TABLE nodelist; --`}, {Name: "b", Type: "numeric(1);x)"}}}
	d := dump{
		Dumped: Dumped{Schemas: []Schema{nodelist, log, fromSQLite, fromMariaDB, evil}},
		files: map[string][]byte{
			"nodelist.csv": []byte("#node,groups,disable\n\"" + key + "\",,\n"),
			"auditlog.csv": []byte("#recid,args\n\"5\",\"x\"\n"),
			"deps.csv":     []byte("#node,x,cmd,n\n\"n1\",\"\",\"" + key + "\",\"12345678901\"\n"),
			"eventlog.csv": []byte("#recid,x\n\"3\",\"\xfc\"\n"),
			"evil.csv":     []byte("#" + evil.Columns[0].Name + ",b\n\"x\",\n"),
		},
	}
	const look = `SELECT table_name, column_name, data_type, character_maximum_length, is_nullable FROM information_schema.columns
WHERE table_schema = 'public' AND table_name <> 'evil' ORDER BY table_name, ordinal_position;
SELECT conrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' AND connamespace = 'public'::regnamespace ORDER BY conrelid::regclass::text;
SELECT nextval('auditlog_recid_seq'), nextval('eventlog_recid_seq')`
	db := newPostgres(t, "UTF8", nodelistSQL, auditlogSQL, "CREATE TABLE going (a text)")

	target := openTarget(t, db)
	var shapes []Shape
	for _, s := range d.Schemas {
		shapes = append(shapes, Shape{Schema: s, Survey: surveyOf(s, d.files[FileName(s.Table)])})
	}
	did, err := target.Prepare(t.Context(), shapes)
	if want := []string{`table "nodelist": column "node": widened from character varying(128) to character varying(300)`}; err != nil || !slices.Equal(did, want) {
		t.Fatalf("%q, %v, want %q", did, err, want)
	}
	if err := errors.Join(target.Drop(t.Context(), "going"), target.Clear(t.Context(), "nodelist"), target.Close()); err != nil {
		t.Fatal(err)
	}
	oldRows(t, db) // Close without Commit: even what was altered is as it was
	if got := db.Admin(t, "SELECT count(*) FROM pg_class WHERE relname IN ('deps', 'going', 'evil')"); got != "1" {
		t.Errorf("%s tables, want going alone", got)
	}

	d.restore(t, db)
	want := `auditlog|recid|integer||NO
auditlog|args|text||YES
deps|node|character varying|128|NO
deps|x|text||NO
deps|cmd|character varying|300|NO
deps|n|bigint||YES
eventlog|recid|integer||NO
eventlog|x|text||YES
going|a|text||YES
nodelist|node|character varying|300|NO
nodelist|groups|text||YES
nodelist|disable|text||YES
auditlog|PRIMARY KEY (recid)
deps|PRIMARY KEY (cmd, node)
eventlog|PRIMARY KEY (recid)
nodelist|PRIMARY KEY (node)
1|8`
	if got := db.Admin(t, look); got != want {
		t.Errorf("in the database\n%s\nwant\n%s", got, want)
	}
}

func TestPostgresTargetDrop(t *testing.T) {
	db := newPostgres(t, "UTF8", nodelistSQL, auditlogSQL)
	target := openTarget(t, db)
	err := errors.Join(target.Drop(t.Context(), "nodelist"), target.Clear(t.Context(), "auditlog"), target.Commit(t.Context()), target.Close())
	if err != nil {
		t.Fatal(err)
	}
	if got := db.Admin(t, "SELECT count(*) FROM auditlog; SELECT to_regclass('nodelist') IS NULL"); got != "0\nt" {
		t.Errorf("in the database %s", got)
	}
	target = openTarget(t, db)
	wantError(t, target.Clear(t.Context(), "nodelist"), `table "nodelist"`, "there is none")
}

// TestPostgresTargetRights is what pgsqlsetup leaves behind on PostgreSQL 15: a
// database of postgres, in which xCAT's role may make no table.
func TestPostgresTargetRights(t *testing.T) {
	nodelist, _ := twoTables()
	d := tableDump(nodelist, "#node,groups,disable\n")
	db := hosttest.Postgres(t).NewDatabase(t, "UTF8", false)
	_, err := d.put(t.Context(), openTarget(t, db))
	wantError(t, err, `table "nodelist"`, "permission denied for schema public", `GRANT CREATE ON SCHEMA "public" TO "xcatadm"`)

	db.Admin(t, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
	_, err = d.put(t.Context(), openTarget(t, db))
	wantError(t, err, `table "nodelist"`, "GRANT USAGE, CREATE ON SCHEMA public")

	db.Admin(t, "GRANT USAGE, CREATE ON SCHEMA public TO xcatadm")
	d.restore(t, db)

	db.Admin(t, "ALTER TABLE nodelist OWNER TO postgres; GRANT SELECT ON nodelist TO xcatadm")
	_, err = d.put(t.Context(), openTarget(t, db))
	wantError(t, err, `table "nodelist"`, "permission denied")

	db.Admin(t, "ALTER DATABASE "+db.Name+" SET default_transaction_read_only = on; ALTER TABLE nodelist OWNER TO xcatadm")
	d.restore(t, db)
}

// flood is a CSV that does not end, and calls act when some of it was read.
type flood struct {
	act  func()
	rows int
}

func (e *flood) Read(p []byte) (int, error) {
	if e.rows == 0 {
		e.rows++
		return copy(p, "#node,groups,disable\n"), nil
	}
	if e.rows == 5000 {
		e.act()
	}
	e.rows++
	return copy(p, fmt.Sprintf("\"n%d\",\"%s\",\n", e.rows, strings.Repeat("g", 200))), nil
}

// TestPostgresServerDies kills the server in the middle of a Put and of a dump.
func TestPostgresServerDies(t *testing.T) {
	nodelist, log := twoTables()
	server := hosttest.NewPostgres(t)
	db := server.NewDatabase(t, "UTF8", true)
	asRole(t, db, nodelistSQL, auditlogSQL)
	server.Admin(t, "CHECKPOINT") // after which a crash does not have sequences skip numbers
	target := openTarget(t, db)
	if _, err := target.Prepare(t.Context(), []Shape{{Schema: nodelist}, {Schema: log}}); err != nil {
		t.Fatal(err)
	}
	if _, err := target.Put(t.Context(), log, strings.NewReader("#recid,args\n\"9\",\"new\"\n")); err != nil {
		t.Fatal(err)
	}
	// Its process for this session alone: all others go, too, and it recovers.
	kill := func() {
		pid := server.Admin(t, "SELECT max(pid) FROM pg_stat_activity WHERE usename = 'xcatadm'")
		server.KillProcess(t, pid)
	}
	_, err := target.Put(t.Context(), nodelist, &flood{act: kill})
	wantError(t, err, `table "nodelist"`)
	if err := target.Commit(t.Context()); err == nil {
		t.Error("committed")
	}
	target.Close()
	oldRows(t, db)

	db.Admin(t, "INSERT INTO nodelist SELECT 'n' || i, repeat('g', 200) FROM generate_series(1, 100000) i")
	p := openPostgres(t, db)
	rows := 0
	err = p.Rows(t.Context(), "nodelist", func([]Value) error {
		if rows++; rows == 1000 {
			server.Kill(t)
		}
		return nil
	})
	wantError(t, err, `table "nodelist"`)
	if rows == 100001 {
		t.Error("the table had been read whole")
	}
	wantError(t, p.Rows(t.Context(), "auditlog", func([]Value) error { return nil }), `table "auditlog"`)
	_, err = OpenPostgres(t.Context(), postgresLocation(db))
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("of a dead server: %v", err)
	}
}

func TestPostgresStops(t *testing.T) {
	db := newPostgres(t, "UTF8", nodelistSQL, "INSERT INTO nodelist SELECT 'n' || i FROM generate_series(1, 5000) i")
	p := openPostgres(t, db)
	rows := 0
	err := p.Rows(t.Context(), "nodelist", func([]Value) error { rows++; return io.ErrShortWrite })
	if !errors.Is(err, io.ErrShortWrite) || rows != 1 {
		t.Errorf("%v after %d rows", err, rows)
	}
	if tables, err := Summarise(t.Context(), p); err != nil || tables[0].Rows != 5001 {
		t.Errorf("afterwards %v, %v", tables, err)
	}
}

func TestPostgresTargetCancelled(t *testing.T) {
	nodelist, _ := twoTables()
	db := newPostgres(t, "UTF8", nodelistSQL, auditlogSQL)
	target := openTarget(t, db)
	if _, err := target.Prepare(t.Context(), []Shape{{Schema: nodelist}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := target.Put(ctx, nodelist, &flood{act: cancel}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := target.Commit(t.Context()); err == nil {
		t.Error("committed")
	}
	target.Close()
	oldRows(t, db)
}
