package archive_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// randomTree makes files of every type with every attribute. What needs root
// is left out for others.
func randomTree(t *testing.T, dir string, seed uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	dirs := []string{dir}
	var files []string
	name := func() string {
		odd := []string{"a b", "-rf", "quo\"te", "new\nline", "bad\xff\xfe", "ümläut", strings.Repeat("n", 255), "tab\t", "back\\slash", "$(x)", "\x1b[31m"}
		if rnd.IntN(3) == 0 {
			return odd[rnd.IntN(len(odd))]
		}
		return fmt.Sprintf("f%d", rnd.IntN(1e6))
	}
	for range 120 {
		p := filepath.Join(dirs[rnd.IntN(len(dirs))], name())
		if _, err := os.Lstat(p); err == nil || len(p) > 3000 {
			continue
		}
		var err error
		switch rnd.IntN(12) {
		case 0, 1:
			if err = os.Mkdir(p, 0o755); err == nil {
				dirs = append(dirs, p)
			}
		case 2:
			err = os.Symlink([]string{"/etc/passwd", "../..", "dangling", "bad\xff", strings.Repeat("x/", 200)}[rnd.IntN(5)], p)
		case 3:
			err = unix.Mkfifo(p, 0o600)
		case 4:
			if len(files) > 0 {
				err = os.Link(files[rnd.IntN(len(files))], p)
			}
		case 5:
			err = sparseFile(p, rnd)
			files = append(files, p)
		case 6:
			if os.Geteuid() == 0 {
				err = unix.Mknod(p, unix.S_IFCHR, int(unix.Mkdev(uint32(rnd.IntN(4000)), uint32(rnd.IntN(1<<20-1)))))
			}
		default:
			b := make([]byte, rnd.IntN(20000)*rnd.IntN(2))
			if rnd.IntN(20) == 0 { // too large to be read into memory first
				b = make([]byte, 1<<20+rnd.IntN(3<<20))
			}
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			err = os.WriteFile(p, b, 0o600)
			files = append(files, p)
		}
		if err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	all := walk(t, dir)
	for i := len(all) - 1; i >= 0; i-- {
		decorate(t, filepath.Join(dir, all[i]), rnd)
	}
}

func sparseFile(p string, rnd *rand.Rand) error {
	f, err := os.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	size := int64(rnd.IntN(8 << 20))
	for range rnd.IntN(4) {
		if _, err := f.WriteAt([]byte("data somewhere"), rnd.Int64N(size+1)); err != nil {
			return err
		}
	}
	return errors.Join(f.Truncate(max(size, 1)), f.Close())
}

func decorate(t *testing.T, p string, rnd *rand.Rand) {
	t.Helper()
	st, err := os.Lstat(p)
	check(t, err)
	link := st.Mode()&os.ModeSymlink != 0
	if os.Geteuid() == 0 {
		check(t, os.Lchown(p, rnd.IntN(70000), rnd.IntN(3000000)))
	}
	if !link {
		if rnd.IntN(4) == 0 && (st.Mode().IsRegular() || st.IsDir()) {
			if err := unix.Lsetxattr(p, "user.note", []byte{0, 1, 0xff, '='}, 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
				t.Fatal(err)
			}
		}
		if os.Geteuid() == 0 {
			special(t, p, st.Mode(), rnd)
		}
		mode := []uint32{0o644, 0o600, 0o755, 0o4755, 0o2755, 0o1777, 0o000, 0o444}[rnd.IntN(8)]
		if os.Geteuid() != 0 {
			mode |= 0o600 // others must still be able to read what they made
		}
		check(t, unix.Chmod(p, mode))
	}
	sec := []int64{1700000000, -86400 * 365 * 10, 0, 1, 4102444800}[rnd.IntN(5)]
	ts := []unix.Timespec{{Sec: sec}, {Sec: sec, Nsec: int64(rnd.IntN(2)) * 123456789}}
	check(t, unix.UtimesNanoAt(unix.AT_FDCWD, p, ts, unix.AT_SYMLINK_NOFOLLOW))
}

// special sets attributes that the system itself reads: an ACL (acl(5), and the
// kernel's posix_acl_xattr.h), file capabilities (capabilities(7)), a label.
func special(t *testing.T, p string, mode os.FileMode, rnd *rand.Rand) {
	t.Helper()
	entry := func(tag, perm uint16, id uint32) []byte {
		b := binary.LittleEndian.AppendUint16(nil, tag)
		return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint16(b, perm), id)
	}
	const none = 0xffffffff
	acl := slices.Concat([]byte{2, 0, 0, 0}, // user, user 1000, group, group 7, mask, other
		entry(1, 6, none), entry(2, 7, 1000), entry(4, 4, none), entry(8, 5, 7), entry(16, 7, none), entry(32, 0, none))
	capability := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // cap_net_raw=ep
	set := func(name string, value []byte) {
		if err := unix.Lsetxattr(p, name, value, 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
			t.Fatalf("%s: %v", name, err)
		}
	}
	switch rnd.IntN(6) {
	case 0:
		set("system.posix_acl_access", acl)
	case 1:
		if mode.IsDir() {
			set("system.posix_acl_default", acl)
		}
	case 2:
		if mode.IsRegular() {
			set("security.capability", capability)
		}
	case 3:
		if mode.IsRegular() || mode.IsDir() {
			set("security.selinux", []byte("system_u:object_r:etc_t:s0\x00"))
		}
	}
}
