package database

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"testing"
)

// filesOf is the dump d as a source.
func filesOf(d dump) *Files {
	return NewFiles(EngineSQLite, d.Schemas, func(name string) (io.ReadCloser, error) {
		b, ok := d.files[name]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return io.NopCloser(bytes.NewReader(b)), nil
	})
}

// TestFilesAreTheSource: what was dumped tells the same as what it was dumped from.
func TestFilesAreTheSource(t *testing.T) {
	src := open(t, copyReal(t))
	d := dumpAll(t, src)
	files := filesOf(d)
	if diff, err := Compare(t.Context(), src, files, 5); err != nil || len(diff) > 0 {
		t.Errorf("%v, %v", diff, err)
	}
	sum, err := Summarise(t.Context(), files)
	if err != nil || !reflect.DeepEqual(sum, d.Tables) {
		t.Errorf("%v, %v, want %v", sum, err, d.Tables)
	}
	again := dumpAll(t, files)
	if !reflect.DeepEqual(again.files, d.files) {
		t.Error("a dump of the dump differs")
	}
	n, err := files.Count(t.Context(), "nodelist")
	if one, oneErr := files.Summarise(t.Context(), "nodelist"); err != nil || oneErr != nil || n != one.Rows || n == 0 {
		t.Errorf("%d rows, %v; %d, %v", n, err, one.Rows, oneErr)
	}
}

func TestFilesFaults(t *testing.T) {
	d := dumpAll(t, open(t, copyReal(t)))
	nothing := func([]Value) error { return nil }
	files := filesOf(d)
	wantError(t, files.Rows(t.Context(), "stranger", nothing), `table "stranger": there is none`)
	_, err := files.Schema(t.Context(), "stranger")
	wantError(t, err, `table "stranger"`)
	d.files["site.csv"] = []byte("#value,key,comments,disable\n")
	wantError(t, files.Rows(t.Context(), "site", nothing), `table "site": header: columns are not those`)
	delete(d.files, "site.csv")
	wantError(t, files.Rows(t.Context(), "site", nothing), `table "site"`, "not exist")
	fault := errors.New("enough")
	if err := files.Rows(t.Context(), "nodelist", func([]Value) error { return fault }); !errors.Is(err, fault) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := files.Rows(ctx, "nodelist", nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	for i, s := range d.Schemas {
		if s.Table == "mac" {
			d.Schemas[i].Classes = []ClassRun{{Column: 0, Class: ClassInteger, First: 1000, Last: 1000}}
		}
	}
	wantError(t, filesOf(d).Rows(t.Context(), "mac", nothing), `table "mac"`, "behind the last")
}
