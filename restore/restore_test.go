package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/hosttest"
)

func TestApply(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	result, err := Apply(t.Context(), f.m, f.s, f.options(t, root), yes)
	check(t, err)
	if result == nil || result.Tables != 3 {
		t.Fatalf("result %+v", result)
	}
	read := func(p string) string {
		b, err := os.ReadFile(filepath.Join(root, p))
		check(t, err)
		return string(b)
	}
	for p, want := range map[string]string{
		"etc/hosts": "127.0.0.1 localhost\n10.0.0.1 mn\n10.5.0.1 printer\n", "etc/svc/conf": "new", "etc/svc/conf.before-xcrate": "old", "etc/svc/z-link": "new", "etc/svc/mine": "the admin's",
		"etc/xcat/ca/key": "secret", "data/install/deep/file": strings.Repeat("x", 9000),
		"etc/group":  "root:x:0:\nother:x:101:\nssh_keys:x:999:\nsvc:x:40:\n",
		"etc/passwd": "root:x:0:0::/root:/bin/sh\nsvc:x:40:40::/home/svc:/sbin/nologin\n",
		"etc/shadow": "root:*::::::\nsvc:!*:::::::\n",
	} {
		if got := read(p); got != want {
			t.Errorf("%s holds %.80q, want %.80q", p, got, want)
		}
	}
	for _, gone := range []string{"etc/xcat/ca/certs/99.pem", "etc/xcat/rack.sqlite"} {
		if _, err := os.Lstat(filepath.Join(root, gone)); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	if to, err := os.Readlink(filepath.Join(root, "install")); err != nil || to != "/data/install" {
		t.Errorf("the directory symlink became %q, %v", to, err)
	}
	var a, b unix.Stat_t
	check(t, unix.Stat(filepath.Join(root, "etc/svc/conf"), &a))
	check(t, unix.Stat(filepath.Join(root, "etc/svc/z-link"), &b))
	if a.Ino != b.Ino || a.Mode&0o7777 != 0o640 || a.Mtim.Nsec != 7 {
		t.Errorf("hard link: %+v, %+v", a, b)
	}
	check(t, unix.Stat(filepath.Join(root, "etc/svc"), &a))
	if a.Mode&0o7777 != 0o750 || a.Mtim.Nsec != 9 {
		t.Errorf("directory: mode %o, mtime %d", a.Mode, a.Mtim.Nsec)
	}
	check(t, unix.Stat(filepath.Join(root, "root"), &a))
	if a.Mode&0o7777 != 0o755 {
		t.Errorf("made parent: mode %o", a.Mode)
	}
	for p, mode := range map[string]uint32{"var": 0o755, "var/lib/xcrate": 0o755, "var/lib/xcrate/imports": 0o700} {
		check(t, unix.Stat(filepath.Join(root, p), &a))
		if a.Mode&0o7777 != mode {
			t.Errorf("/%s: mode %o, want %o", p, a.Mode&0o7777, mode)
		}
	}
	before := treeOf(t, root)
	result, err = Apply(t.Context(), f.m, f.s, f.options(t, root), func(p *Plan) (bool, error) {
		if !p.Empty() {
			t.Errorf("second plan: %+v", p)
		}
		return true, nil
	})
	if err != nil || result != nil {
		t.Errorf("second import: %+v, %v", result, err)
	}
	diff(t, "second import", before, treeOf(t, root))
}

func TestDeclined(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	before := treeOf(t, root)
	result, err := Apply(t.Context(), f.m, f.s, f.options(t, root), func(*Plan) (bool, error) { return false, nil })
	if err != nil || result != nil {
		t.Errorf("%+v, %v", result, err)
	}
	diff(t, "declined", before, treeOf(t, root))
}

// TestDamagedBlob flips one bit in each layer: nothing may change.
func TestDamagedBlob(t *testing.T) {
	f := newFixture(t)
	for _, l := range f.s.Manifest.Layers {
		t.Run(l.Annotations[artifact.AnnotationKind], func(t *testing.T) {
			root := targetRoot(t)
			before := treeOf(t, root)
			good := f.m[l.Digest]
			defer func() { f.m[l.Digest] = good }()
			f.m[l.Digest] = bytes.Clone(good)
			f.m[l.Digest][len(good)/3] ^= 4
			result, err := Apply(t.Context(), f.m, f.s, f.options(t, root), yes)
			if err == nil || result != nil {
				t.Errorf("%+v, %v", result, err)
			}
			diff(t, "after a damaged blob", before, treeOf(t, root))
			if left, err := os.ReadDir(filepath.Join(root, "var")); err == nil {
				t.Errorf("left in /var: %v", left)
			}
		})
	}
}

func TestEveryStepFails(t *testing.T) {
	f := newFixture(t)
	f.everyStep(t, 20, targetRoot, func(root string) Options { return f.options(t, root) })
}

// everyStep lets each step of an import fail in turn, of which there are at least
// least: the host must be as before. Then the same as a crash: nobody undoes, the
// next import does.
func (f fixture) everyStep(t *testing.T, least int, target func(*testing.T) string, options func(root string) Options) {
	t.Helper()
	undisturbed := target(t)
	_, err := Apply(t.Context(), f.m, f.s, options(undisturbed), yes)
	check(t, err)
	boom := errors.New("boom")
	for n := 0; !t.Failed(); n++ {
		root := target(t)
		before := treeOf(t, root)
		o, left := options(root), n
		o.fault = func() error {
			if left--; left < 0 {
				return boom
			}
			return nil
		}
		_, err := Apply(t.Context(), f.m, f.s, o, yes)
		if err == nil {
			if n < least {
				t.Fatalf("only %d steps", n)
			}
			t.Logf("%d steps", n)
			return
		}
		if !errors.Is(err, boom) {
			t.Fatalf("step %d: %v", n, err)
		}
		diff(t, fmt.Sprintf("failure at step %d", n), before, treeOf(t, root))
		left = n
		crash(t, f, o)
		f.takeBack(t, options(root))
		diff(t, fmt.Sprintf("crash at step %d", n), before, treeOf(t, root))
		_, err = Apply(t.Context(), f.m, f.s, options(root), yes)
		check(t, err)
		sameButClock(t, undisturbed, root)
	}
}

// resume finishes an import that was interrupted.
func (f fixture) resume(t *testing.T, o Options) {
	t.Helper()
	nothing := func() error { return nil }
	result, err := Resume(t.Context(), o, func(context.Context, Import) (content.Fetcher, *artifact.Snapshot, func() error, error) {
		return f.m, f.s, nothing, nil
	}, yes)
	check(t, err)
	if result == nil || result.Report == nil {
		t.Errorf("resumed: %+v", result)
	}
	if one, err := Unfinished(o.Root); err != nil || one != nil {
		t.Errorf("resumed, and still unfinished: %+v, %v", one, err)
	}
}

// takeBack has the next import refused, because one was interrupted, and that rolled
// back.
func (f fixture) takeBack(t *testing.T, o Options) {
	t.Helper()
	if _, err := Apply(t.Context(), f.m, f.s, o, yes); !errors.Is(err, ErrUnfinished) {
		t.Errorf("an import after a crash: %v", err)
	}
	b, err := RollBack(t.Context(), o, "", always)
	check(t, err)
	if b.Import.Phase != PhaseInterrupted || len(b.Left) > 0 {
		t.Errorf("rolled back: %+v", b)
	}
}

func always(*Rollback) (bool, error) { return true, nil }

// crash runs an import to its fault, and leaves everything as it is then.
func crash(t *testing.T, f fixture, o Options) {
	t.Helper()
	p, err := newPlanner(t.Context(), f.m, f.s, o)
	check(t, err)
	a, err := p.begin(t.Context())
	check(t, err)
	defer a.work.close()
	if err := a.run(t.Context()); err == nil {
		t.Fatal("no fault")
	}
}

// sameButClock compares two roots but for times nobody promised.
func sameButClock(t *testing.T, want, got string) {
	t.Helper()
	for _, line := range hosttest.DiffTrees(treeOf(t, want), treeOf(t, got), hosttest.DiffOptions{IgnoreDirTimes: true}) {
		if !strings.Contains(line, "mtime") {
			t.Errorf("after a crash and an import: %s", line)
		}
	}
}

// TestOtherFilesystem has one filesystem below another: what is staged lies on
// each, and a file with names on both becomes two.
func TestOtherFilesystem(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	deep := filepath.Join(root, "data/install/deep")
	check(t, os.MkdirAll(deep, 0o755))
	if err := unix.Mount("tmpfs", deep, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(deep, 0) })
	_, err := Apply(t.Context(), f.m, f.s, f.options(t, root), yes)
	check(t, err)
	for _, p := range []string{"data/install/deep/file", "data/install/z/link"} {
		if b, err := os.ReadFile(filepath.Join(root, p)); err != nil || len(b) != 9000 {
			t.Errorf("%s: %d bytes, %v", p, len(b), err)
		}
	}
	if left, err := filepath.Glob(deep + "/.xcrate-*"); err != nil || len(left) > 0 {
		t.Errorf("left on the other filesystem: %v, %v", left, err)
	}
	if again, err := Apply(t.Context(), f.m, f.s, f.options(t, root), yes); err != nil || again != nil {
		t.Errorf("second import: %+v, %v", again, err)
	}
	check(t, os.WriteFile(filepath.Join(deep, "file"), []byte("changed"), 0o644))
	_, err = Apply(t.Context(), f.m, f.s, f.options(t, root), yes)
	check(t, err)
	kept, err := filepath.Glob(deep + "/.xcrate-*/*")
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept: %v, %v", kept, err)
	}
	if b, err := os.ReadFile(kept[0]); err != nil || string(b) != "changed" {
		t.Errorf("kept %q, %v", b, err)
	}
}

// TestBrokenDatabase restores over a database that cannot be read, if told to.
func TestBrokenDatabase(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	for _, name := range []string{"site", "stranger"} {
		check(t, os.WriteFile(filepath.Join(root, "etc/xcat", name+".sqlite"), []byte("no database"), 0o600))
	}
	before := treeOf(t, root)
	if _, err := Apply(t.Context(), f.m, f.s, f.options(t, root), yes); !errors.Is(err, ErrBlocked) {
		t.Errorf("%v", err)
	}
	diff(t, "refused", before, treeOf(t, root))
	o := f.options(t, root)
	o.Allow = map[string]bool{CodeDatabase: true}
	result, err := Apply(t.Context(), f.m, f.s, o, yes)
	check(t, err)
	if result == nil || result.Tables != 3 {
		t.Errorf("result %+v", result)
	}
	if _, err := os.Lstat(filepath.Join(root, "etc/xcat/stranger.sqlite")); err == nil {
		t.Error("a broken table the snapshot does not have is still there")
	}
}

// TestOtherFilesystemFailure fails and crashes while staging, with a second
// filesystem in the root: nothing is left on either.
func TestOtherFilesystemFailure(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	deep := filepath.Join(root, "data/install/deep")
	check(t, os.MkdirAll(deep, 0o755))
	if err := unix.Mount("tmpfs", deep, "tmpfs", 0, "size=200m"); err != nil {
		t.Skipf("no mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(deep, 0) })
	assertClean := func(what string) {
		t.Helper()
		if left, err := filepath.Glob(deep + "/.xcrate-*"); err != nil || len(left) > 0 {
			t.Errorf("%s: left on the other filesystem: %v, %v", what, left, err)
		}
	}
	l := f.s.Layers(artifact.KindDatabase)[0] // staged last
	good := f.m[l.Digest]
	f.m[l.Digest] = good[:len(good)/2]
	if _, err := Apply(t.Context(), f.m, f.s, f.options(t, root), yes); err == nil {
		t.Error("a cut layer was taken")
	}
	assertClean("after a failure")
	crash(t, f, f.options(t, root))
	if left, err := filepath.Glob(deep + "/.xcrate-*"); err != nil || len(left) != 1 {
		t.Fatalf("nothing was staged there: %v, %v", left, err)
	}
	f.m[l.Digest] = good
	f.takeBack(t, f.options(t, root))
	assertClean("after a crash and another import")
}

// TestFinishedIsNotUndone imports twice in one second, the second time in vain:
// the first import must stay.
func TestFinishedIsNotUndone(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	o := f.options(t, root)
	o.Only = []artifact.Kind{artifact.KindConfig}
	first, err := Apply(t.Context(), f.m, f.s, o, yes)
	check(t, err)
	before := treeOf(t, root)
	if first.Report.Verdict == "" {
		t.Errorf("report %+v", first.Report)
	}
	o.Only = []artifact.Kind{artifact.KindInstall}
	o.fault = func() error { return errors.New("boom") }
	if _, err := Apply(t.Context(), f.m, f.s, o, yes); err == nil {
		t.Error("no fault")
	}
	diff(t, "after a second import in the same second", before, treeOf(t, root))
	open, err := Unfinished(o.Root)
	if err != nil || open != nil {
		t.Errorf("unfinished: %+v, %v", open, err)
	}
}

func TestSecondImportBeside(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	release, err := lock(f.options(t, root).Root)
	check(t, err)
	if _, err := Apply(t.Context(), f.m, f.s, f.options(t, root), yes); !errors.Is(err, ErrLocked) {
		t.Errorf("%v", err)
	}
	check(t, release())
}

// TestInterrupted cancels during the commit.
func TestInterrupted(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	before := treeOf(t, root)
	ctx, cancel := context.WithCancel(t.Context())
	o, left := f.options(t, root), 5
	o.fault = func() error {
		if left--; left == 0 {
			cancel()
		}
		return nil
	}
	if _, err := Apply(ctx, f.m, f.s, o, yes); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	diff(t, "interrupted", before, treeOf(t, root))
}

func TestCheckAccounts(t *testing.T) {
	for _, name := range []string{"", "a:b", "a\nroot::0:0", "-x", "+", "a b", "a/b"} {
		if err := checkAccounts([]artifact.Account{{Type: "user", Name: name}}); err == nil {
			t.Errorf("account %q was taken", name)
		}
	}
	line := accountLines(Account{Account: artifact.Account{Type: "user", Name: "x", Home: "/h:0\nroot::0:0::/:"}, ID: 7}, 8)["/etc/passwd"]
	if line != "x:x:7:8:::\n" {
		t.Errorf("hostile home: %q", line)
	}
}
