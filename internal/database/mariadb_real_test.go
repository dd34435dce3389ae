package database

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

// TestMariaRealDumpEqualsTabdump reads the database of a real management node
// and compares with what its own xCAT wrote.
func TestMariaRealDumpEqualsTabdump(t *testing.T) {
	l := realMariaDB(t)
	d := dumpMaria(t, l)
	if len(d.Tables) != 73 {
		t.Fatalf("%d tables, want 73", len(d.Tables))
	}
	rows := int64(0)
	for _, table := range d.Tables {
		oracle, err := os.ReadFile(filepath.Join(realMaria, "csv", FileName(table.Name)))
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
			t.Errorf("table %s: columns %q, tabdump has %q", table.Name, columns, wantColumns)
		}
		if g, w := sortedRows(got), sortedRows(want); !slices.Equal(g, w) {
			t.Errorf("table %s: rows\n%q\ntabdump has\n%q", table.Name, g, w)
		}
		rows += table.Rows
	}
	if rows < 280 {
		t.Errorf("%d rows in all: the fixture has more", rows)
	}
}

func TestMariaRealRoundTrip(t *testing.T) {
	l := realMariaDB(t)
	first := dumpMaria(t, l)
	for _, charset := range []string{"latin1", "utf8mb4"} {
		t.Run(charset, func(t *testing.T) {
			_, to := newMaria(t, charset)
			did, err := first.restoreMaria(t, to)
			if err != nil || len(did) > 0 {
				t.Fatalf("did %q, %v", did, err)
			}
			again := dumpMaria(t, to)
			if !reflect.DeepEqual(again.Tables, first.Tables) {
				t.Errorf("%v\nfirst %v", again.Tables, first.Tables)
			}
			for file, b := range first.files {
				if !bytes.Equal(again.files[file], b) {
					t.Errorf("%s differs in the second dump", file)
				}
			}
			a, b := openMaria(t, l), openMaria(t, to)
			if diff, err := Compare(t.Context(), a, b, 10); err != nil || len(diff) > 0 {
				t.Errorf("differences %v, %v", diff, err)
			}
		})
	}
}

// TestSQLiteToMaria moves a management node from one engine to the other.
func TestSQLiteToMaria(t *testing.T) {
	src := open(t, copyReal(t))
	d := dumpAll(t, src)
	_, l := newMaria(t, "latin1")
	if did, err := d.restoreMaria(t, l); err != nil || len(did) > 0 {
		t.Fatalf("did %q, %v", did, err)
	}
	if diff, err := Compare(t.Context(), src, openMaria(t, l), 10); err != nil || len(diff) > 0 {
		t.Errorf("differences %v, %v", diff, err)
	}
}
