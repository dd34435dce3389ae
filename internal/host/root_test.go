package host_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/host"
)

func open(t *testing.T, dir string) *host.Root {
	t.Helper()
	r, err := host.OpenRoot(dir)
	check(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestLinksStayInside plants symlinks that lead out of the root in every way,
// and looks at what lies outside.
func TestLinksStayInside(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "root")
	check(t, os.MkdirAll(filepath.Join(dir, "etc/deep"), 0o755))
	check(t, os.WriteFile(filepath.Join(top, "secret"), []byte("outside"), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("inside"), 0o600))
	for name, target := range map[string]string{
		"abs": "/secret", "up": "../../../../secret", "etc/deep/up": "../../../../../secret",
		"chain": "abs", "etc/dir": "/", "dirup": "../..",
	} {
		check(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	r := open(t, dir)
	for _, p := range []string{
		"/abs", "up", "etc/deep/up", "chain", "/etc/dir/secret", "dirup/secret", "../secret", "/etc/../../../secret", "/etc/dir/etc/dir/dirup/up",
	} {
		b, err := r.ReadFile(p, 100)
		if err != nil || string(b) != "inside" {
			t.Errorf("%s: %q, %v", p, b, err)
		}
	}
	if p, err := r.Resolve("/etc/dir/nothing/here"); err != nil || p != "/nothing/here" {
		t.Errorf("Resolve of what is missing: %q, %v", p, err)
	}
}

func TestMkdirAllThroughLinks(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "root")
	check(t, os.MkdirAll(filepath.Join(dir, "data"), 0o755))
	check(t, os.Symlink("/data/install", filepath.Join(dir, "install"))) // dangling, until it is made
	r := open(t, dir)
	check(t, r.MkdirAll("/install/custom/x", 0o750))
	st, err := os.Stat(filepath.Join(dir, "data/install/custom/x"))
	if err != nil || st.Mode().Perm() != 0o750 {
		t.Fatalf("%v, %v", st, err)
	}
	if _, err := os.Stat("/data/install/custom/x"); err == nil {
		t.Fatal("it was made outside")
	}
}

func TestWalkErrors(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	check(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	check(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	r := open(t, dir)
	if _, err := r.ReadFile("loop", 1); !errors.Is(err, unix.ELOOP) {
		t.Errorf("loop: %v", err)
	}
	if _, err := r.OpenDir("file/below"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
	if _, err := r.Stat("none/at/all"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := r.ReadFile("fifo", 1); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("fifo: %v", err) // and it did not hang
	}
	check(t, os.WriteFile(filepath.Join(dir, "big"), make([]byte, 11), 0o644))
	if _, err := r.ReadFile("big", 10); err == nil {
		t.Error("a file over the limit was read")
	}
	if _, err := host.OpenRoot(filepath.Join(dir, "file")); err == nil {
		t.Error("a file was taken for a root")
	}
}

// TestDeepPaths goes deeper than PATH_MAX and than the limit of open files
// would let a walk that keeps every level open.
func TestDeepPaths(t *testing.T) {
	r := open(t, t.TempDir())
	p := strings.Repeat("/deep", 4000)
	check(t, r.MkdirAll(p, 0o755))
	d, err := r.OpenDir(p)
	check(t, err)
	f, err := d.Create("bottom")
	check(t, err)
	check(t, f.Close())
	check(t, d.Close())
	if !r.Exists(p + "/bottom") {
		t.Error("what was made is not found")
	}
	top, err := r.OpenDir("/")
	check(t, err)
	defer top.Close()
	for !r.Exists("/deep") {
		t.Fatal("no tree")
	}
	// t.TempDir cannot remove paths this long: take it apart from the middle.
	for range 40 {
		mid, name, err := r.OpenParent(strings.Repeat("/deep", 100))
		check(t, err)
		check(t, mid.Rename(name, top, "cut"))
		check(t, mid.Close())
		check(t, top.RemoveAll("deep"))
		check(t, top.Rename("cut", top, "deep"))
		if !r.Exists(strings.Repeat("/deep", 100)) {
			break
		}
	}
	check(t, top.RemoveAll("deep"))
}

// TestChmodFollowsNothing swaps a file for a symlink to one outside.
func TestChmodFollowsNothing(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "root")
	check(t, os.Mkdir(dir, 0o755))
	check(t, os.WriteFile(filepath.Join(top, "victim"), nil, 0o600))
	check(t, os.Symlink("../victim", filepath.Join(dir, "link")))
	d, err := open(t, dir).OpenDir("/")
	check(t, err)
	defer d.Close()
	if err := d.Chmod("link", 0o777); err == nil {
		t.Error("chmod of a symlink went through")
	}
	if st, _ := os.Stat(filepath.Join(top, "victim")); st.Mode().Perm() != 0o600 {
		t.Errorf("the victim has mode %v", st.Mode())
	}
}

func TestRemoveAll(t *testing.T) {
	dir := t.TempDir()
	check(t, os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "a/b/f"), nil, 0o644))
	check(t, os.Mkdir(filepath.Join(dir, "keep"), 0o755))
	check(t, os.Symlink("../keep", filepath.Join(dir, "a/link")))
	check(t, os.WriteFile(filepath.Join(dir, "keep/f"), nil, 0o644))
	d, err := open(t, dir).OpenDir("/")
	check(t, err)
	defer d.Close()
	check(t, d.RemoveAll("a"))
	check(t, d.RemoveAll("a")) // twice is no error
	names, err := d.Names()
	if err != nil || len(names) != 1 || names[0] != "keep" {
		t.Errorf("left: %v, %v", names, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "keep/f")); err != nil {
		t.Error("a symlink was followed")
	}
}

func TestLock(t *testing.T) {
	d, err := open(t, t.TempDir()).OpenDir("/")
	check(t, err)
	defer d.Close()
	release, err := d.Lock()
	check(t, err)
	if _, err := d.Lock(); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("second lock: %v", err)
	}
	check(t, release())
	release, err = d.Lock()
	check(t, err)
	check(t, release())
}
