package layout

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"oras.land/oras-go/v2/errdef"
)

// damage flips one bit in the middle of a file.
func damage(t *testing.T, path string) {
	t.Helper()
	b := read(t, path)
	b[len(b)/2] ^= 1
	put(t, path, string(b))
}

func TestFetchDamage(t *testing.T) {
	tests := map[string]struct {
		harm func(b []byte) []byte
		is   error
	}{
		"sound":     {harm: func(b []byte) []byte { return b }},
		"flip":      {func(b []byte) []byte { b[7] ^= 0x10; return b }, ErrCorrupt},
		"last_flip": {func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, ErrCorrupt},
		"short":     {func(b []byte) []byte { return b[:len(b)-1] }, ErrCorrupt},
		"empty":     {func([]byte) []byte { return nil }, ErrCorrupt},
		"long":      {func(b []byte) []byte { return append(b, 0) }, ErrCorrupt},
		"missing":   {func([]byte) []byte { return []byte("unlink") }, ErrMissing},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			desc := save(t, dir, "one", "a")
			l, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			m, err := l.store.manifest(t.Context(), desc)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range append(parts(m), desc) {
				good := read(t, blobPath(dir, d))
				if harmed := test.harm(slices.Clone(good)); string(harmed) != "unlink" {
					put(t, blobPath(dir, d), string(harmed))
				} else if err := os.Remove(blobPath(dir, d)); err != nil {
					t.Fatal(err)
				}
				b, err := fetchAll(l, d)
				if len(b) > int(d.Size) {
					t.Errorf("%d bytes handed out of a blob of %d", len(b), d.Size)
				}
				_, verr := verify(dir, "a")
				for _, err := range []error{err, verr} {
					if !errors.Is(err, test.is) || err != nil && !strings.Contains(err.Error(), d.Digest.String()) {
						t.Errorf("error %v, want %v that names %s", err, test.is, d.Digest)
					}
				}
				if errors.Is(test.is, ErrMissing) && (!errors.Is(err, errdef.ErrNotFound) || !strings.Contains(err.Error(), blobPath(dir, d))) {
					t.Errorf("error %v does not name the path", err)
				}
				put(t, blobPath(dir, d), string(good))
			}
		})
	}
}

// Every flipped bit and every cut of index.json is found, or does no harm: what
// the tag then leads to is verified and the same.
func TestIndexDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	desc := save(t, dir, "one", "a")
	file := filepath.Join(dir, "index.json")
	good := read(t, file)
	harmless := 0
	try := func(b []byte, create bool) {
		t.Helper()
		put(t, file, string(b))
		got, err := verify(dir, "a")
		if err == nil && got.Digest != desc.Digest {
			t.Fatalf("index %s: resolves to %s", b, got.Digest)
		}
		if err == nil {
			harmless++
		} else if !errors.Is(err, ErrIndex) && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrMissing) && !errors.Is(err, ErrCorrupt) &&
			!strings.Contains(err.Error(), dir) {
			t.Errorf("error %v names nothing", err)
		}
		if !create {
			return
		}
		// Writing must not make it worse.
		w, err := Create(dir, Options{})
		if err != nil {
			return
		}
		if err := w.Abort(); err != nil {
			t.Errorf("abort: %v", err)
		}
		if string(read(t, file)) != string(b) {
			t.Errorf("index %s changed", b)
		}
	}
	for i := range good {
		for bit := range 8 {
			b := slices.Clone(good)
			b[i] ^= 1 << bit
			try(b, bit == i%8)
		}
		try(good[:i], true)
	}
	if harmless == 0 || harmless > len(good)*6 {
		t.Errorf("%d of %d harms did none: the test tests nothing", harmless, len(good)*9)
	}
	put(t, file, string(good))
	mustVerify(t, dir, "a", desc)
}

// What a symlink puts in a blob's place, or behind a directory, is not read.
func TestSymlinks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	desc := save(t, dir, "one", "a")
	outside := t.TempDir()
	blob := blobPath(dir, desc)
	moved := filepath.Join(outside, "blob")
	if err := os.WriteFile(moved, read(t, blob), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(moved, blob); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(dir, "a"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("symlinked blob: %v", err)
	}
	// Putting the blob again mends it, and leaves alone what the link led to.
	save(t, dir, "one", "a")
	mustVerify(t, dir, "a", desc)
	if info, err := os.Lstat(moved); err != nil || info.Mode().Perm() != 0o600 || info.Size() != desc.Size {
		t.Errorf("link target: %v, %v", info, err)
	}
	if err := os.Rename(filepath.Join(dir, "blobs"), filepath.Join(outside, "blobs")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "blobs"), filepath.Join(dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(dir, "a"); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("symlinked directory: %v", err)
	}
	before := tree(t, outside)
	if _, err := Create(dir, Options{}); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("writing through a symlinked directory: %v", err)
	}
	if after := tree(t, outside); len(after) != len(before) {
		t.Errorf("written outside: %v", after)
	}
}

// Reading needs no right to write: a DVD, a write-protected stick.
func TestReadOnlyMedium(t *testing.T) {
	dir := mount(t, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
	desc := save(t, dir, "one", "a")
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, dir, "a", desc)
	if _, err := Create(dir, Options{}); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), dir) {
		t.Errorf("create: %v", err)
	}
	if _, err := Create(filepath.Join(dir, "sub"), Options{}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("create below: %v", err)
	}
}
