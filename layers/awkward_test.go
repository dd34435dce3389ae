package layers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/progress"
)

// captureOdd captures root, and returns the records by path and what was left out.
func captureOdd(t *testing.T, o Options) (map[string]artifact.Entry, *Captured) {
	t.Helper()
	s := newStore()
	c := capture1(t, s, o)
	entries := map[string]artifact.Entry{}
	for _, e := range s.entries(t, s.snapshot(t, c)) {
		entries[e.Path] = e
	}
	return entries, c
}

func leftOut(c *Captured, p string) (artifact.LeftOut, bool) {
	i := slices.IndexFunc(c.Config.LeftOut, func(l artifact.LeftOut) bool { return l.Path == p })
	if i < 0 {
		return artifact.LeftOut{}, false
	}
	return c.Config.LeftOut[i], true
}

// TestDeep captures directories nested deeper than a process may have files open
// and longer than the system takes as one path, and leaves out another such.
func TestDeep(t *testing.T) {
	root := node(t)
	var limit unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	low := limit
	low.Cur = 700
	check(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	t.Cleanup(func() { check(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) })
	const depth = 4000
	for _, at := range []string{"/install/custom", "/install/netboot/rocky9.6/x86_64/compute/rootimg"} {
		check(t, os.MkdirAll(root.Path(at), 0o755))
		fd, err := unix.Open(root.Path(at), unix.O_DIRECTORY, 0)
		check(t, err)
		for range depth {
			check(t, unix.Mkdirat(fd, "down", 0o755))
			below, err := unix.Openat(fd, "down", unix.O_DIRECTORY, 0)
			check(t, err)
			check(t, unix.Close(fd))
			fd = below
		}
		check(t, unix.Close(fd))
	}
	entries, c := captureOdd(t, opts(t, root))
	if e := entries["install/custom"+strings.Repeat("/down", depth)]; e.Type != artifact.TypeDir {
		t.Errorf("the deepest directory: %+v", e)
	}
	var measured int64
	for _, l := range c.Config.LeftOut {
		measured += l.Entries
	}
	if measured < depth {
		t.Errorf("%d entries left out, there are %d directories in the image", measured, depth)
	}
}

// TestManyInOne captures 100,000 files of one directory, with names of any byte
// and times of any sign.
func TestManyInOne(t *testing.T) {
	root := node(t)
	dir := root.Path("/install/custom/many")
	check(t, os.Mkdir(dir, 0o755))
	odd := "\xff\xfe odd \n\x1b[31m"
	for i := range 100_000 {
		f, err := os.Create(fmt.Sprintf("%s/%s%d", dir, odd, i))
		check(t, err)
		check(t, f.Close())
	}
	old := time.Date(1912, 6, 23, 1, 2, 3, 4, time.UTC)
	check(t, os.Chtimes(dir+"/"+odd+"7", old, old))
	o := opts(t, root)
	o.Now = time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC) // a clock that lost its battery
	entries, c := captureOdd(t, o)
	if e := entries["install/custom/many/"+odd+"99999"]; e.Type != artifact.TypeFile {
		t.Errorf("%+v", e)
	}
	if e := entries["install/custom/many/"+odd+"7"]; e.MTime.Sec != old.Unix() || e.MTime.Nsec != 4 {
		t.Errorf("time before 1970: %+v", e.MTime)
	}
	if k, _ := c.Config.Kind(artifact.KindInstall); k.Files < 100_000 {
		t.Errorf("%d files", k.Files)
	}
}

// mount mounts source on target of the host until the test ends.
func mount(t *testing.T, source, target, kind string, flags uintptr) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts")
	}
	check(t, unix.Mount(source, target, kind, flags, ""))
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) }) // some tests did that before
}

// TestMounts mounts another filesystem, the same one in another place, and a
// directory below itself.
func TestMounts(t *testing.T) {
	root := node(t)
	custom := root.Path("/install/custom")
	for _, name := range []string{"tmpfs", "bind", "loop", "same file"} {
		check(t, os.Mkdir(filepath.Join(custom, name), 0o755))
	}
	mount(t, "none", custom+"/tmpfs", "tmpfs", 0)
	check(t, os.WriteFile(custom+"/tmpfs/inside", []byte("x"), 0o644))
	mount(t, root.Path("/etc/xcat"), custom+"/bind", "", unix.MS_BIND)
	mount(t, root.Path("/install"), custom+"/loop", "", unix.MS_BIND|unix.MS_REC)

	entries, c := captureOdd(t, opts(t, root))
	for _, name := range []string{"tmpfs", "bind", "loop"} {
		if l, ok := leftOut(c, "/install/custom/"+name); !ok || l.What != "mount point" || l.Restore == "" {
			t.Errorf("%s: left out as %+v", name, l)
		}
		if e := entries["install/custom/"+name]; e.Type != artifact.TypeDir {
			t.Errorf("%s: the directory itself: %+v", name, e)
		}
	}
	if _, ok := entries["install/custom/tmpfs/inside"]; ok {
		t.Error("another filesystem was captured, and nobody wanted it")
	}
	o := opts(t, root)
	o.Mounts = []string{"/install/custom/tmpfs", "/install/custom/bind", "/install/custom/loop"}
	entries, c = captureOdd(t, o)
	for _, p := range []string{"install/custom/tmpfs/inside", "install/custom/bind/ca"} {
		if _, ok := entries[p]; !ok {
			t.Errorf("%s was wanted", p)
		}
	}
	if l, ok := leftOut(c, "/install/custom/loop"); !ok || !strings.Contains(l.Reason, "/install itself is mounted here") {
		t.Errorf("loop: %+v", l)
	}
}

// TestProcLike captures a file that says it is empty and is not, as those of
// proc do: what it held is stored, and that it cannot be relied on is said.
func TestProcLike(t *testing.T) {
	root := node(t)
	p := root.Path("/install/custom/version")
	check(t, os.WriteFile(p, nil, 0o644))
	mount(t, "/proc/version", p, "", unix.MS_BIND)
	want, err := os.ReadFile("/proc/version")
	check(t, err)
	claims := root.Path("/install/custom/claims") // a page, and holds a line
	check(t, os.WriteFile(claims, nil, 0o644))
	mount(t, "/sys/kernel/mm/transparent_hugepage/enabled", claims, "", unix.MS_BIND)
	entries, c := captureOdd(t, opts(t, root))
	if e := entries["install/custom/claims"]; e.Size == 0 || e.Size >= 4096 || !slices.Contains(c.Config.Changed, "/install/custom/claims") {
		t.Errorf("%+v, changed %v", e, c.Config.Changed)
	}
	if e := entries["install/custom/version"]; e.Size != int64(len(want)) || e.Digest != artifact.DigestOf(want) {
		t.Errorf("%+v, want %d bytes", e, len(want))
	}
	if !slices.Contains(c.Config.Changed, "/install/custom/version") {
		t.Errorf("changed: %v", c.Config.Changed)
	}
	if len(c.Known) == 0 {
		t.Error("nothing is known of the other parts")
	}
}

// TestBusyFile writes to files all the while they are captured.
func TestBusyFile(t *testing.T) {
	root := node(t)
	small, large := root.Path("/install/custom/small.log"), root.Path("/install/custom/large.log")
	check(t, os.WriteFile(small, []byte("x"), 0o644))
	check(t, os.WriteFile(large, make([]byte, 30<<20), 0o644))
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
				for _, p := range []string{small, large} {
					f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0)
					if err == nil {
						_, err = f.WriteString("line\n")
						err = errors.Join(err, f.Close())
					}
					if err != nil {
						done <- err
						return
					}
				}
			}
		}
	}()
	_, c := captureOdd(t, opts(t, root))
	close(stop)
	check(t, <-done)
	if !slices.Contains(c.Config.Changed, "/install/custom/large.log") {
		t.Errorf("changed while they were read: %v", c.Config.Changed)
	}
}

// TestUnreadable captures a tree with a directory and a file that this user may
// not read: an error that names one of them, or, if wanted, a list of both.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		unprivileged(t)
		return
	}
	root := node(t)
	check(t, os.MkdirAll(root.Path("/install/custom/closed/below"), 0o755))
	check(t, os.WriteFile(root.Path("/install/custom/secret"), []byte("x"), 0o644))
	check(t, os.Chmod(root.Path("/install/custom/closed"), 0o600))
	check(t, os.Chmod(root.Path("/install/custom/secret"), 0))
	t.Cleanup(func() { _ = os.Chmod(root.Path("/install/custom/closed"), 0o700) })
	o := opts(t, root)
	_, err := Capture(t.Context(), newStore(), o)
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "/install/custom/closed") {
		t.Errorf("%v", err)
	}
	o.IgnoreUnreadable = true
	_, c := captureOdd(t, o)
	if want := []string{"/install/custom/closed", "/install/custom/secret"}; !slices.Equal(c.Config.Unreadable, want) {
		t.Errorf("unreadable: %v, want %v", c.Config.Unreadable, want)
	}
	if l, _ := leftOut(c, "/install/custom/secret"); l.Reason != "open: permission denied" || l.Restore == "" {
		t.Errorf("%+v", l)
	}
}

// between acts when the walk is over and the writing begins, or when the first
// entry is written.
type between struct {
	progress.Sink
	begins, first func()
	writing       bool
}

func (b *between) Phase(name string, _ int64) {
	if name == "writing" {
		b.writing = true
		if b.begins != nil {
			b.begins()
		}
	}
}

func (b *between) Add(int64) {
	if b.writing && b.first != nil {
		b.writing = false
		b.first()
	}
}

// TestVanishes removes a file with two names, one of a file that is cut into
// pieces, and a directory, between the walk and the writing: an error that names
// one of them, or, if wanted, a list of all.
func TestVanishes(t *testing.T) {
	for _, ignore := range []bool{false, true} {
		root := node(t)
		dir := root.Path("/install/custom/gone")
		check(t, os.MkdirAll(dir+"/below", 0o755))
		check(t, os.WriteFile(dir+"/a", []byte("two names"), 0o644))
		check(t, os.Link(dir+"/a", dir+"/b"))
		check(t, os.WriteFile(dir+"/stays", []byte("x"), 0o644))
		o := opts(t, root)
		o.IgnoreUnreadable = ignore
		o.Progress = &between{Sink: progress.None(), begins: func() {
			check(t, os.Remove(dir+"/a"))
			check(t, os.Remove(dir+"/below"))
		}}
		if !ignore {
			_, err := Capture(t.Context(), newStore(), o)
			if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/install/custom/gone/") {
				t.Errorf("%v", err)
			}
			continue
		}
		entries, c := captureOdd(t, o)
		want := []string{"/install/custom/gone/a", "/install/custom/gone/b", "/install/custom/gone/below"}
		if !slices.Equal(c.Config.Unreadable, want) {
			t.Errorf("unreadable: %v, want %v", c.Config.Unreadable, want)
		}
		if entries["install/custom/gone/stays"].Type != artifact.TypeFile {
			t.Error("what was there was not captured")
		}
		if l, _ := leftOut(c, want[1]); l.Reason != "another name of /install/custom/gone/a" {
			t.Errorf("%+v", l)
		}
	}
}

// TestHalfRead captures a large file in pieces of which one cannot be read when
// it has begun: the part is begun again without it, and no other piece stays.
func TestHalfRead(t *testing.T) {
	root := node(t)
	p := root.Path("/install/custom/large")
	check(t, os.WriteFile(p, make([]byte, 300<<10), 0o644))
	for _, ignore := range []bool{false, true} {
		o := opts(t, root)
		o.limits = limits{part: 110 << 10, piece: 100 << 10}
		o.IgnoreUnreadable = ignore
		o.Workers = 1 // the largest parts come first, and a piece is not among them
		// Reading the begin of a process's memory is an input/output error.
		o.Progress = &between{Sink: progress.None(), first: func() { mount(t, "/proc/self/mem", p, "", unix.MS_BIND) }}
		if !ignore {
			_, err := Capture(t.Context(), newStore(), o)
			if !errors.Is(err, unix.EIO) || !strings.Contains(err.Error(), "/install/custom/large") {
				t.Errorf("%v", err)
			}
			check(t, unix.Unmount(p, unix.MNT_DETACH))
			continue
		}
		entries, c := captureOdd(t, o)
		if !slices.Equal(c.Config.Unreadable, []string{"/install/custom/large"}) {
			t.Errorf("unreadable: %v", c.Config.Unreadable)
		}
		if e, ok := entries["install/custom/large"]; ok {
			t.Errorf("a piece stayed: %+v", e)
		}
		check(t, unix.Unmount(p, unix.MNT_DETACH))
	}
}

// unprivileged runs the test again as a user whom modes concern.
func unprivileged(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "xcrate-nobody-") //nolint:usetesting // the directory t.TempDir lies in is for its owner alone
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bin := filepath.Join(dir, "test")
	self, err := os.ReadFile("/proc/self/exe")
	check(t, err)
	check(t, os.WriteFile(bin, self, 0o755))
	const nobody = 65534
	check(t, os.Chown(dir, nobody, nobody))
	cmd := exec.CommandContext(t.Context(), bin, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir, "TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}
