package database

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

// sortedRows makes rows comparable as a set; tabdump writes neither ” nor a
// lone newline, which are NULL to who reads it.
func sortedRows(rows [][]Value) []string {
	var all []string
	for _, r := range rows {
		for i := range r {
			if r[i].Text == "" || r[i].Text == "\n" {
				r[i] = Value{Null: true}
			}
		}
		all = append(all, fmt.Sprintf("%#v", r))
	}
	slices.Sort(all)
	return all
}

// TestRealDumpEqualsTabdump reads the files of a real management node and
// compares with what its own xCAT wrote.
func TestRealDumpEqualsTabdump(t *testing.T) {
	d := dumpAll(t, open(t, copyReal(t)))
	if len(d.Tables) != 73 {
		t.Fatalf("%d tables, want 73", len(d.Tables))
	}
	rows := int64(0)
	for _, table := range d.Tables {
		t.Run(table.Name, func(t *testing.T) {
			oracle, err := os.ReadFile(filepath.Join(realMN, "csv", FileName(table.Name)))
			if err != nil {
				t.Fatal(err)
			}
			wantColumns, want, err := readCSV(table.Name, oracle)
			if err != nil {
				t.Fatal(err)
			}
			columns, got, err := readCSV(table.Name, d.files[FileName(table.Name)])
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(columns, wantColumns) {
				t.Errorf("columns %q, tabdump has %q", columns, wantColumns)
			}
			if int64(len(got)) != table.Rows {
				t.Errorf("%d rows in the CSV, %d counted", len(got), table.Rows)
			}
			if g, w := sortedRows(got), sortedRows(want); !slices.Equal(g, w) {
				t.Errorf("rows\n%q\ntabdump has\n%q", g, w)
			}
			rows += table.Rows
		})
	}
	if rows < 280 {
		t.Errorf("%d rows in all: the fixture has more", rows)
	}
}

func TestRealRoundTrip(t *testing.T) {
	first := dumpAll(t, open(t, copyReal(t)))
	dir := t.TempDir()
	built, err := first.build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(built, first.Tables) {
		t.Errorf("built %v\ndumped %v", built, first.Tables)
	}
	again := dumpAll(t, open(t, dir))
	if !reflect.DeepEqual(again.Tables, first.Tables) || !reflect.DeepEqual(again.Schemas, first.Schemas) {
		t.Errorf("tables or schemas of the second dump differ from the first")
	}
	for name, b := range first.files {
		if !bytes.Equal(again.files[name], b) {
			t.Errorf("%s differs in the second dump", name)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 73 {
		t.Errorf("%d files, %v: want 73 and nothing beside them", len(entries), err)
	}
}

// TestTabdumpIsAccepted builds from what xCAT's own tabdump wrote.
func TestTabdumpIsAccepted(t *testing.T) {
	src := open(t, copyReal(t))
	dir := t.TempDir()
	for _, table := range []string{"nodelist", "site", "policy", "passwd"} {
		s, err := src.Schema(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(filepath.Join(realMN, "csv", FileName(table)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := BuildSQLite(t.Context(), filepath.Join(dir, table+fileSuffix), s, f)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		want, err := summarise(t.Context(), src, s)
		if err != nil || got.Rows != want.Rows || got.Rows == 0 {
			t.Errorf("table %s: %d rows built, %d in the source, %v", table, got.Rows, want.Rows, err)
		}
	}
}

func TestReadingLeavesNoTrace(t *testing.T) {
	dir := copyReal(t)
	before := names(t, dir)
	s, err := OpenSQLite(t.Context(), dir, SQLiteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if now := names(t, dir); now != before {
		t.Errorf("while reading %s, before %s", now, before)
	}
	if _, err := Summarise(t.Context(), s); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if now := names(t, dir); now != before {
		t.Errorf("afterwards %s, before %s", now, before)
	}
}
