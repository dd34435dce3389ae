package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/hosttest"
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

func TestPostgresOpenErrors(t *testing.T) {
	server := hosttest.Postgres(t)
	good := postgresLocation(newPostgres(t, "UTF8", "CREATE TABLE t (a text)"))
	// What belongs to whoever runs the test does not matter.
	for name, value := range map[string]string{
		"PGHOST": "192.0.2.1", "PGPASSWORD": "xcat-secret", "PGUSER": "postgres", "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/nowhere",
		"PGOPTIONS": "-c search_path=nowhere", "PGTARGETSESSIONATTRS": "standby", "PGREQUIREAUTH": "none", "PGSSLCERTMODE": "require",
		"PGMINPROTOCOLVERSION": "3.2", "PGCONNECT_TIMEOUT": "x", "PGCHANNELBINDING": "require",
	} {
		t.Setenv(name, value)
	}
	if p, err := OpenPostgres(t.Context(), good); err != nil {
		t.Errorf("a good login: %v", err)
	} else {
		p.Close()
	}
	socket := good
	socket.Host = server.Dir
	if p, err := OpenPostgres(t.Context(), socket); err != nil {
		t.Errorf("by the socket: %v", err)
	} else {
		p.Close()
	}
	for name, tc := range map[string]struct {
		change func(*Location)
		is     error
	}{
		"password":  {func(l *Location) { l.Password = NewSecret("wr0ng") }, ErrDenied},
		"none":      {func(l *Location) { l.Password = NewSecret("") }, ErrDenied},
		"user":      {func(l *Location) { l.User = "nobody" }, ErrDenied},
		"database":  {func(l *Location) { l.Name = "nowhere" }, ErrNoDatabase},
		"no_server": {func(l *Location) { l.Port = "1" }, ErrUnreachable},
		"no_socket": {func(l *Location) { l.Host = t.TempDir() }, ErrUnreachable},
		"port":      {func(l *Location) { l.Port = "x" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := good
			tc.change(&l)
			for _, open := range []func() error{
				func() error { _, err := OpenPostgres(t.Context(), l); return err },
				func() error { _, err := OpenPostgresTarget(t.Context(), l); return err },
			} {
				err := open()
				wantError(t, err, "database")
				if tc.is != nil && !errors.Is(err, tc.is) {
					t.Errorf("error %v is not %v", err, tc.is)
				}
				if strings.Contains(err.Error(), "wr0ng") || strings.Contains(err.Error(), "xcat-secret") {
					t.Errorf("error %v tells the password", err)
				}
			}
		})
	}
	closed := server.NewDatabase(t, "UTF8", false)
	closed.Admin(t, "REVOKE CONNECT ON DATABASE "+closed.Name+" FROM PUBLIC")
	if _, err := OpenPostgres(t.Context(), postgresLocation(closed)); !errors.Is(err, ErrDenied) {
		t.Errorf("without the right to connect: %v", err)
	}
	t.Setenv("PGSERVICE", "x")
	_, err := OpenPostgres(t.Context(), good)
	wantError(t, err, "PGSERVICE")
}

// TestPostgresServerSettings is a server that speaks TLS, and refuses some by
// its pg_hba.conf.
func TestPostgresServerSettings(t *testing.T) {
	_, err := exec.LookPath("openssl")
	need(t, err == nil, "apt-get install openssl")
	server := hosttest.NewPostgres(t)
	l := postgresLocation(server.NewDatabase(t, "UTF8", true))
	script := `cd "$1"
openssl req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.crt -days 1 -subj /CN=elsewhere
chmod 600 server.key && chown postgres: server.key server.crt
{ echo 'host refused all all reject'; cat pg_hba.conf; } >new && cat new >pg_hba.conf`
	if out, err := exec.CommandContext(t.Context(), "sh", "-ec", script, "settings", server.Dir+"/data").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	server.Admin(t, "ALTER SYSTEM SET ssl = on;\nSELECT pg_reload_conf()")
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) { // the server reloads when it likes
		c, err := connectPostgres(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := c.query(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
		c.close()
		if err == nil && rows[0][0] == "t" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("without TLS where the server offers it: %v, %v", rows, err)
		}
	}
	refused := l
	refused.Name = "refused"
	if _, err := OpenPostgres(t.Context(), refused); !errors.Is(err, ErrDenied) {
		t.Errorf("refused by pg_hba.conf: %v", err)
	}
}

func TestPostgresNotReadable(t *testing.T) {
	db := newPostgres(t, "UTF8", "CREATE TABLE a (a text)", "CREATE TABLE b (a text)")
	db.Admin(t, "CREATE TABLE passwd (a text)")
	_, err := OpenPostgres(t.Context(), postgresLocation(db))
	wantError(t, err, `table "passwd"`, "permission denied")

	db = newPostgres(t, "UTF8", "CREATE TABLE a (a text)", "INSERT INTO a VALUES ('x')")
	db.Admin(t, "ALTER TABLE a ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
	p := openPostgres(t, db)
	_, err = Summarise(t.Context(), p) // rows that are not shown are not passed over
	wantError(t, err, `table "a"`, "row-level security")

	db = newPostgres(t, "UTF8", "CREATE TABLE g (a int, b int GENERATED ALWAYS AS (a + 1) STORED)")
	_, err = OpenPostgres(t.Context(), postgresLocation(db))
	wantError(t, err, `table "g"`, `column "b"`, "generated")

	db = newPostgres(t, "UTF8", "CREATE SCHEMA elsewhere CREATE TABLE t (a text)")
	_, err = OpenPostgres(t.Context(), postgresLocation(db))
	wantError(t, err, "none of its tables is on the search path")
}

// TestPostgresOneMoment has a program count up in two tables at once: the two
// are the same in every dump, and are those of one moment.
func TestPostgresOneMoment(t *testing.T) {
	db := newPostgres(t, "UTF8", "CREATE TABLE first (n integer)", "CREATE TABLE second (n integer)", "INSERT INTO first VALUES (0)", "INSERT INTO second VALUES (0)")
	writer, err := connectPostgres(t.Context(), postgresLocation(db))
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		commits := 0
		defer func() { done <- commits }()
		for {
			select {
			case <-stop:
				return
			default:
				if writer.exec(t.Context(), "BEGIN; UPDATE first SET n = n + 1; UPDATE second SET n = n + 1; COMMIT") == nil {
					commits++
				}
			}
		}
	}()
	different := map[string]bool{}
	for range 20 {
		d := dumpPostgres(t, db)
		first, second := string(d.files["first.csv"]), string(d.files["second.csv"])
		if first != second {
			t.Errorf("first has %q, second %q", first, second)
		}
		different[first] = true
		time.Sleep(time.Millisecond)
	}
	close(stop)
	if commits := <-done; len(different) < 5 || commits < 20 {
		t.Errorf("%d commits, %d of them seen: the writer was kept from writing", commits, len(different))
	}
	if err := writer.close(); err != nil {
		t.Error(err)
	}
}

// TestPostgresDDLWaits has others try to empty and drop a table while it is read.
func TestPostgresDDLWaits(t *testing.T) {
	db := newPostgres(t, "UTF8", "CREATE TABLE t (a text)", "INSERT INTO t VALUES ('x')")
	p := openPostgres(t, db)
	for _, sql := range []string{"TRUNCATE t", "DROP TABLE t", "ALTER TABLE t ADD COLUMN b text"} {
		_, err := db.Try("SET lock_timeout = '100ms'; " + sql)
		wantError(t, err, "lock timeout")
	}
	tables, err := Summarise(t.Context(), p)
	if err != nil || tables[0].Rows != 1 {
		t.Errorf("%v, %v", tables, err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	db.Admin(t, "TRUNCATE t")
}

// TestPostgresLargeRow is a row that no reader of the CSV would take, and one
// that does not fit into a message.
func TestPostgresLargeRow(t *testing.T) {
	for _, size := range []int{MaxRow, 3 * MaxRow} {
		db := newPostgres(t, "UTF8", "CREATE TABLE t (k int PRIMARY KEY, a text)", "INSERT INTO t VALUES (1, 'x')",
			fmt.Sprintf("INSERT INTO t VALUES (2, repeat('y', %d))", size))
		err := openPostgres(t, db).Rows(t.Context(), "t", func([]Value) error { return nil })
		wantError(t, err, `table "t"`, "row 2", "at most")
	}
}

// TestPostgresMemory reads 300 MB and stores them again, row by row.
func TestPostgresMemory(t *testing.T) {
	const rows, limit = 30_000, 200 << 20 // the race detector needs four bytes for one
	db := newPostgres(t, "UTF8", "CREATE TABLE t (k int PRIMARY KEY, a text)",
		fmt.Sprintf("INSERT INTO t SELECT i, repeat(md5(i::text), 320) FROM generate_series(1, %d) i", rows))
	into := newPostgres(t, "UTF8")
	p, target := openPostgres(t, db), openTarget(t, into)
	s, err := p.Schema(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := target.Prepare(t.Context(), []Shape{{Schema: s}}); err != nil {
		t.Fatal(err)
	}
	debug.FreeOSMemory() // of the tests before
	before := resident(t)
	r, w := io.Pipe()
	var want artifact.Table
	go func() {
		var err error
		want, _, err = dumpTable(t.Context(), p, s, w)
		w.CloseWithError(err)
	}()
	got, err := target.Put(t.Context(), s, r)
	if err != nil || got != want || got.Rows != rows {
		t.Errorf("stored %v of %v, %v", got, want, err)
	}
	if grown := resident(t) - before; grown > limit {
		t.Errorf("%d bytes more in use, at most %d", grown, limit)
	}
}

func TestPostgresCancelled(t *testing.T) {
	db := newPostgres(t, "UTF8", "CREATE TABLE t (a text)", "INSERT INTO t SELECT 'x' FROM generate_series(1, 100000)")
	p := openPostgres(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	err := p.Rows(ctx, "t", func([]Value) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
