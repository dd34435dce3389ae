package database

import (
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// fullPostgres is a database with the rows of benchTables.
func fullPostgres(b *testing.B) *hosttest.PostgresDatabase {
	b.Helper()
	db := newPostgres(b, "UTF8")
	benchDump(b).restore(b, db)
	db.Admin(b, "VACUUM ANALYZE")
	b.ReportMetric(12*benchNodes, "rows")
	return db
}

// pgProgram runs one of PostgreSQL's programs on a database.
func pgProgram(b *testing.B, db *hosttest.PostgresDatabase, name string, args ...string) {
	b.Helper()
	cmd := exec.Command(db.Server.Program(name), append([]string{"-h", db.Host, "-p", db.Port, "-U", db.User, "-d", db.Name}, args...)...)
	cmd.Env = []string{"PGPASSWORD=" + db.Password}
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %s", name, err, out)
	}
}

// BenchmarkPostgresDump writes the CSVs, with their digests, to nowhere.
func BenchmarkPostgresDump(b *testing.B) {
	db := fullPostgres(b)
	for b.Loop() {
		p := openPostgres(b, db)
		_, err := Dump(b.Context(), p, func(_ string, write func(io.Writer) error) error { return write(io.Discard) })
		if err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}

// BenchmarkPostgresPgDump does the same with pg_dump, with compression and
// without.
func BenchmarkPostgresPgDump(b *testing.B) {
	db := fullPostgres(b)
	for _, level := range []string{"0", "default"} {
		b.Run("Z_"+level, func(b *testing.B) {
			args := []string{"-Fc", "--no-sync", "-f", "/dev/null"}
			if level != "default" {
				args = append(args, "-Z", level)
			}
			for b.Loop() {
				pgProgram(b, db, "pg_dump", args...)
			}
		})
	}
}

// BenchmarkPostgresRestore fills a database without tables, and reads it back.
func BenchmarkPostgresRestore(b *testing.B) {
	tables := benchTables(b)
	shapes := make([]Shape, len(tables))
	for i, table := range tables {
		shapes[i].Schema = table.schema
	}
	for b.Loop() {
		b.StopTimer()
		db := newPostgres(b, "UTF8")
		b.StartTimer()
		target := openTarget(b, db)
		if _, err := target.Prepare(b.Context(), shapes); err != nil {
			b.Fatal(err)
		}
		for _, table := range tables {
			if got, err := target.Put(b.Context(), table.schema, bytes.NewReader(table.csv)); err != nil || got.Rows != benchNodes {
				b.Fatal(got, err)
			}
		}
		if err := target.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
		target.Close()
	}
}

// BenchmarkPostgresPgRestore does the same with pg_restore, which reads nothing
// back.
func BenchmarkPostgresPgRestore(b *testing.B) {
	file := filepath.Join(b.TempDir(), "dump")
	pgProgram(b, fullPostgres(b), "pg_dump", "-Fc", "-f", file)
	for b.Loop() {
		b.StopTimer()
		db := newPostgres(b, "UTF8")
		b.StartTimer()
		pgProgram(b, db, "pg_restore", file)
	}
}
