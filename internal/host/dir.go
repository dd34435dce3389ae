package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
)

// Dir is an open directory of a host. Its methods take single names, which
// the kernel looks up in the directory itself: whatever happens to the path
// that led here, they cannot reach outside, and no symlink is followed.
type Dir struct {
	fd   int
	path string // as it was opened, for messages
	was  Inode  // what it is, while it is released
}

// Close releases the directory.
func (d *Dir) Close() error {
	if d.fd < 0 {
		return nil
	}
	fd := d.fd
	d.fd = -1
	return unix.Close(fd)
}

// Release closes the descriptor of a directory that is to be used again after
// what lies below it: see Regain.
func (d *Dir) Release() error {
	st, err := d.Self()
	if err != nil {
		return err
	}
	d.was = st.Inode()
	return d.Close()
}

// Regain opens a released directory again, as the one above its subdirectory
// below. It is an error if that was moved elsewhere meanwhile.
func (d *Dir) Regain(below *Dir) error {
	fd, err := unix.Openat(below.fd, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return d.fail("open", "", err)
	}
	d.fd = fd
	st, err := d.Self()
	if err == nil && st.Inode() != d.was {
		err = d.fail("open", "", errors.New("moved meanwhile"))
	}
	return err
}

// Path is the directory's path on its host, without symlinks.
func (d *Dir) Path() string { return d.path }

func (d *Dir) fail(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: d.join(name), Err: err}
}

func (d *Dir) join(name string) string { return join(d.path, name) }

// join is path.Join for what is clean already.
func join(dir, name string) string {
	switch {
	case name == "":
		return dir
	case dir == "/":
		return "/" + name
	default:
		return dir + "/" + name
	}
}

// Self returns what the directory itself is.
func (d *Dir) Self() (Stat, error) {
	var s Stat
	return s, d.fail("stat", "", unix.Fstat(d.fd, &s.Stat_t))
}

// Lstat returns what name is.
func (d *Dir) Lstat(name string) (Stat, error) {
	var s Stat
	err := unix.Fstatat(d.fd, name, &s.Stat_t, unix.AT_SYMLINK_NOFOLLOW)
	return s, d.fail("stat", name, err)
}

// OpenDir opens subdirectory name.
func (d *Dir) OpenDir(name string) (*Dir, error) {
	fd, err := unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	return &Dir{fd: fd, path: d.join(name)}, nil
}

// Open opens regular file name for reading. Anything else is an error: a FIFO
// does not block it.
func (d *Dir) Open(name string) (*os.File, error) {
	fd, err := unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	var s Stat
	if err := unix.Fstat(fd, &s.Stat_t); err == nil && !s.IsRegular() {
		_ = unix.Close(fd)
		return nil, d.fail("open", name, errNotRegular)
	}
	return os.NewFile(uintptr(fd), d.join(name)), nil
}

// Names returns the names in the directory, sorted by bytes.
func (d *Dir) Names() ([]string, error) {
	fd, err := unix.Openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, d.fail("open", "", err)
	}
	f := os.NewFile(uintptr(fd), d.path)
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

// Readlink returns the target of symlink name as it is written.
func (d *Dir) Readlink(name string) (string, error) {
	for size := 256; ; size *= 2 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(d.fd, name, buf)
		if err != nil {
			return "", d.fail("readlink", name, err)
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

// proc is a path the kernel takes for name in this very directory. Calls that
// have no "at" form and do not follow the last component need it.
func (d *Dir) proc(name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.fd, name)
}

// Xattrs returns the extended attributes of name, values as raw bytes; nil
// where it has none or its filesystem knows none.
func (d *Dir) Xattrs(name string) (map[string]string, error) {
	p := d.proc(name)
	attrs, op, err := xattrs(
		func(buf []byte) (int, error) { return unix.Llistxattr(p, buf) },
		func(attr string, buf []byte) (int, error) { return unix.Lgetxattr(p, attr, buf) },
	)
	return attrs, d.fail(op, name, err)
}

// xattrs gathers extended attributes through the two calls that read them. op
// is the one that failed.
func xattrs(list func([]byte) (int, error), get func(string, []byte) (int, error)) (_ map[string]string, op string, err error) {
	names, err := xattrCall(list)
	if errors.Is(err, unix.ENOTSUP) || (err == nil && len(names) == 0) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "listxattr", err
	}
	attrs := map[string]string{}
	for raw := range bytes.SplitSeq(bytes.TrimRight(names, "\x00"), []byte{0}) {
		attr := string(raw)
		if isFilesystems(attr) {
			continue
		}
		value, err := xattrCall(func(buf []byte) (int, error) { return get(attr, buf) })
		switch {
		case errors.Is(err, unix.ENODATA):
			continue
		case err != nil:
			return nil, "getxattr " + attr, err
		}
		attrs[attr] = string(value)
	}
	if len(attrs) == 0 {
		return nil, "", nil
	}
	return attrs, "", nil
}

// isFilesystems reports whether an attribute is the filesystem's own, as
// system.nfs4_acl is.
func isFilesystems(attr string) bool {
	return strings.HasPrefix(attr, "system.") && !strings.HasPrefix(attr, "system.posix_acl_")
}

// xattrCall grows the buffer until the call is content with it.
func xattrCall(call func([]byte) (int, error)) ([]byte, error) {
	for {
		size, err := call(nil)
		if err != nil || size == 0 {
			return nil, err
		}
		buf := make([]byte, size)
		n, err := call(buf)
		if errors.Is(err, unix.ERANGE) {
			continue
		}
		return buf[:max(n, 0)], err
	}
}

// Create makes regular file name with mode 0600 and opens it for writing. A
// name that exists is an error.
func (d *Dir) Create(name string) (*os.File, error) {
	fd, err := unix.Openat(d.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, d.fail("create", name, err)
	}
	return os.NewFile(uintptr(fd), d.join(name)), nil
}

// Append opens regular file name to read it and to write at its end, and makes it
// with mode 0600 if there is none.
func (d *Dir) Append(name string) (*os.File, error) {
	fd, err := unix.Openat(d.fd, name, unix.O_RDWR|unix.O_APPEND|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	return os.NewFile(uintptr(fd), d.join(name)), nil
}

// Mkdir makes directory name with mode perm, whatever the umask.
func (d *Dir) Mkdir(name string, perm uint32) error {
	if err := unix.Mkdirat(d.fd, name, 0o700); err != nil {
		return d.fail("mkdir", name, err)
	}
	return d.Chmod(name, perm)
}

// Symlink makes symlink name with target.
func (d *Dir) Symlink(target, name string) error {
	return d.fail("symlink", name, unix.Symlinkat(target, d.fd, name))
}

// Mknod makes FIFO or device node name; typ is one of S_IFIFO, S_IFCHR, S_IFBLK.
func (d *Dir) Mknod(name string, typ, major, minor uint32) error {
	return d.fail("mknod", name, unix.Mknodat(d.fd, name, typ|0o600, int(unix.Mkdev(major, minor))))
}

// Link makes newName in directory to another name of the file name is.
func (d *Dir) Link(name string, to *Dir, newName string) error {
	return to.fail("link", newName, unix.Linkat(d.fd, name, to.fd, newName, 0))
}

// Rename moves name to newName in directory to, replacing what is there.
func (d *Dir) Rename(name string, to *Dir, newName string) error {
	return to.fail("rename", newName, unix.Renameat(d.fd, name, to.fd, newName))
}

// Remove removes file name, or directory name if it is empty.
func (d *Dir) Remove(name string) error {
	err := unix.Unlinkat(d.fd, name, 0)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
		derr := unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR)
		if errors.Is(err, unix.EISDIR) || derr == nil || errors.Is(derr, unix.ENOTEMPTY) {
			err = derr // of a directory: that something is mounted there, say
		}
	}
	return d.fail("remove", name, err)
}

// RemoveAll removes name and everything below it. Nothing there is no error.
func (d *Dir) RemoveAll(name string) error {
	err := d.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	sub, err := d.OpenDir(name)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Close() }()
	names, err := sub.Names()
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := sub.RemoveAll(n); err != nil {
			return err
		}
	}
	return d.Remove(name)
}

// Chown sets owner and group of name itself, also if it is a symlink.
func (d *Dir) Chown(name string, uid, gid int) error {
	return d.fail("chown", name, unix.Fchownat(d.fd, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW))
}

// Chmod sets the permission bits of name, which is no symlink.
func (d *Dir) Chmod(name string, perm uint32) error {
	// fchmodat(2) follows symlinks, so one put there by somebody else would be
	// followed; the open descriptor cannot be swapped.
	fd, err := unix.Openat(d.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return d.fail("chmod", name, err)
	}
	defer func() { _ = unix.Close(fd) }()
	var s Stat
	if err := unix.Fstat(fd, &s.Stat_t); err != nil || s.IsSymlink() {
		return d.fail("chmod", name, errors.Join(err, unix.ELOOP))
	}
	return d.fail("chmod", name, unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), perm))
}

// SetXattr sets extended attribute attr of name itself.
func (d *Dir) SetXattr(name, attr, value string) error {
	return d.fail("setxattr "+attr, name, unix.Lsetxattr(d.proc(name), attr, []byte(value), 0))
}

// RemoveXattr removes extended attribute attr of name itself.
func (d *Dir) RemoveXattr(name, attr string) error {
	return d.fail("removexattr "+attr, name, unix.Lremovexattr(d.proc(name), attr))
}

// SetMTime sets the modification time of name itself, also if it is a symlink.
func (d *Dir) SetMTime(name string, t artifact.Time) error {
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: t.Sec, Nsec: t.Nsec}}
	return d.fail("utimes", name, unix.UtimesNanoAt(d.fd, name, ts, unix.AT_SYMLINK_NOFOLLOW))
}

// Sync makes the directory's names durable. Filesystems that cannot sync a
// directory are not an error: they have nothing to lose there.
func (d *Dir) Sync() error {
	err := unix.Fsync(d.fd)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return d.fail("fsync", "", err)
}

// SyncFS makes everything on the directory's filesystem durable: one call for
// many files.
func (d *Dir) SyncFS() error { return d.fail("syncfs", "", unix.Syncfs(d.fd)) }

// Space returns the free and the total bytes of the directory's filesystem,
// free as a user without privileges sees it.
func (d *Dir) Space() (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(d.fd, &s); err != nil {
		return 0, 0, d.fail("statfs", "", err)
	}
	return int64(s.Bavail) * s.Bsize, int64(s.Blocks) * s.Bsize, nil
}

// Lock takes an exclusive lock on the directory itself and holds it until the
// returned function is called. A directory that is locked is an error that
// wraps unix.EWOULDBLOCK. No file is made for it.
func (d *Dir) Lock() (release func() error, err error) {
	fd, err := unix.Openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, d.fail("open", "", err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(d.fail("lock", "", err), unix.Close(fd))
	}
	return func() error { return unix.Close(fd) }, nil
}
