package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// deadStick is a stick with a filesystem larger than what it can hold: writing to it
// fails at some point as it does when a stick dies or is pulled out, and the system
// makes it read-only.
type deadStick struct {
	t            *testing.T
	store, image string
	dir          string
}

func newDeadStick(t *testing.T, holds string) *deadStick {
	t.Helper()
	needRoot(t)
	s := &deadStick{t: t, store: t.TempDir(), dir: filepath.Join(t.TempDir(), "usb")}
	if err := errors.Join(os.Mkdir(s.dir, 0o700), unix.Mount("tmpfs", s.store, "tmpfs", 0, "size="+holds)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(s.store, unix.MNT_DETACH) })
	s.image = filepath.Join(s.store, "image")
	if err := errors.Join(os.WriteFile(s.image, nil, 0o600), os.Truncate(s.image, 256<<20)); err != nil {
		t.Fatal(err)
	}
	s.command("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,nodiscard", "-J", "size=4", s.image)
	s.plugIn()
	t.Cleanup(func() { _ = unix.Unmount(s.dir, unix.MNT_DETACH) })
	return s
}

func (s *deadStick) command(args ...string) {
	s.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %v: %s", args, err, out)
	}
}

func (s *deadStick) plugIn() { s.command("mount", "-o", "loop,errors=remount-ro", s.image, s.dir) }

// revive makes the stick as large as it pretends to be, and plugs it in again.
func (s *deadStick) revive() {
	s.t.Helper()
	s.command("umount", s.dir)
	s.command("mount", "-o", "remount,size=400m", s.store)
	if err := exec.Command("fsck.ext4", "-y", s.image).Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() > 1 { // 1: errors were corrected
			s.t.Fatalf("fsck: %v", err)
		}
	}
	s.plugIn()
}

// blobs are the inodes of the blobs on the stick.
func (s *deadStick) blobs() map[string]uint64 {
	s.t.Helper()
	all, err := os.ReadDir(filepath.Join(s.dir, "blobs/sha256"))
	if err != nil {
		s.t.Fatal(err)
	}
	inodes := map[string]uint64{}
	for _, e := range all {
		info, err := e.Info()
		if err != nil {
			s.t.Fatal(err)
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			s.t.Fatal("no inode")
		}
		inodes[e.Name()] = st.Ino
	}
	return inodes
}

// addNoise adds files that do not shrink to a node, each of which becomes a part.
func addNoise(t *testing.T, mn string, n int, size int64) {
	t.Helper()
	for i := range n {
		f, err := os.Create(filepath.Join(mn, "install/custom", fmt.Sprintf("noise%02d", i)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(f, rand.Reader, size); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// A stick dies in the middle of an export: the earlier snapshot is sound, the next export
// goes on with the parts that were done, and what nothing refers to is swept.
func TestStickDies(t *testing.T) {
	t.Setenv("XCRATE_CACHE", filepath.Join(t.TempDir(), "cache"))
	mn := filepath.Join(t.TempDir(), "mn")
	if err := hosttest.SampleMN(mn, hosttest.SampleOptions{Nodes: 10}); err != nil {
		t.Fatal(err)
	}
	s := newDeadStick(t, "110m")
	xcrate(t, exitWarnings, "export", "--no-encrypt", s.dir, "--root", mn, "--tag", "one", "-q")
	before := s.blobs()
	addNoise(t, mn, 10, 16<<20)
	xcrate(t, exitError, "export", "--no-encrypt", s.dir, "--root", mn, "--tag", "two", "-q", "--no-space-check", "--workers", "1")

	s.revive()
	xcrate(t, 0, "verify", s.dir+":one", "-q")
	if out := xcrate(t, 0, "list", s.dir); strings.Contains(out, "two") {
		t.Errorf("a snapshot that was not finished is listed:\n%s", out)
	}
	left := s.blobs()
	if len(left) <= len(before)+1 {
		t.Fatalf("%d blobs are left of the export that died: this test proves nothing", len(left)-len(before))
	}
	xcrate(t, exitWarnings, "export", "--no-encrypt", s.dir, "--root", mn, "--tag", "two", "-q", "--workers", "1")
	xcrate(t, 0, "verify", s.dir+":two", "-q")
	xcrate(t, 0, "verify", s.dir+":one", "-q")
	reused, gone := 0, 0
	after := s.blobs()
	for name, inode := range left {
		switch _, early := before[name]; {
		case early:
		case after[name] == inode:
			reused++
		case after[name] == 0:
			gone++
		}
	}
	if reused == 0 {
		t.Errorf("none of %d finished parts was reused", len(left)-len(before))
	}
	t.Logf("%d parts were left, %d reused, %d swept", len(left)-len(before), reused, gone)
}

// A stick vanishes in the middle of an export, as after umount -l: that is no success, and
// when it is back the earlier snapshot is sound and the next export works.
func TestStickVanishes(t *testing.T) {
	t.Setenv("XCRATE_CACHE", filepath.Join(t.TempDir(), "cache"))
	mn := filepath.Join(t.TempDir(), "mn")
	if err := hosttest.SampleMN(mn, hosttest.SampleOptions{Nodes: 10}); err != nil {
		t.Fatal(err)
	}
	s := newDeadStick(t, "300m")
	xcrate(t, exitWarnings, "export", "--no-encrypt", s.dir, "--root", mn, "--tag", "one", "-q")
	before := len(s.blobs())
	addNoise(t, mn, 8, 16<<20)
	gone := make(chan error, 1)
	go func() {
		for {
			all, err := os.ReadDir(filepath.Join(s.dir, "blobs/sha256"))
			if err != nil || len(all) > before {
				gone <- unix.Unmount(s.dir, unix.MNT_DETACH)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	xcrate(t, exitError, "export", "--no-encrypt", s.dir, "--root", mn, "--tag", "two", "-q", "--workers", "1")
	if err := <-gone; err != nil {
		t.Fatal(err)
	}
	s.plugIn()
	xcrate(t, 0, "verify", s.dir+":one", "-q")
	xcrate(t, exitWarnings, "export", "--no-encrypt", s.dir, "--root", mn, "--tag", "three", "-q")
	xcrate(t, 0, "verify", s.dir+":three", "-q")
}

// Leftovers of a killed export go with the next one that ends, and nothing else does.
func TestLeftoversAreSwept(t *testing.T) {
	t.Setenv("XCRATE_CACHE", filepath.Join(t.TempDir(), "cache"))
	mn := filepath.Join(t.TempDir(), "mn")
	if err := hosttest.SampleMN(mn, hosttest.SampleOptions{Nodes: 10}); err != nil {
		t.Fatal(err)
	}
	s := newDeadStick(t, "60m")
	addNoise(t, mn, 6, 16<<20)
	xcrate(t, exitError, "export", "--no-encrypt", s.dir, "--root", mn, "-q", "--no-space-check", "--workers", "1")
	s.revive()
	foreign := filepath.Join(s.dir, "blobs/sha256", strings.Repeat("ab", 32))
	if err := errors.Join(os.MkdirAll(filepath.Dir(foreign), 0o700), os.WriteFile(foreign, []byte("of another tool, about to be listed"), 0o600)); err != nil {
		t.Fatal(err)
	}
	left := s.blobs()
	for i := range 6 {
		if err := os.Remove(filepath.Join(mn, "install/custom", fmt.Sprintf("noise%02d", i))); err != nil {
			t.Fatal(err)
		}
	}
	xcrate(t, exitWarnings, "export", "--no-encrypt", s.dir, "--root", mn, "--tag", "small", "-q")
	after := s.blobs()
	var bytes int64
	for name := range after {
		info, err := os.Stat(filepath.Join(s.dir, "blobs/sha256", name))
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	if bytes > 8<<20 {
		t.Errorf("%d MiB are left, of %d blobs before", bytes>>20, len(left))
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("a blob of another tool: %v", err)
	}
	if names, err := filepath.Glob(filepath.Join(s.dir, ".xcrate-tmp/*")); err != nil || len(names) > 0 {
		t.Errorf("left: %v, %v", names, err)
	}
}

// A stick as it is sold has exFAT: no modes, no owners, no links, other times.
func TestStickExFAT(t *testing.T) {
	needRoot(t)
	hosttest.NeedProgram(t, "mount.exfat-fuse", "apt-get install exfat-fuse")
	hosttest.NeedProgram(t, "mkfs.exfat", "apt-get install exfatprogs")
	t.Setenv("XCRATE_CACHE", filepath.Join(t.TempDir(), "cache"))
	dir := t.TempDir()
	mn, image, usb := filepath.Join(dir, "mn"), filepath.Join(dir, "image"), filepath.Join(dir, "usb")
	if err := hosttest.SampleMN(mn, hosttest.SampleOptions{Nodes: 10}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(usb, 0o700), os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20)); err != nil {
		t.Fatal(err)
	}
	s := &deadStick{t: t, dir: usb}
	s.command("mkfs.exfat", image)
	out, err := exec.Command("losetup", "--find", "--show", image).Output()
	if err != nil {
		t.Fatal(err)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "--detach", device).Run() })
	s.command("mount.exfat-fuse", device, usb)
	t.Cleanup(func() { _ = unix.Unmount(usb, unix.MNT_DETACH) })
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--tag", "one", "-q", "--read-back")
	before := s.blobs()
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--tag", "two", "-q", "--read-back")
	xcrate(t, 0, "verify", usb+":one", "-q")
	xcrate(t, 0, "copy", usb+":two", filepath.Join(dir, "back"), "-q")
	for name := range before {
		if s.blobs()[name] == 0 {
			t.Errorf("blob %s of the first snapshot is gone", name)
		}
	}
	s.command("umount", usb)
	s.command("fsck.exfat", "-n", image)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if hosttest.AllTests() {
		t.Fatal("mounts filesystems: run it as root")
	}
	t.Skip("mounts filesystems: not root")
}
