package database

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BenchmarkDumpAndBuild is a management node of 5,000 managed nodes: the real
// schema, one row per node in the tables that have one in practice.
func BenchmarkDumpAndBuild(b *testing.B) {
	dir := copyReal(b)
	rows := 0
	for _, table := range []string{"nodelist", "hosts", "mac", "noderes", "nodetype", "nodehm", "ipmi", "chain", "vpd", "nodepos", "switch", "postscripts", "nics"} {
		s := func() Schema {
			src := open(b, dir)
			defer func() { _ = src.Close() }()
			s, err := src.Schema(b.Context(), table)
			if err != nil {
				b.Fatal(err)
			}
			return s
		}()
		values := ""
		for i, c := range s.Columns {
			switch {
			case i > 0:
				values += ", "
			}
			if c.Key > 0 {
				values += "'node' || i"
			} else {
				values += fmt.Sprintf("'value %d of ' || i", i)
			}
		}
		execute(b, dir+"/"+table+fileSuffix, "DELETE FROM "+quoteName(table),
			"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 5000) INSERT INTO "+quoteName(table)+" SELECT "+values+" FROM n")
		rows += 5000
	}
	b.ReportMetric(float64(rows), "rows")
	for b.Loop() {
		s, err := OpenSQLite(b.Context(), dir, SQLiteOptions{})
		if err != nil {
			b.Fatal(err)
		}
		d := dumpAll(b, s)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		if _, err := d.build(b.Context(), b.TempDir()); err != nil {
			b.Fatal(err)
		}
	}
}

// benchSQLite is a directory with the rows of benchTables.
func benchSQLite(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	if _, err := benchDump(b).build(b.Context(), dir); err != nil {
		b.Fatal(err)
	}
	return dir
}

// sqliteProgram runs the original program on the file of a table, and throws away what
// it says unless out is given.
func sqliteProgram(b *testing.B, path string, in io.Reader, out io.Writer, args ...string) {
	b.Helper()
	var said bytes.Buffer
	cmd := exec.Command("sqlite3", append([]string{path}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &said
	if err := cmd.Run(); err != nil {
		b.Fatalf("sqlite3: %v: %s", err, &said)
	}
}

// BenchmarkSQLiteDump writes the CSVs, with their digests, to nowhere.
func BenchmarkSQLiteDump(b *testing.B) {
	dir := benchSQLite(b)
	for b.Loop() {
		s, err := OpenSQLite(b.Context(), dir, SQLiteOptions{})
		if err != nil {
			b.Fatal(err)
		}
		d, err := Dump(b.Context(), s, func(_ string, write func(io.Writer) error) error { return write(io.Discard) })
		if err != nil || len(d.Tables) != 12 {
			b.Fatal(d.Tables, err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(12*benchNodes, "rows")
}

// BenchmarkSQLiteSqliteDump does the same with sqlite3, one table after the other.
func BenchmarkSQLiteSqliteDump(b *testing.B) {
	files, err := filepath.Glob(filepath.Join(benchSQLite(b), "*"+fileSuffix))
	if err != nil || len(files) != 12 {
		b.Fatal(files, err)
	}
	for b.Loop() {
		for _, f := range files {
			sqliteProgram(b, f, nil, nil, ".dump")
		}
	}
}

// BenchmarkSQLiteRestore builds the files, durable, and reads them back.
func BenchmarkSQLiteRestore(b *testing.B) {
	d := benchDump(b)
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		b.StartTimer()
		tables, err := d.build(b.Context(), dir)
		if err != nil || len(tables) != 12 || tables[0].Rows != benchNodes {
			b.Fatal(tables, err)
		}
	}
	b.ReportMetric(12*benchNodes, "rows")
}

// BenchmarkSQLiteSqliteRestore does the same with sqlite3, which reads nothing
// back.
func BenchmarkSQLiteSqliteRestore(b *testing.B) {
	dir, dumps := benchSQLite(b), b.TempDir()
	var tables []string
	for _, table := range benchTables(b) {
		name := table.schema.Table
		f, err := os.Create(filepath.Join(dumps, name))
		if err != nil {
			b.Fatal(err)
		}
		sqliteProgram(b, filepath.Join(dir, name+fileSuffix), nil, f, ".dump")
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
		tables = append(tables, name)
	}
	for b.Loop() {
		b.StopTimer()
		to := b.TempDir()
		b.StartTimer()
		for _, name := range tables {
			f, err := os.Open(filepath.Join(dumps, name))
			if err != nil {
				b.Fatal(err)
			}
			sqliteProgram(b, filepath.Join(to, name+fileSuffix), f, nil)
			_ = f.Close()
		}
	}
}
