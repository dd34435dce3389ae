package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/hosttest"
)

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
