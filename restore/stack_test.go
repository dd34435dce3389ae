package restore

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// standIn builds the program that stands in for the stack's own restore.
func standIn(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "restorexCATdb")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../internal/hosttest/restorexcatdb")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // it runs where there is no libc
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return bin
}

// standInRoot is targetRoot with the stand-in where the stack has its program.
func standInRoot(t *testing.T, bin, mode string) string {
	t.Helper()
	root := targetRoot(t)
	sbin := filepath.Join(root, "opt/xcat/sbin")
	check(t, os.MkdirAll(sbin, 0o755))
	check(t, os.Link(bin, filepath.Join(sbin, "restorexCATdb")))
	check(t, os.WriteFile(filepath.Join(sbin, "mode"), []byte(mode), 0o600))
	copyTables(t, filepath.Join(root, "etc/xcat"), "rack", "site")
	check(t, os.WriteFile(filepath.Join(root, "etc/xcat/rack.sqlite-journal"), nil, 0o600))
	return root
}

// seen is what the stand-in was called with.
type seen struct {
	Args, Env []string
	Directory string
	Stdin     int64
	Modes     map[string]string
}

// TestByStack has the stack's own program restore the tables: every row is
// compared afterwards.
func TestByStack(t *testing.T) {
	f := newFixture(t)
	root := standInRoot(t, standIn(t), "empty")
	o := f.options(t, root)
	o.ByStack = true
	result, err := Apply(t.Context(), f.m, f.s, o, yes)
	check(t, err)
	if result.Tables != 3 {
		t.Errorf("result %+v", result)
	}
	b, err := os.ReadFile(filepath.Join(root, "var/seen.json"))
	check(t, err)
	var s seen
	check(t, json.Unmarshal(b, &s))
	dir := "/var/lib/xcrate/imports/" + result.ID + "/database"
	if !slices.Equal(s.Args, []string{"/opt/xcat/sbin/restorexCATdb", "-a", "-p", dir}) {
		t.Errorf("called as %q", s.Args)
	}
	for _, want := range []string{"XCATBYPASS=yes", "XCATROOT=/opt/xcat", "PATH=/opt/xcat/sbin:/opt/xcat/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"} {
		if !slices.Contains(s.Env, want) {
			t.Errorf("environment without %s: %q", want, s.Env)
		}
	}
	if len(s.Env) != 6 || s.Directory != "/" || s.Stdin != 0 {
		t.Errorf("environment %q, in %s, %d bytes to read", s.Env, s.Directory, s.Stdin)
	}
	want := map[string]string{".": "drwx------", "ipmi.csv": "-rw-------", "nodelist.csv": "-rw-------", "site.csv": "-rw-------"}
	for name, mode := range s.Modes {
		if want[name] != mode {
			t.Errorf("%s in the directory: mode %s", name, mode)
		}
	}
	if len(s.Modes) != len(want) {
		t.Errorf("the directory holds %v", s.Modes)
	}
	if left, err := filepath.Glob(filepath.Join(root, "etc/xcat/*.sqlite*")); err != nil || len(left) != 3 {
		t.Errorf("tables the snapshot does not have: %v, %v", left, err)
	}
	if _, err := os.Lstat(filepath.Join(root, dir)); err == nil {
		t.Error("the CSVs are left")
	}
	if again, err := Apply(t.Context(), f.m, f.s, o, yes); err != nil || again != nil {
		t.Errorf("second import: %+v, %v", again, err)
	}
}

// TestByStackFails has the stack's program go wrong in all the ways it does, most
// of them with exit code 0: the import says which table, and all is as before.
func TestByStackFails(t *testing.T) {
	f, bin := newFixture(t), standIn(t)
	for mode, wants := range map[string][]string{
		"errors":   {`table "site": not restored: UNIQUE constraint failed, with line 3`},
		"lose":     {`table "ipmi": read back `, "the snapshot has ", "only in the snapshot"},
		"change":   {`table "site": read back `, `column "value"`},
		"stranger": {`table "site": not restored: UNIQUE`},
		"half":     {`table "site": not restored: disk I/O error, with line 1`, "exit status 1"},
		"hang":     {"context deadline exceeded"},
	} {
		t.Run(mode, func(t *testing.T) {
			root := standInRoot(t, bin, mode)
			before := treeOf(t, root)
			o := f.options(t, root)
			o.ByStack = true
			if mode == "hang" {
				o.stackWithin = 300 * time.Millisecond
			}
			_, err := Apply(t.Context(), f.m, f.s, o, yes)
			if err == nil {
				t.Fatal("it went well")
			}
			for _, want := range append(wants, "everything that was changed is put back") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not said: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), `"snmpc"`) {
				t.Errorf("a row is shown: %v", err)
			}
			if mode == "hang" {
				time.Sleep(100 * time.Millisecond) // a child that lives on writes by now
			}
			diff(t, mode, before, treeOf(t, root))
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		root := standInRoot(t, bin, "hang")
		before := treeOf(t, root)
		o := f.options(t, root)
		o.ByStack = true
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			waitFor(ctx, filepath.Join(root, "etc/xcat/hung.sqlite"))
		}()
		if _, err := Apply(ctx, f.m, f.s, o, yes); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		time.Sleep(100 * time.Millisecond)
		diff(t, "cancelled", before, treeOf(t, root))
	})
	t.Run("killed", func(t *testing.T) {
		root := standInRoot(t, bin, "hang")
		before := treeOf(t, root)
		o := f.options(t, root)
		o.ByStack, o.stackWithin = true, 300*time.Millisecond
		crash(t, f, o)
		open, err := Unfinished(o.Root)
		check(t, err)
		// As if this program had been killed, and the stack's not.
		outlives := exec.CommandContext(t.Context(), "/opt/xcat/sbin/restorexCATdb", "-a", "-p", filepath.Join(StateDir, open.ID, "database"))
		outlives.SysProcAttr, outlives.Dir = &syscall.SysProcAttr{Chroot: root}, "/"
		check(t, outlives.Start())
		waitFor(t.Context(), filepath.Join(root, "etc/xcat/hung.sqlite"))
		f.takeBack(t, f.options(t, root))
		time.Sleep(100 * time.Millisecond)
		diff(t, "killed", before, treeOf(t, root))
		_ = outlives.Wait()
	})
	t.Run("missing", func(t *testing.T) {
		root := standInRoot(t, bin, "right")
		check(t, os.Remove(filepath.Join(root, "opt/xcat/sbin/restorexCATdb")))
		before := treeOf(t, root)
		o := f.options(t, root)
		o.ByStack = true
		if _, err := Apply(t.Context(), f.m, f.s, o, yes); err == nil || !strings.Contains(err.Error(), "restorexCATdb is not there") {
			t.Errorf("%v", err)
		}
		diff(t, "missing", before, treeOf(t, root))
	})
}

// waitFor waits until file is there.
func waitFor(ctx context.Context, file string) {
	for ctx.Err() == nil {
		if _, err := os.Lstat(file); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestStackErrors reads what xCAT's program really says: the table, the line and
// the cause, and no row.
func TestStackErrors(t *testing.T) {
	const dir = "/var/lib/xcrate/imports/20261126T010921Z-aff82bf3afd7/database/"
	said := `Command failed: tabrestore ` + dir + `rack.csv 2>&1. Error message: Use of uninitialized value in concatenation (.) or string at /opt/xcat/lib/perl/xCAT_plugin/tabutils.pm line 549.
Error: DB error UNIQUE constraint failed: rack.rackname with line 2: "r9",,,,,"CANARY",.

Error running tabrestore ` + dir + `rack.csv, Error loading module /opt/xcat/lib/perl/xCAT_plugin/xen.pm  ...skipping Error: DB error  with line 0: ,,,,,, Error: DB error UNIQUE constraint failed: rack.rackname with line 2: "r9",,,,,"CANARY",

Error running tabrestore ` + dir + `hosts.csv, Error: The header line indicates that column 'nocol' should exist, which is not defined in the schema for 'hosts'

Error running tabrestore ` + dir + `mytable.csv, Error: Unable to open mytable

Restore of Database Complete.
`
	want := `the stack's own restore said:
table "rack": not restored: with line 0, UNIQUE constraint failed, with line 2
table "hosts": not restored: column 'nocol' should exist
table "mytable": not restored: Unable to open mytable`
	if err := stackErrors(said); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	for text, want := range map[string]string{
		"Error loading module /opt/xcat/lib/perl/xCAT_plugin/xen.pm  ...skipping\nRestore of Database Complete.\n": "",
		"Can't locate DBI.pm in @INC (you may need to install the DBI module)\n":                                   "Can't locate DBI.pm",
		"Error: something with CANARY\n":                         "an error that is not known here",
		"Error running tabrestore " + dir + "site.csv, killed\n": `table "site": not restored: it does not say why`,
	} {
		err := stackErrors(text)
		if (want == "") != (err == nil) || err != nil && err.Error() != "the stack's own restore said:\n"+want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
