package database

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// benchMaria is a database with the rows of benchTables.
func benchMaria(b *testing.B) (*hosttest.MariaDBServer, hosttest.MariaDBLogin) {
	b.Helper()
	server, l := newMaria(b, "latin1")
	restoreBench(b, l, benchDump(b))
	b.ResetTimer()
	return server, l
}

// restoreBench replaces all tables of d.
func restoreBench(b *testing.B, l hosttest.MariaDBLogin, d dump) {
	b.Helper()
	shapes := make([]Shape, len(d.Schemas))
	for i, s := range d.Schemas {
		shapes[i].Schema = s
	}
	m, err := OpenMariaDBTarget(b.Context(), mariaLocation(l))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := m.Prepare(b.Context(), shapes); err != nil {
		b.Fatal(err)
	}
	for _, s := range d.Schemas {
		got, err := m.Put(b.Context(), s, bytes.NewReader(d.files[FileName(s.Table)]))
		if err != nil || got.Rows != benchNodes {
			b.Fatal(got, err)
		}
	}
	if err := m.Commit(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := m.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkMariaDBDump(b *testing.B) {
	_, l := benchMaria(b)
	for b.Loop() {
		m, err := OpenMariaDB(b.Context(), mariaLocation(l))
		if err != nil {
			b.Fatal(err)
		}
		d, err := Dump(b.Context(), m, func(_ string, write func(io.Writer) error) error { return write(io.Discard) })
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
		if len(d.Tables) != 12 {
			b.Fatal(d.Tables)
		}
	}
	b.ReportMetric(12*benchNodes, "rows")
}

func BenchmarkMariaDBMysqldump(b *testing.B) {
	_, l := benchMaria(b)
	for b.Loop() {
		cmd := exec.Command("mysqldump", "--no-defaults", "--single-transaction", "--socket="+l.Socket, "--user=root", l.Name)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMariaDBRestore(b *testing.B) {
	_, l := newMaria(b, "latin1")
	d := benchDump(b)
	b.ResetTimer()
	for b.Loop() {
		restoreBench(b, l, d)
	}
	b.ReportMetric(12*benchNodes, "rows")
}

func BenchmarkMariaDBMysql(b *testing.B) {
	_, l := benchMaria(b)
	path := filepath.Join(b.TempDir(), "dump.sql")
	cmd := exec.Command("mysqldump", "--no-defaults", "--single-transaction", "--result-file="+path, "--socket="+l.Socket, "--user=root", l.Name)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatal(err, string(out))
	}
	server, to := newMaria(b, "latin1")
	b.ResetTimer()
	for b.Loop() {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		server.Load(b, to.Name, f)
		_ = f.Close()
	}
}
