package database

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func hostsShape() Shape { return Shape{Schema: hostsSchema(hostsSQL)} }

// TestSQLiteTargetBuildsAtPlaces is how an import uses it.
func TestSQLiteTargetBuildsAtPlaces(t *testing.T) {
	dir := t.TempDir()
	tgt := NewSQLiteTarget(func(table string) string { return filepath.Join(dir, "slot-"+table) })
	_, err := tgt.Put(t.Context(), hostsShape().Schema, strings.NewReader(hostsCSV))
	wantError(t, err, `table "hosts"`, "not prepared")
	if _, err := tgt.Prepare(t.Context(), []Shape{hostsShape()}); err != nil {
		t.Fatal(err)
	}
	_, err = tgt.Prepare(t.Context(), nil)
	wantError(t, err, "prepared twice")
	for range 2 { // the second replaces the first
		got, err := tgt.Put(t.Context(), hostsShape().Schema, strings.NewReader(hostsCSV))
		if err != nil || got.Rows != 2 {
			t.Fatal(got, err)
		}
	}
	if err := tgt.Close(); err != nil || names(t, dir) != "" {
		t.Errorf("after Close: %s, %v", names(t, dir), err)
	}
	if _, err := tgt.Put(t.Context(), hostsShape().Schema, strings.NewReader(hostsCSV)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tgt.Commit(t.Context()), tgt.Close()); err != nil || names(t, dir) != "slot-hosts" {
		t.Errorf("after Commit: %s, %v", names(t, dir), err)
	}
}

// TestSQLiteDirTargetTakesBack makes the second of two tables impossible to
// replace: the first is as it was, with what lies beside it.
func TestSQLiteDirTargetTakesBack(t *testing.T) {
	dir := t.TempDir()
	makeTable(t, dir, "hosts", hostsSQL, "INSERT INTO hosts VALUES ('old', '')")
	makeTable(t, dir, "mac", "CREATE TABLE mac (node TEXT)")
	for _, name := range []string{"hosts.sqlite-wal", "mac.sqlite-journal"} { // SQLite makes nothing of an empty one
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before, content := names(t, dir), dumpDir(t, dir).files
	tgt := NewSQLiteDirTarget(dir)
	if _, err := tgt.Prepare(t.Context(), []Shape{hostsShape()}); err != nil {
		t.Fatal(err)
	}
	if _, err := tgt.Put(t.Context(), hostsShape().Schema, strings.NewReader(hostsCSV)); err != nil {
		t.Fatal(err)
	}
	if err := tgt.Clear(t.Context(), "mac"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(tgt.path("mac")); err != nil { // the fault
		t.Fatal(err)
	}
	err := tgt.Commit(t.Context())
	if wantError(t, err, `table "mac"`, "no such file"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	_ = tgt.Close() // complains about the file that was removed above
	if now := names(t, dir); now != before {
		t.Errorf("in the directory %s, before %s", now, before)
	}
	for name, b := range dumpDir(t, dir).files {
		if string(b) != string(content[name]) {
			t.Errorf("%s changed", name)
		}
	}
}

func TestSQLiteDirTargetReplaces(t *testing.T) {
	dir := t.TempDir()
	makeTable(t, dir, "hosts", hostsSQL, "INSERT INTO hosts VALUES ('old', '')")
	makeTable(t, dir, "mac", "CREATE TABLE mac (node TEXT)")
	for _, name := range []string{"hosts.sqlite-journal", "mac.sqlite-shm", ".zone.sqlite.new"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tgt := NewSQLiteDirTarget(dir)
	zone := Schema{Table: "zone", Columns: []Column{{Name: "zonename", Type: "TEXT", Key: 1}}}
	if _, err := tgt.Prepare(t.Context(), []Shape{hostsShape(), {Schema: zone}}); err != nil {
		t.Fatal(err)
	}
	if _, err := tgt.Put(t.Context(), hostsShape().Schema, strings.NewReader(hostsCSV)); err != nil {
		t.Fatal(err)
	}
	if err := tgt.Drop(t.Context(), "mac"); err != nil {
		t.Fatal(err)
	}
	wantError(t, tgt.Drop(t.Context(), "rack"), `table "rack"`, "no such file")
	if err := errors.Join(tgt.Commit(t.Context()), tgt.Close()); err != nil {
		t.Fatal(err)
	}
	if now := names(t, dir); now != "hosts.sqlite zone.sqlite" {
		t.Errorf("in the directory %s", now)
	}
	d := dumpDir(t, dir)
	if string(d.files["hosts.csv"]) != hostsCSV || string(d.files["zone.csv"]) != "#zonename\n" {
		t.Errorf("files %q", d.files)
	}
}

func TestSQLiteDirTargetSeesAnInterruptedOne(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".site.sqlite.old"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := NewSQLiteDirTarget(dir).Prepare(t.Context(), nil)
	wantError(t, err, ".site.sqlite.old", "interrupted")
}
