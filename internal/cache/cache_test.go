package cache_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/internal/cache"
)

func entry(layer, key string) cache.Entry {
	return cache.Entry{Layer: digest.FromString(layer), Key: key}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func file(t *testing.T, dir string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.json"))
	check(t, err)
	if len(all) != 1 {
		t.Fatalf("%d files", len(all))
	}
	return all[0]
}

func TestRemembers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	if known, err := cache.Load(dir, "/"); len(known) > 0 || err != nil {
		t.Errorf("nothing was saved: %v, %v", known, err)
	}
	check(t, cache.Save(dir, "/", []cache.Entry{entry("a", "1"), entry("b", "2")}, nil))
	known, err := cache.Load(dir, "/")
	check(t, err)
	// The files of b were touched; those of c are new; a was not met.
	check(t, cache.Save(dir, "/", []cache.Entry{entry("b", "9"), entry("c", "3")}, known))
	known, err = cache.Load(dir, "/")
	check(t, err)
	if want := []cache.Entry{entry("b", "9"), entry("c", "3"), entry("a", "1")}; !reflect.DeepEqual(known, want) {
		t.Errorf("%v, want %v", known, want)
	}
	if other, err := cache.Load(dir, "/mnt/old"); len(other) > 0 || err != nil {
		t.Errorf("another root: %v, %v", other, err)
	}
	for _, p := range []string{dir, file(t, dir)} {
		st, err := os.Stat(p)
		check(t, err)
		if st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", p, st.Mode())
		}
	}
}

// TestEveryBit flips each bit of the file, and cuts it everywhere.
func TestEveryBit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	check(t, cache.Save(dir, "/", []cache.Entry{entry("a", "1")}, nil))
	p := file(t, dir)
	good, err := os.ReadFile(p)
	check(t, err)
	for i := range good {
		for bit := range 8 {
			bad := append([]byte{}, good...)
			bad[i] ^= 1 << bit
			check(t, os.WriteFile(p, bad, 0o600))
			if known, err := cache.Load(dir, "/"); !errors.Is(err, cache.ErrDamaged) {
				t.Fatalf("byte %d, bit %d: %v, %v", i, bit, known, err)
			}
		}
		check(t, os.WriteFile(p, good[:i], 0o600))
		if _, err := cache.Load(dir, "/"); !errors.Is(err, cache.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	check(t, cache.Save(dir, "/", []cache.Entry{entry("b", "2")}, nil))
	if known, err := cache.Load(dir, "/"); len(known) != 1 || err != nil {
		t.Errorf("saved over a damaged one: %v, %v", known, err)
	}
}

// TestOthersWrite lets others write to the directory, then to the file.
func TestOthersWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	check(t, cache.Save(dir, "/", []cache.Entry{entry("a", "1")}, nil))
	for _, p := range []string{dir, file(t, dir)} {
		st, err := os.Stat(p)
		check(t, err)
		check(t, os.Chmod(p, st.Mode()|0o022))
		if known, err := cache.Load(dir, "/"); !errors.Is(err, cache.ErrUnsafe) {
			t.Errorf("%s: %v, %v", p, known, err)
		}
		check(t, os.Chmod(p, st.Mode()))
	}
}
