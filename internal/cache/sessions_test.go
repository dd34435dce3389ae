package cache

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSessions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	s := Sessions(dir)
	if err := s.Remove("abc"); err != nil {
		t.Errorf("remove from a directory that is not there: %v", err)
	}
	if b, err := s.Load("abc"); b != nil || err != nil {
		t.Errorf("load: %q, %v", b, err)
	}
	for _, want := range []string{"one", "two"} {
		if err := s.Save("abc", []byte(want)); err != nil {
			t.Fatal(err)
		}
		if b, err := s.Load("abc"); string(b) != want || err != nil {
			t.Errorf("load: %q, %v", b, err)
		}
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Fatalf("%v, %v", names, err)
	}
	info, err := names[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: it opens an upload", info.Mode(), err)
	}
	if err := s.Remove("abc"); err != nil {
		t.Error(err)
	}
	if b, err := s.Load("abc"); b != nil || err != nil {
		t.Errorf("after remove: %q, %v", b, err)
	}
	// Who else can write decides where bytes go.
	if err := s.Save("abc", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Load("abc"); b != nil || err == nil {
		t.Errorf("from a directory of all: %q, %v", b, err)
	}
}
