package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	w := mustCreate(t, dir)
	before := tree(t, dir)
	if _, err := Create(dir, Options{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v", err)
	}
	mustBe(t, dir, before)
	if _, err := write(t.Context(), w, "one"); err != nil {
		t.Errorf("the first writer: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	save(t, dir, "one", "a")
}

// Many writers at once, on a layout that comes and goes: each has it alone or
// not at all, and what was committed stays.
func TestConcurrentWriters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	var mu sync.Mutex
	committed := map[string]digest.Digest{}
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			for j := range 30 {
				w, err := Create(dir, Options{})
				if err != nil {
					// Between another's unlink and rmdir there is no directory
					// to make a file in.
					if !errors.Is(err, ErrLocked) && !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("create: %v", err)
					}
					continue
				}
				name := fmt.Sprintf("n%d-%d", i, j)
				desc, err := write(t.Context(), w, name)
				if err != nil {
					t.Errorf("write: %v", err)
				}
				if j > 25 {
					if err := w.Commit(t.Context(), desc, name); err != nil {
						t.Errorf("commit: %v", err)
					}
					mu.Lock()
					committed[name] = desc.Digest
					mu.Unlock()
				}
				if err := w.Abort(); err != nil {
					t.Errorf("abort: %v", err)
				}
			}
		})
	}
	all.Wait()
	save(t, dir, "last", "last")
	for name, want := range committed {
		mustVerify(t, dir, name, ocispec.Descriptor{Digest: want})
	}
}

func TestAbort(t *testing.T) {
	spoil := func(t *testing.T, dir string) {
		t.Helper()
		w := mustCreate(t, dir)
		if _, err := write(t.Context(), w, "new"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.Abort(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("no_directory", func(t *testing.T) {
		top := t.TempDir()
		spoil(t, filepath.Join(top, "d"))
		mustBe(t, top, map[string]string{".": tree(t, top)["."]})
	})
	t.Run("empty_directory", func(t *testing.T) {
		dir := t.TempDir()
		before := tree(t, dir)
		spoil(t, dir)
		mustBe(t, dir, before)
	})
	t.Run("stick_with_files", func(t *testing.T) {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "photo.jpg"), "x")
		before := tree(t, dir)
		spoil(t, dir)
		mustBe(t, dir, before)
	})
	t.Run("with_a_snapshot", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "d")
		one := save(t, dir, "one", "a")
		before := tree(t, dir)
		spoil(t, dir)
		mustBe(t, dir, before)
		mustVerify(t, dir, "a", one)
	})
	t.Run("with_a_damaged_snapshot", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "d")
		damage(t, blobPath(dir, save(t, dir, "one", "a")))
		before := tree(t, dir)
		spoil(t, dir)
		mustBe(t, dir, before)
	})
	t.Run("after_commit", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "d")
		w := mustCreate(t, dir)
		one, err := write(t.Context(), w, "one")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context(), one, "a"); err != nil {
			t.Fatal(err)
		}
		two, err := write(t.Context(), w, "two")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
		mustVerify(t, dir, "a", one)
		if _, err := os.Stat(blobPath(dir, two)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a blob of the second is still there: %v", err)
		}
	})
	// Tools that know no lock found our blobs and rely on them.
	t.Run("used_by_another", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "d")
		w := mustCreate(t, dir)
		one, err := write(t.Context(), w, "one")
		if err != nil {
			t.Fatal(err)
		}
		d, err := json.Marshal(one)
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, "index.json"), `{"schemaVersion":2,"manifests":[`+string(d)+`]}`)
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
		mustVerify(t, dir, "", one)
	})
	t.Run("another_put_a_blob", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "d")
		w := mustCreate(t, dir)
		put(t, filepath.Join(dir, blobsDir, strings.Repeat("0", 64)), "x")
		before := tree(t, dir)
		if _, err := write(t.Context(), w, "one"); err != nil {
			t.Fatal(err)
		}
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
		delete(before, tmpDir)
		mustBe(t, dir, before)
	})
	// What is committed does not depend on its manifest staying readable.
	t.Run("after_commit_damaged", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "d")
		w := mustCreate(t, dir)
		one, err := write(t.Context(), w, "one")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context(), one, "a"); err != nil {
			t.Fatal(err)
		}
		damage(t, blobPath(dir, one))
		if _, err := write(t.Context(), w, "two"); err != nil {
			t.Fatal(err)
		}
		before := read(t, blobPath(dir, one))
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
		before[len(before)/2] ^= 1
		put(t, blobPath(dir, one), string(before))
		mustVerify(t, dir, "a", one)
	})
}

// Between our open and our lock an aborting Writer removes the file, or another
// one makes it anew: the lock held then protects nothing.
func TestLockLost(t *testing.T) {
	for name, again := range map[string]bool{"removed": false, "replaced": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, filepath.Join(dir, "oci-layout"), layoutFile)
			o := realOps()
			o.open = func(root *os.Root, name string, flag int, perm fs.FileMode) (*os.File, error) {
				f, err := root.OpenFile(name, flag, perm)
				if err := root.Remove(name); err != nil {
					t.Error(err)
				}
				if again {
					put(t, filepath.Join(dir, name), layoutFile)
				}
				return f, err
			}
			if _, err := create(dir, Options{}, o); !errors.Is(err, ErrLocked) {
				t.Errorf("error %v", err)
			}
		})
	}
}
