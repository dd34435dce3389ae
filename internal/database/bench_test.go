package database

import (
	"fmt"
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
