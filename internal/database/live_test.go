package database

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// holdTransaction is a program that is killed in the middle of a transaction
// large enough that part of it is in the file already.
func holdTransaction(path string, ready io.Writer) error {
	ctx := context.Background()
	c, err := connect(ctx, path, "rw", 0)
	if err != nil {
		return err
	}
	for _, s := range []string{
		"PRAGMA cache_size = 10", "PRAGMA cache_spill = 1", "BEGIN",
		"UPDATE t SET v = 'half done ' || hex(randomblob(400))",
	} {
		if err := c.run(ctx, s); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(ready, "ready"); err != nil {
		return err
	}
	select {}
}

// alternate is a program that counts up in two tables in turn, one commit
// each, until it is killed.
func alternate(first, second string, ready io.Writer) error {
	ctx := context.Background()
	a, err := connect(ctx, first, "rw", 30*time.Second)
	if err != nil {
		return err
	}
	b, err := connect(ctx, second, "rw", 30*time.Second)
	if err != nil {
		return err
	}
	for i := 1; ; i++ {
		for _, c := range []*connection{a, b} {
			if err := c.run(ctx, "UPDATE "+map[bool]string{true: "first", false: "second"}[c == a]+" SET n = "+strconv.Itoa(i)); err != nil {
				return err
			}
		}
		if i == 3 {
			if _, err := fmt.Fprintln(ready, "ready"); err != nil {
				return err
			}
		}
	}
}

// update is a program that writes once and says how it went.
func update(path string, result io.Writer) error {
	c, err := connect(context.Background(), path, "rw", 10*time.Millisecond)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(result, c.run(context.Background(), "UPDATE second SET n = 2"))
	return errors.Join(err, c.Close())
}

// start runs a child until it is ready; it is killed at the end of the test or
// by the returned function.
func start(t *testing.T, job string, args ...string) (kill func()) {
	t.Helper()
	cmd := child(t, job, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := false
	kill = func() {
		if !done {
			done = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("child: %q, %v", line, err)
	}
	return kill
}

func TestHotJournal(t *testing.T) {
	dir, temp := t.TempDir(), t.TempDir()
	path := makeTable(t, dir, "t", "CREATE TABLE t (k VARCHAR(128), v TEXT, PRIMARY KEY (k))",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 500) INSERT INTO t SELECT 'k'||i, hex(zeroblob(200)) FROM n")
	want := dumpAll(t, open(t, copyDir(t, dir)))
	start(t, "crash", path)()
	journal, err := os.ReadFile(path + "-journal")
	if err != nil || len(journal) == 0 || journal[0] == 0 {
		t.Fatalf("the killed program left no journal: %d bytes, %v", len(journal), err)
	}
	torn, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(torn), "half done") {
		t.Fatalf("the killed program left the file whole: %v", err)
	}

	_, err = OpenSQLite(t.Context(), dir, SQLiteOptions{})
	wantError(t, err, `table "t"`, path, "no directory for one was given")

	s, err := OpenSQLite(t.Context(), dir, SQLiteOptions{TempDir: temp})
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(temp, names(t, temp)))
	if err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("private copy: mode %v, %v", st.Mode(), err)
	}
	got := dumpAll(t, s)
	if string(got.files["t.csv"]) != string(want.files["t.csv"]) {
		t.Error("rows are not those from before the transaction")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := names(t, temp); n != "" {
		t.Errorf("left in the temporary directory: %s", n)
	}
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(torn) || names(t, dir) != "t.sqlite t.sqlite-journal" {
		t.Errorf("the original was touched: %s, %v", names(t, dir), err)
	}
}

func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	for n := range strings.SplitSeq(names(t, dir), " ") {
		if err := copyFile(filepath.Join(dir, n), filepath.Join(to, n)); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestWAL(t *testing.T) {
	for _, open := range []bool{false, true} {
		t.Run(fmt.Sprintf("writer_open_%t", open), func(t *testing.T) {
			dir, temp := t.TempDir(), t.TempDir()
			path := makeTable(t, dir, "t", "PRAGMA journal_mode = WAL", "CREATE TABLE t (v TEXT)")
			w, err := connect(t.Context(), path, "rw", time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = w.Close() }()
			if err := w.run(t.Context(), "INSERT INTO t VALUES ('in the wal')"); err != nil {
				t.Fatal(err)
			}
			if !open { // as a crash leaves it
				dir = copyDir(t, dir)
				if err := os.Remove(filepath.Join(dir, "t.sqlite-shm")); err != nil {
					t.Fatal(err)
				}
			}
			before := names(t, dir)
			s, err := OpenSQLite(t.Context(), dir, SQLiteOptions{TempDir: temp, Wait: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if open {
				if err := w.run(t.Context(), "INSERT INTO t VALUES ('too late')"); !errors.Is(err, errBusy) {
					t.Errorf("a writer got in: %v", err)
				}
			}
			if got := string(dumpAll(t, s).files["t.csv"]); got != "#v\n\"in the wal\"\n" {
				t.Errorf("dump %q", got)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if now := names(t, dir); now != before {
				t.Errorf("files %s, before %s", now, before)
			}
			if n := names(t, temp); n != "" {
				t.Errorf("left in the temporary directory: %s", n)
			}
		})
	}
}

// TestLiveWriter dumps while another program writes first then second, never
// otherwise: first is ahead by at most one.
func TestLiveWriter(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for _, table := range []string{"first", "second"} {
		paths = append(paths, makeTable(t, dir, table, "CREATE TABLE "+table+" (n INTEGER)", "INSERT INTO "+table+" VALUES (0)"))
	}
	start(t, "alternate", paths...)
	seen := map[string]bool{}
	for range 40 {
		s, err := OpenSQLite(t.Context(), dir, SQLiteOptions{Wait: 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		before := dumpAll(t, s)
		time.Sleep(5 * time.Millisecond) // the writer would get far
		after := dumpAll(t, s)
		if string(before.files["first.csv"]) != string(after.files["first.csv"]) || string(before.files["second.csv"]) != string(after.files["second.csv"]) {
			t.Error("two dumps of one moment differ")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		n := map[string]int{}
		for _, table := range []string{"first", "second"} {
			_, rows, err := readCSV(table, before.files[FileName(table)])
			if err != nil {
				t.Fatal(err)
			}
			if n[table], err = strconv.Atoi(rows[0][0].Text); err != nil {
				t.Fatal(err)
			}
		}
		if ahead := n["first"] - n["second"]; ahead != 0 && ahead != 1 {
			t.Errorf("first %d, second %d: not one moment", n["first"], n["second"])
		}
		seen[strconv.Itoa(n["first"])] = true
		time.Sleep(2 * time.Millisecond)
	}
	if len(seen) < 5 {
		t.Errorf("%d different moments in 40 dumps: the writer stood still", len(seen))
	}
}

func TestBusyIsNamed(t *testing.T) {
	dir := t.TempDir()
	makeTable(t, dir, "a", "CREATE TABLE a (v TEXT)")
	path := makeTable(t, dir, "b", "CREATE TABLE b (v TEXT)")
	w, err := connect(t.Context(), path, "rw", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	if err := w.run(t.Context(), "BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	_, err = OpenSQLite(t.Context(), dir, SQLiteOptions{Wait: 300 * time.Millisecond})
	wantError(t, err, `table "b"`, path, "busy", "300ms")

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err = OpenSQLite(ctx, dir, SQLiteOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a cancelled open says %v", err)
	}

	go func() { // the writer ends while we wait
		time.Sleep(100 * time.Millisecond)
		_ = w.run(t.Context(), "COMMIT")
	}()
	s, err := OpenSQLite(t.Context(), dir, SQLiteOptions{Wait: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestLockOutlivesForeignClose reads the files by another way meanwhile, which
// takes SQLite's own locks away.
func TestLockOutlivesForeignClose(t *testing.T) {
	dir := t.TempDir()
	path := makeTable(t, dir, "second", "CREATE TABLE second (n INTEGER)", "INSERT INTO second VALUES (1)")
	s := open(t, dir)
	if _, err := os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	// Within one process SQLite knows its locks without asking the kernel.
	out, err := child(t, "update", path).Output()
	if err != nil || string(out) != errBusy.Error() {
		t.Errorf("a writer got in: %q, %v", out, err)
	}
	if got := string(dumpAll(t, s).files["second.csv"]); got != "#n\n\"1\"\n" {
		t.Errorf("dump %q", got)
	}
}
