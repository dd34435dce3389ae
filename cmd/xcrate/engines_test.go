package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// locationIn reads the cfgloc of a root.
func locationIn(t *testing.T, root string) database.Location {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "etc/xcat/cfgloc"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := database.ParseLocation(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestEngineChange takes the sample node's SQLite tables to PostgreSQL, to MariaDB
// and back, always into the same root: rows stay what they are.
func TestEngineChange(t *testing.T) {
	mn, usb, root := filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb"), hosttest.DatabaseRoot(t)
	sample(t, mn)
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--with-logs")
	into := func(args ...string) string {
		t.Helper()
		return xcrate(t, exitWarnings, append([]string{
			"import", "--allow-unsigned", usb, "--root", root, "--yes", "--only", "database,secrets",
			"--allow", "distro,distro-version,arch,existing-nodes",
		}, args...)...)
	}
	equal := func(got database.Source) {
		t.Helper()
		want, err := database.OpenSQLite(t.Context(), filepath.Join(mn, "etc/xcat"), database.SQLiteOptions{TempDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = want.Close() }()
		if diff, err := database.Compare(t.Context(), want, got, 10); err != nil || len(diff) > 0 {
			t.Errorf("%v, %v", diff, err)
		}
	}
	into()
	said := into("--db-engine", "postgres")
	for _, want := range []string{"change   the database from sqlite to postgres", "remove   SQLite tables that nothing reads then", "write    /etc/xcat/cfgloc"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said:\n%s", want, said)
		}
	}
	if left, err := filepath.Glob(filepath.Join(root, "etc/xcat/*.sqlite*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	l := locationIn(t, root)
	if l.Engine != database.EnginePostgres || len(l.Password.Reveal()) < 20 || strings.Contains(said, l.Password.Reveal()) {
		t.Errorf("location %+v", l)
	}
	inRoot(t, root, l, equal)
	into("--db-engine", "postgres")
	if again := locationIn(t, root); again != l {
		t.Errorf("another location the second time: %+v, was %+v", again, l)
	}
	said = into("--db-engine", "mariadb")
	if !strings.Contains(said, "is not used any more and stays") {
		t.Errorf("nothing is said of the database left:\n%s", said)
	}
	inRoot(t, root, locationIn(t, root), equal)
	said = into()
	if !strings.Contains(said, "remove   /etc/xcat/cfgloc") {
		t.Errorf("back:\n%s", said)
	}
	if _, err := os.Lstat(filepath.Join(root, "etc/xcat/cfgloc")); err == nil {
		t.Error("cfgloc is still there")
	}
	got, err := database.OpenSQLite(t.Context(), filepath.Join(root, "etc/xcat"), database.SQLiteOptions{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Close() }()
	equal(got)
}

// TestEngineChangeRefused has rows that the other engine would lose: nothing
// changes, and each is named.
func TestEngineChangeRefused(t *testing.T) {
	mn, usb, root := filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb"), hosttest.DatabaseRoot(t)
	sample(t, mn)
	sqlite(t, filepath.Join(mn, "etc/xcat/mac.sqlite"), "INSERT INTO mac (node, mac) VALUES ('Twin', '1'), ('twin', '2')")
	sqlite(t, filepath.Join(mn, "etc/xcat/rack.sqlite"), "INSERT INTO rack (rackname, comments) VALUES ('r1', 'a' || char(0) || 'b'), ('r2', CAST(x'ff' AS TEXT))")
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn)
	before := whole(t, root)
	for engine, lines := range map[string][]string{
		"mariadb":  {`table "mac": rows node="Twin" and node="twin": the same key`, `table "rack": column "comments": row 2: bytes that are no UTF-8`},
		"postgres": {`table "rack": column "comments": row 1: byte 0`},
	} {
		said := xcrate(t, exitRefused, "import", "--allow-unsigned", usb, "--root", root, "--dry-run", "--only", "database", "--allow", "distro,distro-version,arch", "--db-engine", engine)
		flat := strings.Join(strings.Fields(said), " ")
		for _, want := range lines {
			if !strings.Contains(flat, want) {
				t.Errorf("%s: %q is not said:\n%s", engine, want, said)
			}
		}
	}
	unchanged(t, "refused", before, root)
}

// sqlite runs a statement with the original program.
func sqlite(t *testing.T, file, statement string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "sqlite3", file, statement).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
