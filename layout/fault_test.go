package layout

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// hook returns the real operations with before called ahead of each; it may
// return an error in the operation's place, which is dressed as os does it. A
// write to which it returns one leaves half of its bytes.
func hook(before func(op string) error) ops {
	plain := realOps()
	return ops{
		mkdir: func(root *os.Root, name string, perm fs.FileMode) error {
			if err := before("mkdir"); err != nil {
				return &fs.PathError{Op: "mkdir", Path: name, Err: err}
			}
			return plain.mkdir(root, name, perm)
		},
		open: func(root *os.Root, name string, flag int, perm fs.FileMode) (*os.File, error) {
			if err := before("open"); err != nil {
				return nil, &fs.PathError{Op: "open", Path: name, Err: err}
			}
			return plain.open(root, name, flag, perm)
		},
		write: func(f *os.File, p []byte) (int, error) {
			if err := before("write"); err != nil {
				n, werr := plain.write(f, p[:len(p)/2])
				return n, errors.Join(&fs.PathError{Op: "write", Path: f.Name(), Err: err}, werr)
			}
			return plain.write(f, p)
		},
		sync: func(f *os.File) error {
			if err := before("sync"); err != nil {
				return &fs.PathError{Op: "sync", Path: f.Name(), Err: err}
			}
			return plain.sync(f)
		},
		chmod: func(f *os.File, mode fs.FileMode) error {
			if err := before("chmod"); err != nil {
				return &fs.PathError{Op: "chmod", Path: f.Name(), Err: err}
			}
			return plain.chmod(f, mode)
		},
		rename: func(root *os.Root, from, to string) error {
			if err := before("rename"); err != nil {
				return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
			}
			return plain.rename(root, from, to)
		},
	}
}

// attempt is an export that fails at its first error, as cmd does it.
func attempt(t *testing.T, dir string, o ops) (desc ocispec.Descriptor, err error) {
	w, err := create(dir, Options{}, o)
	if err != nil {
		return desc, err
	}
	defer func() { err = errors.Join(err, w.Abort()) }()
	if desc, err = write(t.Context(), w, "two"); err != nil {
		return desc, err
	}
	return desc, w.Commit(t.Context(), desc, "two", "latest")
}

// Whichever step fails, and however: the error says so, earlier snapshots stay,
// a new layout goes, and the next attempt goes through.
func TestFaultAtEachStep(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
		for _, place := range []string{"second", "first"} {
			t.Run(errno.Error()+"/"+place, func(t *testing.T) {
				steps := 0
				for k := 1; ; k++ {
					failed := faultAt(t, place, k, errno)
					if !failed {
						steps = k - 1
						break
					}
				}
				if steps < 25 {
					t.Errorf("only %d steps: the test tests nothing", steps)
				}
			})
		}
	}
}

// faultAt makes step k fail with errno and reports whether there was one.
func faultAt(t *testing.T, place string, k int, errno syscall.Errno) (failed bool) {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "d")
	var one ocispec.Descriptor
	if place == "second" {
		one = save(t, dir, "one", "one", "latest")
	}
	before := tree(t, top)
	n, what := 0, ""
	_, err := attempt(t, dir, hook(func(op string) error {
		if n++; n == k {
			what = op
			return errno
		}
		return nil
	}))
	if n < k {
		if err != nil {
			t.Fatalf("without a fault: %v", err)
		}
		return false
	}
	if !errors.Is(err, errno) || strings.Count(err.Error(), "layout "+dir) > 1 || !strings.Contains(err.Error(), dir) {
		t.Errorf("step %d, %s: error %v", k, what, err)
	}
	// The one step after which the new index stands, though not durable: the
	// sync of the directory after its rename.
	if _, verr := verify(dir, "two"); verr == nil {
		if what != "sync" || n != k {
			t.Errorf("step %d, %s: the snapshot is there, the error is %v", k, what, err)
		}
	} else {
		mustBe(t, top, before)
		if place == "second" {
			mustVerify(t, dir, "latest", one)
		}
	}
	if place == "second" {
		mustVerify(t, dir, "one", one)
	}
	two, err := attempt(t, dir, realOps())
	if err != nil {
		t.Fatalf("step %d, %s: the next attempt: %v", k, what, err)
	}
	mustVerify(t, dir, "latest", two)
	return true
}

// A filesystem that cannot sync directories is no reason to fail; one that
// cannot sync a file is.
func TestSyncUnsupported(t *testing.T) {
	for _, errno := range []error{syscall.EINVAL, syscall.ENOTSUP} {
		dir := filepath.Join(t.TempDir(), "d")
		o := realOps()
		o.sync = func(f *os.File) error {
			if info, err := f.Stat(); err == nil && info.IsDir() {
				return &fs.PathError{Op: "sync", Path: f.Name(), Err: errno}
			}
			return f.Sync()
		}
		two, err := attempt(t, dir, o)
		if err != nil {
			t.Errorf("%v: %v", errno, err)
		}
		mustVerify(t, dir, "two", two)
		o.sync = func(*os.File) error { return errno }
		if _, err := attempt(t, filepath.Join(t.TempDir(), "d"), o); !errors.Is(err, errno) {
			t.Errorf("file: error %v, want %v", err, errno)
		}
	}
}

// A blob has its name only after it was synced, and the index only after all.
func TestOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	synced := map[string]bool{}
	o := realOps()
	o.sync = func(f *os.File) error {
		synced[f.Name()] = true
		return f.Sync()
	}
	var last string
	o.rename = func(root *os.Root, from, to string) error {
		if !synced[filepath.Join(dir, from)] {
			t.Errorf("%s gets the name %s unsynced", from, to)
		}
		if last != "" && last != "index.json" && !synced[filepath.Join(dir, blobsDir)] {
			t.Errorf("%s is renamed before the directory of %s was synced", to, last)
		}
		clear(synced)
		last = to
		return root.Rename(from, to)
	}
	if _, err := attempt(t, dir, o); err != nil {
		t.Fatal(err)
	}
	if last != "index.json" || !synced[dir+"/."] && !synced[dir] {
		t.Errorf("last rename %s, synced after it %v", last, synced)
	}
}

// A full disk, for real and wherever it gets full.
func TestFullDisk(t *testing.T) {
	dir := mount(t, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
	d := filepath.Join(dir, "d")
	one := save(t, d, "one", "one", "latest")
	before := tree(t, d)
	free, err := Free(dir)
	if err != nil {
		t.Fatal(err)
	}
	hit := 0
	for left := uint64(0); left <= 64<<10; left += 4 << 10 {
		put(t, filepath.Join(dir, "filler"), strings.Repeat("x", int(free-left)))
		two, err := attempt(t, d, realOps())
		if err == nil {
			mustVerify(t, d, "latest", two)
			break
		}
		hit++
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%d bytes left: error %v", left, err)
		}
		mustBe(t, d, before)
		mustVerify(t, d, "latest", one)
		if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
			t.Fatal(err)
		}
	}
	if hit < 2 {
		t.Errorf("the disk was full %d times", hit)
	}
	mustVerify(t, d, "one", one)
}

// A blob larger than the disk, and nothing of it is left.
func TestFullDiskBlob(t *testing.T) {
	dir := mount(t, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
	w := mustCreate(t, dir)
	before := tree(t, dir)
	_, err := w.PutBytes(t.Context(), "x/y", make([]byte, 2<<20))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v", err)
	}
	mustBe(t, dir, before)
}

// FAT and others know no modes and refuse chmod. Anything else that chmod says
// is an error: a secret might be open to all.
func TestChmod(t *testing.T) {
	for errno, fine := range map[syscall.Errno]bool{syscall.EPERM: true, syscall.ENOTSUP: true, syscall.EIO: false} {
		top := t.TempDir()
		dir := filepath.Join(top, "d")
		before := tree(t, top)
		o := realOps()
		o.chmod = func(f *os.File, _ fs.FileMode) error {
			return &fs.PathError{Op: "chmod", Path: f.Name(), Err: errno}
		}
		two, err := attempt(t, dir, o)
		if fine {
			if err != nil {
				t.Errorf("%v: %v", errno, err)
			}
			mustVerify(t, dir, "two", two)
			continue
		}
		if !errors.Is(err, errno) || !strings.Contains(err.Error(), dir) {
			t.Errorf("error %v, want %v", err, errno)
		}
		mustBe(t, top, before)
	}
}

// A write may fail after any byte.
func TestShortSpace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	one := save(t, dir, "one", "latest")
	before := tree(t, dir)
	for limit := int64(0); ; limit += 97 {
		var used atomic.Int64
		o := realOps()
		o.write = func(f *os.File, p []byte) (int, error) {
			room := limit - used.Load()
			if room >= int64(len(p)) {
				used.Add(int64(len(p)))
				return f.Write(p)
			}
			n, err := f.Write(p[:max(room, 0)])
			used.Add(int64(n))
			return n, errors.Join(&fs.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}, err)
		}
		_, err := attempt(t, dir, o)
		if err == nil {
			if limit == 0 {
				t.Error("no error without room for a byte")
			}
			return
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%d bytes: error %v", limit, err)
		}
		mustBe(t, dir, before)
		mustVerify(t, dir, "latest", one)
	}
}
