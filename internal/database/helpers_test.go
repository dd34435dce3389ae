package database

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
)

const realMN = "../../testdata/real-mn/sqlite"

// copyReal copies the real files into a directory of their own, writable.
func copyReal(t testing.TB) string {
	t.Helper()
	names, err := filepath.Glob(realMN + "/*.sqlite")
	if err != nil || len(names) != 73 {
		t.Fatalf("fixture %s: %d files, %v", realMN, len(names), err)
	}
	dir := t.TempDir()
	for _, n := range names {
		if err := copyFile(n, filepath.Join(dir, filepath.Base(n))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// makeTable makes dir/table.sqlite by running statements, each by itself.
func makeTable(t testing.TB, dir, table string, statements ...string) string {
	t.Helper()
	path := filepath.Join(dir, table+fileSuffix)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, path, statements...)
	return path
}

func execute(t testing.TB, path string, statements ...string) {
	t.Helper()
	c, err := connect(t.Context(), path, "rw", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if err := c.run(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// storeRows inserts rows into an existing file as they are.
func storeRows(t testing.TB, path, table string, rows ...[]any) {
	t.Helper()
	c, err := connect(t.Context(), path, "rw", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		marks := strings.TrimSuffix(strings.Repeat("?,", len(r)), ",")
		if _, err := c.ExecContext(t.Context(), "INSERT INTO "+quoteName(table)+" VALUES ("+marks+")", r...); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) *SQLite {
	t.Helper()
	s, err := OpenSQLite(t.Context(), dir, SQLiteOptions{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// dump is a Dump in memory.
type dump struct {
	Dumped
	files map[string][]byte
}

func dumpAll(t testing.TB, src Source) dump {
	t.Helper()
	d := dump{files: map[string][]byte{}}
	var err error
	d.Dumped, err = Dump(t.Context(), src, func(name string, write func(io.Writer) error) error {
		var b bytes.Buffer
		err := write(&b)
		d.files[name] = b.Bytes()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// build makes all tables of d in dir, by way of the JSON the schemas travel in.
func (d dump) build(ctx context.Context, dir string) ([]artifact.Table, error) {
	facts, err := EncodeSchemas(d.Schemas)
	if err != nil {
		return nil, err
	}
	schemas, err := ParseSchemas(facts)
	if err != nil {
		return nil, err
	}
	var tables []artifact.Table
	for _, s := range schemas {
		t, err := BuildSQLite(ctx, filepath.Join(dir, s.Table+fileSuffix), s, bytes.NewReader(d.files[FileName(s.Table)]))
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// readCSV parses a whole CSV.
func readCSV(table string, b []byte) (columns []string, rows [][]Value, err error) {
	r, err := NewReader(bytes.NewReader(b), table)
	if err != nil {
		return nil, nil, err
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return r.Columns(), rows, nil
		}
		if err != nil {
			return nil, nil, err
		}
		rows = append(rows, append([]Value(nil), row...))
	}
}

// names lists what is in dir.
func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// need fails the test on CI, and skips it elsewhere, where a tool is missing.
func need(t testing.TB, ok bool, what string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("CI") == "true" || os.Getenv("XCRATE_TEST_ALL") == "1":
		t.Fatal(what)
	default:
		t.Skip(what)
	}
}

// wantError checks that err has all parts in its text.
func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %q", parts)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
}

// child runs this test binary again as another program: see TestMain.
func child(t testing.TB, job string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), childJob+"="+job)
	cmd.Stderr = os.Stderr
	return cmd
}

const childJob = "XCRATE_DATABASE_TEST_CHILD"

func TestMain(m *testing.M) {
	switch job := os.Getenv(childJob); job {
	case "":
		os.Exit(m.Run())
	case "crash":
		exit(holdTransaction(os.Args[1], os.Stdout))
	case "update":
		exit(update(os.Args[1], os.Stdout))
	case "alternate":
		exit(alternate(os.Args[1], os.Args[2], os.Stdout))
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:revive // the end of a child process, one call above main
	}
	os.Exit(0) //nolint:revive // the same
}

// alive is how much memory of Go is in use, without what only waits to be collected:
// how long that waits depends on what else the machine does.
func alive() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// resident is how much memory of this process is in use, SQLite's own, which
// Go does not count, included.
func resident(t testing.TB) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
