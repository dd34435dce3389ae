package hosttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDiffTreesSees changes one thing at a time in a copy of a tree.
func TestDiffTreesSees(t *testing.T) {
	for name, c := range map[string]struct {
		change func(string) error
		want   []string
		o      DiffOptions
	}{
		"nothing":         {change: func(string) error { return nil }},
		"content":         {func(d string) error { return rewrite(d+"/file", "other content") }, []string{`! "file" digest`}, DiffOptions{}},
		"size":            {func(d string) error { return rewrite(d+"/file", "x") }, []string{`! "file" size`, `! "file" digest`}, DiffOptions{}},
		"mode":            {func(d string) error { return os.Chmod(d+"/file", 0o600) }, []string{`! "file" mode: 0644, 0600`}, DiffOptions{}},
		"mtime":           {func(d string) error { return setTime(d+"/file", time.Unix(1000, 1)) }, []string{`! "file" mtime`}, DiffOptions{}},
		"dirtime":         {func(d string) error { return setTime(d+"/dir", time.Unix(1000, 1)) }, []string{`! "dir" mtime`}, DiffOptions{}},
		"dirtime-ignored": {func(d string) error { return setTime(d+"/dir", time.Unix(1000, 1)) }, nil, DiffOptions{IgnoreDirTimes: true}},
		"gone":            {func(d string) error { return keepTime(d, func() error { return os.Remove(d + "/link") }) }, []string{`- "link" symlink`}, DiffOptions{}},
		"new": {func(d string) error {
			return keepTime(d, func() error { return os.WriteFile(d+"/new", nil, 0o600) })
		}, []string{`+ "new" file`}, DiffOptions{}},
		"new-skipped": {func(d string) error {
			return keepTime(d, func() error { return os.WriteFile(d+"/new", nil, 0o600) })
		}, nil, DiffOptions{Skip: func(p string) bool { return p == "new" }}},
		"target": {func(d string) error {
			return keepTime(d, func() error { return replaceLink(d+"/link", "other") })
		}, []string{`! "link" link: "file", "other"`}, DiffOptions{}},
		"unlinked": {func(d string) error {
			return keepTime(d, func() error { return unshare(d + "/twin") })
		}, []string{`! "twin" hard link of`}, DiffOptions{}},
		"hole":  {func(d string) error { return fill(d + "/sparse") }, []string{`! "sparse" holes: true, false`}, DiffOptions{}},
		"xattr": {func(d string) error { return unix.Setxattr(d+"/file", "user.x", []byte("y"), 0) }, []string{`! "file" xattrs`}, DiffOptions{}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := smallTree(t), smallTree(t)
			if err := c.change(b); err != nil {
				t.Fatal(err)
			}
			got := DiffTrees(readTree(t, a), readTree(t, b), c.o)
			if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// smallTree makes a tree with one entry of each sort. Its times are fixed.
func smallTree(t *testing.T) string {
	t.Helper()
	w := newWriter(t.TempDir(), accounts{}, true)
	w.file("file", 0o644, "0:0", []byte("some  content"))
	w.dir("dir", 0o755, "0:0")
	w.symlink("link", "file")
	w.file("one", 0o644, "0:0", []byte("shared"))
	w.hardlink("twin", "one")
	w.sparse("sparse", 0o644, "0:0", 1<<20, map[int64]string{0: "x"})
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	return w.root
}

// keepTime runs do and gives file the mtime back it had before.
func keepTime(file string, do func() error) error {
	st, err := os.Lstat(file)
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return setTime(file, st.ModTime())
}

func rewrite(file, body string) error {
	return keepTime(file, func() error { return os.WriteFile(file, []byte(body), 0o600) })
}

func replaceLink(file, target string) error {
	return keepTime(file, func() error {
		if err := os.Remove(file); err != nil {
			return err
		}
		return os.Symlink(target, file)
	})
}

// unshare makes file a file of its own with the same content.
func unshare(file string) error {
	return keepTime(file, func() error {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.Remove(file); err != nil {
			return err
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			return err
		}
		return os.Chmod(file, 0o644)
	})
}

// fill writes the holes of file as zeros.
func fill(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return rewrite(file, string(b))
}

func TestDiffTreesOwners(t *testing.T) {
	a := map[string]Node{"f": {Type: "file", UID: 25, GID: 25, User: "named", Group: "named"}}
	b := map[string]Node{"f": {Type: "file", UID: 985, GID: 983, User: "named", Group: "named"}}
	if diff := DiffTrees(a, b, DiffOptions{OwnersByName: true}); len(diff) > 0 {
		t.Errorf("by name: %q", diff)
	}
	if diff := DiffTrees(a, b, DiffOptions{}); len(diff) != 1 || diff[0] != `! "f" owner: 25:25, 985:983` {
		t.Errorf("by number: %q", diff)
	}
}

func TestTreePrefixes(t *testing.T) {
	dir := smallTree(t)
	tree := readTree(t, dir, "dir", "twin")
	if len(tree) != 2 || tree["twin"].Type != "file" || tree["dir"].Type != "dir" {
		t.Errorf("tree: %v", tree)
	}
	if _, err := Tree(dir, "missing"); err == nil {
		t.Error("a prefix that is missing was taken")
	}
}

// TestMksample runs the program as somebody who is not root.
func TestMksample(t *testing.T) {
	bin, dir := buildMksample(t)
	run := func(args ...string) ([]byte, error) {
		cmd := exec.Command(bin, args...)
		cmd.Dir = dir
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		return cmd.CombinedOutput()
	}
	if out, err := run("-nodes", "3", dir+"/mn"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	tree := readTree(t, dir+"/mn")
	for p, n := range tree {
		if n.Type == "char" || n.Type == "block" || n.Mode&0o400 == 0 || os.Geteuid() == 0 && (n.UID != 65534 || n.GID != 65534) {
			t.Errorf("%q: %s %04o of %d:%d", p, n.Type, n.Mode, n.UID, n.GID)
		}
	}
	if n := tree[oddDir+"setuid"]; n.Mode != 0o4755 {
		t.Errorf("setuid: %04o", n.Mode)
	}
	if out, err := run(dir + "/mn"); err == nil || !strings.Contains(string(out), "not empty") {
		t.Errorf("a second time: %v %s", err, out)
	}
	if out, err := run("-base", dir+"/base"); err != nil {
		t.Errorf("base: %v: %s", err, out)
	}
	if os.Geteuid() != 0 {
		return
	}
	if out, err := run("-single-owner=false", dir+"/other"); err == nil || !strings.Contains(string(out), "need root") {
		t.Errorf("owners without root: %v %s", err, out)
	}
}

// buildMksample builds the program where everybody may run it, and returns it
// with a directory that anybody may write to: t.TempDir is for its owner alone.
func buildMksample(t *testing.T) (bin, dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "xcrate-mksample") //nolint:usetesting // what t.TempDir lies in is for its owner alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	bin = filepath.Join(dir, "mksample")
	if out, err := exec.Command("go", "build", "-o", bin, "./mksample").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return bin, dir
}
