package restore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// TestRollbackLeavesOthers rolls an import with packages back after others have
// changed files beside it, and below what the packages made.
func TestRollbackLeavesOthers(t *testing.T) {
	f, root := packageFixture(t), packageRoot(t)
	o, _ := f.scripted(t, root)
	before := treeOf(t, root)
	result, err := Apply(t.Context(), f.m, f.s, o, yes)
	check(t, err)
	time.Sleep(20 * time.Millisecond) // longer than a clock of files ticks
	write := func(p, content string) {
		t.Helper()
		check(t, os.WriteFile(filepath.Join(root, p), []byte(content), 0o644))
	}
	theirs := []string{"etc/other", "etc/selinux/config", "home/conserver/mine", "data/install/mine"}
	for _, p := range theirs {
		write(p, "theirs")
	}
	write("etc/svc/conf", "edited")    // the import's own
	write("etc/made/deep/x", "edited") // of a script
	var plan Rollback
	b, err := RollBack(t.Context(), o, result.ID, func(b *Rollback) (bool, error) {
		plan = *b
		return true, nil
	})
	check(t, err)
	if !slices.Equal(plan.Since, []string{"/etc/made/deep/x", "/etc/svc/conf", "/etc/svc/z-link"}) || plan.SinceCount != 3 || !plan.Packages {
		t.Errorf("since %q (%d), packages %v", plan.Since, plan.SinceCount, plan.Packages)
	}
	if left := strings.Join(b.Left, "\n"); !strings.Contains(left, "home: 1 files came since") || strings.Contains(left, "etc/other") {
		t.Errorf("left %q", b.Left)
	}
	for _, p := range theirs {
		got, err := os.ReadFile(filepath.Join(root, p))
		if err != nil || string(got) != "theirs" {
			t.Errorf("%s: %q, %v", p, got, err)
		}
		check(t, os.Remove(filepath.Join(root, p)))
	}
	kept := filepath.Join(root, b.Kept)
	if st, err := os.Stat(kept); err != nil || st.Mode() != 0o600 || st.Size() < 2048 {
		t.Errorf("copies: %v, %v", st, err)
	}
	check(t, os.RemoveAll(filepath.Dir(kept)))
	check(t, os.RemoveAll(filepath.Join(root, "home")))
	check(t, os.WriteFile(filepath.Join(root, "etc/selinux/config"), []byte("on"), 0o644))
	for _, line := range hosttest.DiffTrees(before, treeOf(t, root), hosttest.DiffOptions{IgnoreDirTimes: true}) {
		if !strings.Contains(line, "var/lib/xcrate") && !strings.Contains(line, "selinux") {
			t.Error(line)
		}
	}
}

// TestRollbackFullDisk has no room for the copies of what was changed since: nothing
// is taken back before all of them are there.
func TestRollbackFullDisk(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	o := f.options(t, root)
	_, err := Apply(t.Context(), f.m, f.s, o, yes)
	check(t, err)
	time.Sleep(20 * time.Millisecond)
	edited, content := filepath.Join(root, "etc/hosts"), bytes.Repeat([]byte("edited\n"), 100_000)
	check(t, os.WriteFile(edited, content, 0o644))
	dir := filepath.Join(root, RolledBackDir)
	check(t, os.MkdirAll(dir, 0o700))
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("no mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	if _, err := RollBack(t.Context(), o, "", always); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("rollback onto a full disk: %v", err)
	}
	if got, err := os.ReadFile(edited); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the edited file has %d bytes, %v", len(got), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	check(t, unix.Unmount(dir, 0))
	b, err := RollBack(t.Context(), o, "", always)
	check(t, err)
	kept, err := os.ReadFile(filepath.Join(root, b.Kept))
	if err != nil || !bytes.Contains(kept, content) {
		t.Errorf("copy of %d bytes, %v", len(kept), err)
	}
}

// TestReplaceFile leaves what was there where the new content fails in its middle.
func TestReplaceFile(t *testing.T) {
	root := openRootAt(t, t.TempDir())
	d, err := root.OpenDir("/")
	check(t, err)
	defer func() { check(t, d.Close()) }()
	check(t, replaceJSON(d, "file", "old"))
	failed := replaceFile(d, "file", func(w io.Writer) error {
		_, err := w.Write(bytes.Repeat([]byte("new"), 10_000))
		return errors.Join(err, unix.EIO)
	})
	var got string
	if err := readJSON(d, "file", &got); !errors.Is(failed, unix.EIO) || err != nil || got != "old" {
		t.Errorf("%v; then %q, %v", failed, got, err)
	}
	check(t, replaceJSON(d, "file", "new"))
	if err := readJSON(d, "file", &got); err != nil || got != "new" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestRollbackKeepsAccounts rolls an import back that made accounts, after somebody has
// made another, changed a password, and removed one.
func TestRollbackKeepsAccounts(t *testing.T) {
	f, root := packageFixture(t), packageRoot(t)
	check(t, os.WriteFile(filepath.Join(root, "etc/shadow"), []byte("root:old:1::::::\nleft:x:1::::::\n"), 0o600))
	check(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0::/root:/bin/sh\nleft:x:900:900::/:/bin/sh\n"), 0o644))
	check(t, os.Chmod(filepath.Join(root, "etc/shadow"), 0o600))
	o, _ := f.scripted(t, root)
	_, err := Apply(t.Context(), f.m, f.s, o, yes)
	check(t, err)
	edit := func(file string, change func(string) string) {
		t.Helper()
		p := filepath.Join(root, file)
		b, err := os.ReadFile(p)
		check(t, err)
		if !strings.Contains(string(b), "svc:") {
			t.Fatalf("%s: the import has made no account: %q", file, b)
		}
		check(t, os.WriteFile(p, []byte(change(string(b))), 0o644))
	}
	time.Sleep(20 * time.Millisecond)
	edit("etc/passwd", func(s string) string {
		return strings.Replace(s, "left:x:900:900::/:/bin/sh\n", "", 1) + "ann:x:1000:1000::/home/ann:/bin/sh\n"
	})
	edit("etc/shadow", func(s string) string { return strings.Replace(s, "root:old:", "root:new:", 1) + "ann:secret:1::::::\n" })
	b, err := RollBack(t.Context(), o, "", always)
	check(t, err)
	for file, want := range map[string]string{
		"etc/passwd": "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
		"etc/shadow": "root:new:1::::::\nleft:x:1::::::\nann:secret:1::::::\n",
	} {
		got, err := os.ReadFile(filepath.Join(root, file))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", file, got, err, want)
		}
	}
	if st, err := os.Stat(filepath.Join(root, "etc/shadow")); err != nil || st.Mode() != 0o600 {
		t.Errorf("shadow: %v, %v", st, err)
	}
	if b.SinceCount != 0 || len(b.Left) > 0 {
		t.Errorf("rolled back: %+v", b)
	}
	if left, err := filepath.Glob(filepath.Join(root, "var/lib/xcrate/*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// TestWasInstalled says what is to be installed after a rollback.
func TestWasInstalled(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	p, err := newPlanner(t.Context(), f.m, f.s, f.options(t, root))
	check(t, err)
	a, err := p.begin(t.Context())
	check(t, err)
	defer a.work.close()
	state, err := a.work.state()
	check(t, err)
	defer func() { check(t, errors.Join(state.Close(), a.journal.close())) }()
	list := func(names ...string) (all []artifact.Package) {
		for _, n := range names {
			name, version, _ := strings.Cut(n, "-")
			all = append(all, artifact.Package{Name: name, Version: version, Arch: "x"})
		}
		return all
	}
	before := list("base-1", "old-1", "gone-1", "went-1")
	got, err := wasInstalled(state, before, list("x-1"))
	if err != nil || !slices.Equal(got, before) {
		t.Errorf("of an import that did not install: %+v, %v", got, err)
	}
	check(t, replaceJSON(state, packagesAfter, list("base-1", "old-2", "went-1", "xcat-1", "dep-1")))
	// Others have updated dep, installed mine, removed went.
	got, err = wasInstalled(state, before, list("base-1", "old-2", "xcat-1", "dep-2", "mine-1"))
	check(t, err)
	var names []string
	for _, pkg := range got {
		names = append(names, pkg.Name+"-"+pkg.Version)
	}
	slices.Sort(names)
	if want := []string{"base-1", "dep-2", "gone-1", "mine-1", "old-1"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

// TestGuard keeps what a command may write, has files changed, come and go, and
// undoes it.
func TestGuard(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	for p, content := range map[string]string{"tftpboot/xcat/genesis.fs.x": "image", "tftpboot/xcat/other": "o", "tftpboot/nets/a": "a", "tftpboot/nets/deep/b": "b", "etc/one": "1"} {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(root, p)), 0o755))
		check(t, os.WriteFile(filepath.Join(root, p), []byte(content), 0o640))
	}
	before := treeOf(t, root)
	o := f.options(t, root)
	p, err := newPlanner(t.Context(), f.m, f.s, o)
	check(t, err)
	a, err := p.begin(t.Context())
	check(t, err)
	a.work.journal = a.journal
	g := guard{applier: a}
	for _, pattern := range []string{"/tftpboot/xcat/genesis.*", "/tftpboot/nets/", "/tftpboot/new/", "/tftpboot/far/x.*", "/etc/one", "/etc/two"} {
		check(t, g.pattern(pattern))
	}
	check(t, errors.Join(a.journal.sync(), a.journal.close()))
	a.work.close()
	for p, content := range map[string]string{
		"tftpboot/xcat/genesis.fs.x": "another", "tftpboot/xcat/genesis.kernel.x": "k", "tftpboot/nets/a": "changed", "tftpboot/nets/c": "c",
		"tftpboot/new/x": "x", "tftpboot/far/x.1": "x", "etc/one": "2", "etc/two": "2",
	} {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(root, p)), 0o755))
		check(t, os.WriteFile(filepath.Join(root, p), []byte(content), 0o600)) // written in place, as programs do
	}
	check(t, os.Remove(filepath.Join(root, "tftpboot/nets/deep/b")))
	_, err = RollBack(t.Context(), o, "", always)
	check(t, err)
	for _, line := range hosttest.DiffTrees(before, treeOf(t, root), hosttest.DiffOptions{IgnoreDirTimes: true}) {
		t.Error(line)
	}
}

// failing is a medium on which a blob cannot be read to its end.
type failing struct {
	memory
	of ocispec.Descriptor
}

func (f failing) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	r, err := f.memory.Fetch(ctx, desc)
	if err != nil || desc.Digest != f.of.Digest {
		return r, err
	}
	return io.NopCloser(io.MultiReader(io.LimitReader(r, 100), broken{})), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, syscall.EIO }

// TestMediumFails reads a stick that has gone bad, each layer in turn.
func TestMediumFails(t *testing.T) {
	f := newFixture(t)
	for _, l := range f.s.Manifest.Layers {
		root := targetRoot(t)
		before := treeOf(t, root)
		if result, err := Apply(t.Context(), failing{f.m, l}, f.s, f.options(t, root), yes); !errors.Is(err, syscall.EIO) || result != nil {
			t.Errorf("%s: %+v, %v", l.Annotations[artifact.AnnotationKind], result, err)
		}
		diff(t, "after an I/O error", before, treeOf(t, root))
	}
}
