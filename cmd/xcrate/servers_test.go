package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/dbserver"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// sourceNode is a management node whose database is on a real server.
type sourceNode struct {
	root     string // its disk
	server   string // where the server answers: --db-server
	location database.Location
	admin    func(sql string) // in the database, as who may do all
}

// secretOfTheDatabase is the password that no message may hold.
const secretOfTheDatabase = "CANARYdatabase1"

// nodeOn makes the sample management node with the database of a real one.
func nodeOn(t *testing.T, engine database.Engine) sourceNode {
	t.Helper()
	n := sourceNode{root: filepath.Join(t.TempDir(), "mn")}
	sample(t, n.root)
	files, err := filepath.Glob(filepath.Join(n.root, "etc/xcat/*.sqlite"))
	if err != nil || len(files) == 0 {
		t.Fatalf("sample: %d tables, %v", len(files), err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	n.location = database.Location{Engine: engine, Host: "10.10.0.1", Password: database.NewSecret(secretOfTheDatabase)}
	switch engine {
	case database.EnginePostgres:
		n.postgres(t)
	case database.EngineMariaDB:
		n.mariadb(t)
	case database.EngineSQLite:
	}
	writeFile(t, filepath.Join(n.root, "etc/xcat/cfgloc"), n.location.Line().Reveal()+"\n")
	if err := os.Chmod(filepath.Join(n.root, "etc/xcat/cfgloc"), 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *sourceNode) postgres(t *testing.T) {
	d := hosttest.Postgres(t).NewDatabase(t, "SQL_ASCII", true)
	n.admin = func(sql string) { t.Helper(); d.Admin(t, sql) }
	n.admin(fixture(t, "postgres"))
	n.admin("ALTER ROLE xcatadm PASSWORD '" + secretOfTheDatabase + "'")
	n.location.Name, n.location.User = d.Name, d.User
	n.server = d.Host + ":" + d.Port
}

func (n *sourceNode) mariadb(t *testing.T) {
	s := hosttest.MariaDB(t)
	l := s.NewDatabase(t, "latin1")
	n.admin = func(sql string) { t.Helper(); s.Load(t, l.Name, strings.NewReader(sql)) }
	n.admin(fixture(t, "mariadb"))
	n.admin("GRANT ALL ON " + l.Name + ".* TO xcatadmin2@'%' IDENTIFIED BY '" + secretOfTheDatabase + "'")
	n.location.Name, n.location.User = l.Name, "xcatadmin2"
	n.server = "127.0.0.1:" + l.Port
}

func fixture(t *testing.T, engine string) string {
	t.Helper()
	b, err := os.ReadFile("../../testdata/real-mn/" + engine + "/xcatdb.sql")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// reached is the source's database as this process reaches it.
func (n sourceNode) reached() database.Location {
	l := n.location
	l.Host, l.Port = database.SplitServer(n.server)
	return l
}

// servedIn calls fn with root's own server of an engine while it runs.
func servedIn(t *testing.T, root string, engine database.Engine, fn func(*dbserver.Server)) {
	t.Helper()
	r, err := host.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	s, err := dbserver.Find(r, host.Exec{}, engine)
	if err != nil {
		t.Fatal(err)
	}
	stop, err := s.Start(t.Context(), func(a dbserver.Act) error { return fmt.Errorf("%s: was left to do", a.What) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	fn(s)
}

// inRoot calls fn with the database that root's own server holds.
func inRoot(t *testing.T, root string, l database.Location, fn func(database.Source)) {
	t.Helper()
	servedIn(t, root, l.Engine, func(s *dbserver.Server) {
		src, err := database.Open(t.Context(), s.Login(l), database.SQLiteOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		fn(src)
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
}

// same compares the source's database with another, but for what a snapshot leaves out.
func (n sourceNode) same(t *testing.T, got database.Source) {
	t.Helper()
	all, err := database.Open(t.Context(), n.reached(), database.SQLiteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = all.Close() }()
	want := database.Without(all, func(table string) bool {
		return table == "auditlog" || table == "eventlog" || table == "performance" || table == "token"
	})
	diff, err := database.Compare(t.Context(), want, got, 10)
	if err != nil || len(diff) > 0 {
		t.Errorf("%v, %v", diff, err)
	}
	if tables, err := got.Tables(t.Context()); err != nil || len(tables) != 69 {
		t.Errorf("%d tables, %v", len(tables), err)
	}
}

var serverEngines = []database.Engine{database.EnginePostgres, database.EngineMariaDB}

// TestServers sends the database of a real management node from one real server to
// another, which the import sets up in a root that does not run.
func TestServers(t *testing.T) {
	for _, engine := range serverEngines {
		t.Run(string(engine), func(t *testing.T) {
			n, usb, root := nodeOn(t, engine), filepath.Join(t.TempDir(), "usb"), hosttest.DatabaseRoot(t)
			said := xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", n.root, "--db-server", n.server)
			c := config(t, usb)
			if s := c.Database.Server; s == nil || s.Host != "10.10.0.1" || s.Name != n.location.Name || s.Version == "" || s.Remote {
				t.Errorf("server in the config: %+v", s)
			}
			said += xcrate(t, 0, "import", "--allow-unsigned", usb, "--root", root, "--dry-run", "--only", "database,secrets", "--allow", "distro,distro-version,arch")
			said += xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes", "--only", "database,secrets", "--allow", "distro,distro-version,arch")
			for _, want := range []string{"set up   have xcatd start after", "note     the database server does not run", "make database", "database 69 tables read back, every row equal", "write    /etc/xcat/cfgloc"} {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not said:\n%s", want, said)
				}
			}
			if strings.Contains(said, secretOfTheDatabase) {
				t.Errorf("the password is said:\n%s", said)
			}
			inRoot(t, root, n.location, func(got database.Source) { n.same(t, got) })
			cfgloc := filepath.Join(root, "etc/xcat/cfgloc")
			if b, err := os.ReadFile(cfgloc); err != nil || string(b) != n.location.Line().Reveal()+"\n" {
				t.Errorf("cfgloc: %v", err)
			}
			if st, err := os.Stat(cfgloc); err != nil || st.Mode() != 0o600 {
				t.Errorf("cfgloc: %v, %v", st.Mode(), err)
			}
			noPassword(t, root, cfgloc)
			if b, err := os.ReadFile(filepath.Join(root, "etc/systemd/system/xcatd.service.d/xcrate-database.conf")); err != nil || !bytes.Contains(b, []byte("After=")) {
				t.Errorf("drop-in: %s, %v", b, err)
			}
			// Once more: nothing is set up twice, and the rows are equal.
			again := xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes", "--only", "database,secrets", "--allow", "distro,distro-version,arch,existing-nodes")
			if strings.Contains(again, "make role") || strings.Contains(again, "make user") {
				t.Errorf("again:\n%s", again)
			}
			inRoot(t, root, n.location, func(got database.Source) { n.same(t, got) })
		})
	}
}

// noPassword looks for the password in all files of root but those that are to
// hold it, which nobody else may read.
func noPassword(t *testing.T, root, but string) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || p == but {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil || !bytes.Contains(b, []byte(secretOfTheDatabase)) {
			return err
		}
		if strings.Contains(p, "/database-before/location") {
			return nil
		}
		return errors.New("the password is in " + p)
	})
	if err != nil {
		t.Error(err)
	}
}
