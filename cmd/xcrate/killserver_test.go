package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/dbserver"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// rowsIn counts the rows that root's server has of the database at l; -1 says that
// there is none, or nobody to log in as.
func rowsIn(t *testing.T, root string, l database.Location) (rows int64) {
	t.Helper()
	servedIn(t, root, l.Engine, func(s *dbserver.Server) {
		src, err := database.Open(t.Context(), s.Login(l), database.SQLiteOptions{})
		if errors.Is(err, database.ErrNoDatabase) || errors.Is(err, database.ErrDenied) {
			rows = -1
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = src.Close() }()
		tables, err := src.Tables(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range tables {
			n, err := src.Count(t.Context(), table)
			if err != nil {
				t.Fatal(err)
			}
			rows += n
		}
	})
	return rows
}

// TestKilledServerImport kills an import into a database server at ten moments for
// each engine. At each there are all rows or none; some are resumed, all
// are rolled back, and one that is not disturbed ends as if nothing had happened.
func TestKilledServerImport(t *testing.T) {
	bin := program(t)
	for _, engine := range serverEngines {
		t.Run(string(engine), func(t *testing.T) {
			n, usb, root := nodeOn(t, engine), filepath.Join(t.TempDir(), "usb"), hosttest.DatabaseRoot(t)
			xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", n.root, "--db-server", n.server)
			var all int64
			for _, table := range config(t, usb).Database.Tables {
				all += table.Rows
			}
			args := []string{"import", "--allow-unsigned", usb, "--root", root, "--only", "database,secrets", "--allow", "distro,distro-version,arch"}
			killed, inDatabase := 0, 0
			for _, d := range steps(1500*time.Millisecond, 10) {
				if killAfter(t, d, bin, append(args, "--yes")...) {
					break
				}
				killed++
				if rows := rowsIn(t, root, n.location); rows > 0 && rows != all {
					t.Errorf("killed after %v: %d rows of %d", d, rows, all)
				} else if rows >= 0 {
					inDatabase++
				}
				var said strings.Builder
				if code := run([]string{"xcrate", "imports", "--root", root}, strings.NewReader(""), &said, &said); code != exitOK {
					t.Fatalf("killed after %v: exit code %d: %s", d, code, said.String())
				}
				if strings.Contains(said.String(), "no imports") {
					continue
				}
				if killed%4 == 0 { // each way takes seconds
					resume(t, root)
					if rows := rowsIn(t, root, n.location); rows != all {
						t.Errorf("killed after %v, and resumed: %d rows of %d", d, rows, all)
					}
				}
				xcrate(t, 0, "rollback", "--root", root, "--yes")
				if rows := rowsIn(t, root, n.location); rows != -1 {
					t.Errorf("killed after %v, and put back: %d rows", d, rows)
				}
			}
			t.Logf("killed %d times, %d of them with a database", killed, inDatabase)
			if killed == 0 {
				t.Error("no import was killed")
			}
			said := xcrate(t, exitWarnings, append(args, "--yes", "--allow", "existing-nodes")...)
			if strings.Contains(said, secretOfTheDatabase) {
				t.Error("the password is said")
			}
			inRoot(t, root, n.location, func(got database.Source) { n.same(t, got) })
		})
	}
}
