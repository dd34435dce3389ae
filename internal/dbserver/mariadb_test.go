package dbserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

var mariadbConfigured = []string{"etc/mysql", "etc/systemd/system"}

// TestMariaDB sets a server up in a root that does not run, twice, and takes it
// all back.
func TestMariaDB(t *testing.T) {
	l := newLab(t, database.EngineMariaDB)
	before := l.state(mariadbConfigured...)
	w := want(database.EngineMariaDB)
	l.start()
	accounts := l.sql("SELECT User, Host FROM mysql.user ORDER BY 1, 2")
	plan, err := l.Plan(t.Context(), w)
	check(t, err)
	did := l.ensure(w)
	if fmt.Sprint(plan) != fmt.Sprint(did) || len(did.Steps) != len(l.acts) {
		t.Errorf("planned %q, done %q, noted %d", plan, did, len(l.acts))
	}
	for _, h := range []string{"localhost", "127.0.0.1", "10.10.0.1", "mgmt01", "10.20.0.0/255.255.0.0", "sn01.cluster"} {
		if !says(did.Steps, "make user", `"`+h+`"`) {
			t.Errorf("no account at %s: %q", h, did.Steps)
		}
	}
	mysqlWork(t, l.Login(w.Location))
	if again := l.ensure(w); len(again.Steps) > 0 {
		t.Errorf("second time: %q", again.Steps)
	}
	check(t, l.Remove(t.Context(), l.acts))
	check(t, l.Remove(t.Context(), l.acts))
	sameState(t, before, l.state(mariadbConfigured...))
	if now := l.sql("SELECT User, Host FROM mysql.user ORDER BY 1, 2"); fmt.Sprint(now) != fmt.Sprint(accounts) {
		t.Errorf("accounts: %v, were %v", now, accounts)
	}
	if rows := l.sql("SHOW DATABASES LIKE 'xcatdb'"); len(rows) > 0 {
		t.Error("the database is left")
	}
}

func mysqlOpen(t *testing.T, at database.Location) *sql.DB {
	t.Helper()
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName = at.User, at.Password.Reveal(), at.Name
	c.Net, c.Addr = "unix", at.Host
	if at.Port != "" {
		c.Net, c.Addr = "tcp", at.Host+":"+at.Port
	}
	connector, err := mysql.NewConnector(c)
	check(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func mysqlWork(t *testing.T, at database.Location) {
	t.Helper()
	db := mysqlOpen(t, at)
	for _, s := range []string{"CREATE TABLE made_by_test (k VARCHAR(128) PRIMARY KEY)", "INSERT INTO made_by_test VALUES ('ü')", "DROP TABLE made_by_test"} {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// TestMariaDBLogin logs in over TCP at loopback: the drop-in has to be read, and
// the account of the address has to be right.
func TestMariaDBLogin(t *testing.T) {
	l := newLab(t, database.EngineMariaDB)
	w := want(database.EngineMariaDB)
	stop := l.start()
	l.ensure(w)
	stop()
	at := w.Location
	at.Host, at.Port = "127.0.0.1", freePort(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() {
		_, err := l.run.Run(ctx, host.Command{
			Name: l.server, Chroot: l.dir,
			Args: []string{"--user=mysql", "--port=" + at.Port, "--bind-address=127.0.0.1", "--socket=/tmp/mysql.sock", "--pid-file=/tmp/pid"},
		})
		done <- err
	}()
	t.Cleanup(func() { cancel(); <-done })
	db := mysqlOpen(t, at)
	for range 200 {
		if err := db.Ping(); err == nil {
			mysqlWork(t, at)
			at.Password = database.NewSecret("another")
			if err := mysqlOpen(t, at).Ping(); err == nil {
				t.Error("another password was taken")
			}
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("no login: %v", db.Ping())
}

// TestMariaDBIsThere meets accounts with another password and some rights.
func TestMariaDBIsThere(t *testing.T) {
	l := newLab(t, database.EngineMariaDB)
	l.start()
	l.sql("CREATE DATABASE xcatdb CHARACTER SET latin1")
	l.sql("CREATE USER 'xcatadm'@'localhost' IDENTIFIED BY 'another'; GRANT SELECT ON `xcatdb`.* TO 'xcatadm'@'localhost'; CREATE USER 'xcatadm'@'127.0.0.1' IDENTIFIED VIA unix_socket")
	show := "SHOW CREATE USER 'xcatadm'@'localhost'; SHOW GRANTS FOR 'xcatadm'@'localhost'; SHOW CREATE USER 'xcatadm'@'127.0.0.1'; SHOW GRANTS FOR 'xcatadm'@'127.0.0.1'"
	old := l.sql(show)
	w := want(database.EngineMariaDB)
	did := l.ensure(w)
	if !says(did.Notes, "latin1") || !says(did.Steps, "give user", "localhost") || !says(did.Steps, "use database") {
		t.Errorf("done: %q", did)
	}
	mysqlWork(t, l.Login(w.Location))
	if again := l.ensure(w); len(again.Steps) > 0 {
		t.Errorf("second time: %q", again.Steps)
	}
	check(t, l.Remove(t.Context(), l.acts))
	check(t, l.Remove(t.Context(), l.acts))
	if now := l.sql(show); fmt.Sprint(now) != fmt.Sprint(old) {
		t.Error("the accounts are not what they were")
	}
}

// TestMariaDBEmpty has no tables of the server yet, as EL before its first start.
func TestMariaDBEmpty(t *testing.T) {
	l := newLab(t, database.EngineMariaDB, func(dir string) {
		entries, err := os.ReadDir(filepath.Join(dir, "var/lib/mysql"))
		check(t, err)
		for _, e := range entries {
			check(t, os.RemoveAll(filepath.Join(dir, "var/lib/mysql", e.Name())))
		}
	})
	w := want(database.EngineMariaDB)
	plan, err := l.Plan(t.Context(), w)
	check(t, err)
	if !says(plan.Steps, "initialise") || !says(plan.Steps, "make user", "localhost") {
		t.Errorf("plan: %q", plan)
	}
	l.start()
	l.ensure(w)
	mysqlWork(t, l.Login(w.Location))
	l.sql("CREATE DATABASE of_others")
	if err := l.Remove(t.Context(), l.acts); err == nil || !strings.Contains(err.Error(), "of_others") {
		t.Errorf("removed with the data of others: %v", err)
	}
	l.sql("DROP DATABASE of_others")
	check(t, l.Remove(t.Context(), l.acts))
	if empty, err := l.kind.empty(); !empty || err != nil {
		t.Errorf("the cluster is there: %v", err)
	}
}

// TestMariaDBHostile takes names that would be SQL if they were not quoted.
func TestMariaDBHostile(t *testing.T) {
	l := newLab(t, database.EngineMariaDB)
	l.start()
	before := l.sql("SELECT User, Host FROM mysql.global_priv ORDER BY 1, 2")
	for _, name := range []string{"x`; DROP DATABASE mysql; --", "a'b", `a"b`, "x_y%", "ä☃", "-- c", "#c", "$(x)", "delimiter", "-d"} {
		w := want(database.EngineMariaDB)
		w.Location.Name, w.Location.User = name, name+"u"
		if strings.Contains(name, "☃") {
			w.Location.Name = "äö" // its file system names are another story
		}
		w.Location.Password = database.NewSecret("pw'); DROP DATABASE mysql; --")
		l.acts = nil
		if did := l.ensure(w); len(did.Steps) == 0 {
			t.Errorf("%q: nothing done", name)
		}
		mysqlWork(t, l.Login(w.Location))
		if again := l.ensure(w); len(again.Steps) > 0 {
			t.Errorf("%q: again: %q", name, again.Steps)
		}
		check(t, l.Remove(t.Context(), l.acts))
	}
	if after := l.sql("SELECT User, Host FROM mysql.global_priv ORDER BY 1, 2"); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("accounts: %v, were %v", after, before)
	}
}

// TestMariaDBScope lets a user into its database and not into those whose names
// its wildcards would be.
func TestMariaDBScope(t *testing.T) {
	l := newLab(t, database.EngineMariaDB)
	l.start()
	w := want(database.EngineMariaDB)
	w.Location.Name = "xcat_db"
	l.sql("CREATE DATABASE xcatXdb")
	l.ensure(w)
	at := l.Login(w.Location)
	mysqlWork(t, at)
	at.Name = "xcatXdb"
	if err := mysqlOpen(t, at).Ping(); err == nil {
		t.Error("the user is let into another database")
	}
}

// TestMariaDBRootRefused has a password for root, as mysqlsetup sets it: without it
// the start fails at once and says so, with it in root's .my.cnf all goes.
func TestMariaDBRootRefused(t *testing.T) {
	l := newLab(t, database.EngineMariaDB)
	stop := l.start()
	l.sql("ALTER USER root@localhost IDENTIFIED BY 'known to few'")
	cnf := filepath.Join(l.dir, "root/.my.cnf")
	check(t, os.WriteFile(cnf, []byte("[client]\npassword=\"known to few\"\n"), 0o600))
	if again := l.ensure(want(database.EngineMariaDB)); len(again.Steps) == 0 {
		t.Error("nothing done")
	}
	stop()
	check(t, os.Remove(cnf))
	_, err := l.Start(t.Context(), l.note)
	if !errors.Is(err, database.ErrDenied) || !strings.Contains(err.Error(), ".my.cnf") {
		t.Errorf("start: %v", err)
	}
	if l.own != nil || l.root.Exists(privateDir) {
		t.Error("the server is left")
	}
}
