package dbserver

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver the program uses as well

	"github.com/xcrate/xcrate/internal/database"
)

// pgConfigured are the files of PostgreSQL and systemd that Ensure may change.
var pgConfigured = []string{"etc/postgresql", "etc/systemd/system", "etc/postgresql-common"}

// TestPostgres sets a server up in a root that does not run, twice, and takes it
// all back.
func TestPostgres(t *testing.T) {
	l := newLab(t, database.EnginePostgres)
	before := l.state(pgConfigured...)
	w := want(database.EnginePostgres)
	plan, err := l.Plan(t.Context(), w)
	check(t, err)
	if !says(plan.Steps, "10.20.0.0/16", "sn01.cluster", "pg_hba.conf") || !says(plan.Notes, "does not run") {
		t.Errorf("plan of a stopped server: %q", plan)
	}
	stop := l.start()
	if len(l.acts) > 0 {
		t.Errorf("start of a cluster that is there: %v", l.acts)
	}
	plan, err = l.Plan(t.Context(), w)
	check(t, err)
	did := l.ensure(w)
	if fmt.Sprint(plan) != fmt.Sprint(did) || len(did.Steps) < 5 || len(did.Steps) != len(l.acts) {
		t.Errorf("planned %q, done %q, noted %d", plan, did, len(l.acts))
	}
	loginAndWork(t, l.Login(w.Location))
	hba, err := os.ReadFile(filepath.Join(l.dir, "etc/postgresql/15/main/pg_hba.conf"))
	check(t, err)
	if lines := parseHBA(string(hba)); lines[0].fields[0][0].text != "host" || lines[0].fields[2][0].text != "xcatadm" {
		t.Errorf("the first rule is none of ours: %+v", lines[0])
	}

	again := l.ensure(w)
	plan, err = l.Plan(t.Context(), w)
	check(t, err)
	if len(again.Steps)+len(plan.Steps) > 0 {
		t.Errorf("second time: did %q, would do %q", again.Steps, plan.Steps)
	}
	check(t, l.Remove(t.Context(), l.acts))
	check(t, l.Remove(t.Context(), l.acts)) // after a crash it comes again
	sameState(t, before, l.state(pgConfigured...))
	l.ensure(w)
	stop()
	check(t, l.Remove(t.Context(), l.acts)) // by a server that is started for it
	sameState(t, before, l.state(pgConfigured...))
	if l.own != nil || l.root.Exists(privateDir) {
		t.Error("the server runs on")
	}
	l.start()
	if rows := l.sql("SELECT rolname FROM pg_authid WHERE rolname = 'xcatadm' UNION SELECT datname FROM pg_database WHERE datname = 'xcatdb'"); len(rows) > 0 {
		t.Errorf("left: %v", rows)
	}
}

// loginAndWork makes a table as xCAT does.
func loginAndWork(t *testing.T, at database.Location) {
	t.Helper()
	port := at.Port
	if port == "" {
		port = pgPort
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(at.User, at.Password.Reveal()), Path: "/" + at.Name,
		RawQuery: url.Values{"host": {at.Host}, "port": {port}, "sslmode": {"disable"}}.Encode(),
	}
	db, err := sql.Open("pgx", u.String())
	check(t, err)
	defer db.Close()
	for _, s := range []string{`CREATE TABLE made_by_test (k VARCHAR(128) PRIMARY KEY)`, `INSERT INTO made_by_test VALUES ('☃')`, `DROP TABLE made_by_test`} {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// TestPostgresLogin starts the server as the machine itself would, at a loopback
// port, and logs in over TCP: the verifier and the rules have to be right. It does
// so with psql, because libpq prepares a password by itself and ours has to agree.
func TestPostgresLogin(t *testing.T) {
	l := newLab(t, database.EnginePostgres)
	w := want(database.EnginePostgres)
	w.Location.Host, w.Listen = "127.0.0.1", nil
	passwords := []string{"cluster", `'"\ $1:;%`, "e\u0301 grün ☃", "pä\u00a0ß\u00adw\ufb01rt", "\xfclatin", "bell\a"}
	users := make([]string, len(passwords))
	stop := l.start()
	for i, password := range passwords {
		users[i] = fmt.Sprint("xcatadm", i)
		w.Location.User, w.Location.Password = users[i], database.NewSecret(password)
		l.ensure(w)
	}
	stop()
	if l.Login(w.Location) != w.Location || l.root.Exists(privateDir) {
		t.Error("the private server has not gone")
	}
	// The rules are those of one user; the last one's are widened here.
	hba := filepath.Join(l.dir, "etc/postgresql/15/main/pg_hba.conf")
	b, err := os.ReadFile(hba)
	check(t, err)
	check(t, os.WriteFile(hba, []byte(strings.ReplaceAll(string(b), `"`+users[len(users)-1]+`"`, "all")), 0o640))
	port := serveLoopback(t, l)
	for i, password := range passwords {
		login := func(password string) error {
			c := exec.Command("chroot", l.dir, "/usr/lib/postgresql/15/bin/psql", "-X", "-h", "127.0.0.1", "-p", port, "-U", users[i], "-d", "xcatdb", "-c", "SELECT 1")
			c.Env = []string{"LC_ALL=C.UTF-8", "PGPASSWORD=" + password}
			out, err := c.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err
		}
		if err := login(password); err != nil {
			t.Errorf("password %q: %v", password, err)
		}
		if err := login(password + "x"); err == nil {
			t.Errorf("password %q: another one was taken", password)
		}
	}
	said, err := os.ReadFile(filepath.Join(l.dir, "tmp/server.log"))
	check(t, err)
	if strings.Contains(string(said), "cluster") && strings.Contains(string(said), "PASSWORD") {
		t.Error("the log of the server has a password")
	}
}

// serveLoopback starts PostgreSQL with the root's own configuration and returns its
// port. It ends with the test.
func serveLoopback(t *testing.T, l *lab) (port string) {
	t.Helper()
	port = freePort(t)
	log := filepath.Join(l.dir, "tmp/server.log")
	ctl := func(args ...string) error {
		c := exec.Command("chroot", append([]string{l.dir, "runuser", "-u", "postgres", "--", "/usr/lib/postgresql/15/bin/pg_ctl", "-D", "/etc/postgresql/15/main", "-w", "-l", "/tmp/server.log"}, args...)...)
		out, err := c.CombinedOutput()
		if err != nil {
			said, _ := os.ReadFile(log)
			err = fmt.Errorf("%w: %s%s", err, out, said)
		}
		return err
	}
	check(t, ctl("-o", "-c port="+port+" -c unix_socket_directories=/tmp -c external_pid_file=/tmp/pid -c log_statement=all -c dynamic_shared_memory_type=mmap -c listen_addresses=127.0.0.1", "start"))
	t.Cleanup(func() { check(t, ctl("-m", "fast", "stop")) })
	return port
}

// TestPostgresIsThere meets what an administrator, or pgsqlsetup, left.
func TestPostgresIsThere(t *testing.T) {
	l := newLab(t, database.EnginePostgres)
	l.start()
	w := want(database.EnginePostgres)
	l.sql(`CREATE DATABASE xcatdb TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`)
	l.sql(`SET password_encryption = 'md5'; CREATE ROLE xcatadm NOLOGIN PASSWORD 'another'`)
	old := l.sql(`SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = 'xcatadm'`)
	did := l.ensure(w)
	if !says(did.Notes, "SQL_ASCII") || !says(did.Notes, "belongs to role") || !says(did.Steps, "let role", "log in") || !says(did.Steps, "give role", "password") || !says(did.Steps, "make tables") {
		t.Errorf("done: %q", did)
	}
	for _, a := range l.acts {
		if said := fmt.Sprintf("%v %+v %#v %s", a, a, a, a); strings.Contains(said, "md5") || strings.Contains(said, "SCRAM") {
			t.Errorf("printed: %s", said)
		}
	}
	loginAndWork(t, l.Login(w.Location))
	if again := l.ensure(w); len(again.Steps) > 0 {
		t.Errorf("second time: %q", again.Steps)
	}
	check(t, l.Remove(t.Context(), l.acts))
	if now := l.sql(`SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = 'xcatadm'`); fmt.Sprint(now) != fmt.Sprint(old) {
		t.Error("the role is not what it was")
	}
	if rows := l.sql(`SELECT 1 FROM pg_database WHERE datname = 'xcatdb'`); len(rows) != 1 {
		t.Error("a database of others was dropped")
	}
}

// TestPostgresNewRoleOldDatabase makes a role for a database of another's, fills
// it, and takes the role back: the tables stay.
func TestPostgresNewRoleOldDatabase(t *testing.T) {
	l := newLab(t, database.EnginePostgres)
	l.start()
	l.sql(`CREATE DATABASE xcatdb`)
	w := want(database.EnginePostgres)
	l.ensure(w)
	if _, err := l.kind.query(t.Context(), "xcatdb", `SET ROLE xcatadm; CREATE TABLE public.site (k int)`); err != nil {
		t.Fatal(err)
	}
	check(t, l.Remove(t.Context(), l.acts))
	rows, err := l.kind.query(t.Context(), "xcatdb", `SELECT tableowner FROM pg_tables WHERE tablename = 'site'`)
	if err != nil || fmt.Sprint(rows) != "[[postgres]]" {
		t.Errorf("table: %v, %v", rows, err)
	}
}

// TestPostgresEmpty has no cluster: it is made, and goes again unless somebody
// else has put something into it.
func TestPostgresEmpty(t *testing.T) {
	drop := func(dir string) {
		if out, err := exec.Command("chroot", dir, "pg_dropcluster", "15", "main").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	pgdg := func(dir string) { // the layout of PGDG's packages, with Debian's programs
		drop(dir)
		check(t, os.Rename(filepath.Join(dir, "usr/lib/postgresql/15"), filepath.Join(dir, "usr/pgsql-15")))
		check(t, os.Remove(filepath.Join(dir, "usr/bin/pg_createcluster")))
		check(t, os.MkdirAll(filepath.Join(dir, "var/lib/pgsql/15"), 0o755))
		if out, err := exec.Command("chroot", dir, "chown", "-R", "postgres:postgres", "/var/lib/pgsql").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		check(t, os.WriteFile(filepath.Join(dir, "usr/lib/systemd/system/postgresql-15.service"), []byte("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"), 0o644))
	}
	for name, prepare := range map[string]func(string){"debian": drop, "pgdg": pgdg} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, database.EnginePostgres, prepare)
			w := want(database.EnginePostgres)
			plan, err := l.Plan(t.Context(), w)
			check(t, err)
			if !says(plan.Steps, "initialise", l.data) || !says(plan.Steps, "make database") || !says(plan.Steps, "listen") {
				t.Errorf("plan: %q", plan)
			}
			l.start()
			if len(l.acts) != 1 || l.acts[0].Kind != ActCluster {
				t.Fatalf("noted: %v", l.acts)
			}
			l.ensure(w)
			loginAndWork(t, l.Login(w.Location))
			l.sql(`CREATE DATABASE of_others`)
			if err := l.Remove(t.Context(), l.acts); err == nil || !strings.Contains(err.Error(), "of_others") {
				t.Errorf("removed with the data of others: %v", err)
			}
			l.sql(`DROP DATABASE of_others`)
			check(t, l.Remove(t.Context(), l.acts))
			check(t, l.Remove(t.Context(), l.acts))
			if empty, err := l.kind.empty(); !empty || err != nil || l.own != nil {
				t.Errorf("the cluster is there: %v", err)
			}
		})
	}
}

// TestPostgresHostile takes names that would be SQL, rules or options if they were
// not quoted.
func TestPostgresHostile(t *testing.T) {
	l := newLab(t, database.EnginePostgres)
	l.start()
	before := l.sql(`SELECT rolname FROM pg_authid ORDER BY 1`)
	for i, name := range []string{
		`x"; DROP TABLE pg_class; --`, `a'b`, `host=evil`, `postgresql://evil`, ` all`, `all`, `+wheel`, `@file`, `a,b`, `#c`, `:v`, `$$x$$`, `-d`, `ä☃`, `replication`,
	} {
		w := want(database.EnginePostgres)
		w.Location.Name, w.Location.User = name, name+"u"
		w.Location.Password = database.NewSecret(`pw'); DROP ROLE postgres; --`)
		l.acts = nil
		did := l.ensure(w)
		if len(did.Steps) == 0 {
			t.Errorf("%d: nothing done", i)
		}
		loginAndWork(t, l.Login(w.Location))
		if again := l.ensure(w); len(again.Steps) > 0 {
			t.Errorf("%q: again: %q", name, again.Steps)
		}
		if _, err := l.kind.query(t.Context(), "", `SELECT 1`); err != nil {
			t.Fatal(err)
		}
		check(t, l.Remove(t.Context(), l.acts))
	}
	if after := l.sql(`SELECT rolname FROM pg_authid ORDER BY 1`); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("roles: %v, were %v", after, before)
	}
	for _, name := range []string{"", "a\nb", `a\b`, strings.Repeat("n", 64), "\xff", "/re", "a\x00b"} {
		w := want(database.EnginePostgres)
		w.Location.User = name
		if _, err := l.Ensure(t.Context(), w, l.note); err == nil {
			t.Errorf("user %q was taken", name)
		}
	}
	w := want(database.EnginePostgres)
	for _, access := range []string{"10.0.0.0/33", "a b", "x trust", "n\nhost all all all trust", `"q"`, "*"} {
		w.Access = []string{access}
		if _, err := l.Ensure(t.Context(), w, l.note); err == nil {
			t.Errorf("access %q was taken", access)
		}
	}
}

// TestPostgresOutlives kills the program in the middle: the next start finds the
// server of the one before, ends it, and all that was noted can be taken back.
func TestPostgresOutlives(t *testing.T) {
	l := newLab(t, database.EnginePostgres)
	l.start()
	w := want(database.EnginePostgres)
	l.ensure(w)
	next := openLab(t, database.EnginePostgres, l.dir)
	next.start()
	select {
	case <-l.own.done:
	case <-time.After(10 * time.Second):
		t.Error("the server of the first is still there")
	}
	l.own = nil
	check(t, next.Remove(t.Context(), l.acts))
}
