package host

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// File is an open regular file of a host. It is a bare descriptor: an os.File
// would be offered to the runtime's poller, one more system call a file, and
// regular files never block.
type File struct {
	fd        int
	dir, name string // where it was opened, for messages
	pos       int64  // of Read
	size      int64  // when it was opened
	failed    bool   // to be read
}

// errNotRegular is the cause when something else than a regular file was to be
// opened.
var errNotRegular = errors.New("not a regular file")

// OpenFile opens regular file name for reading, without changing its access
// time where the system lets us, and returns what it is. Anything else is an
// error: a FIFO does not block it.
func (d *Dir) OpenFile(name string) (*File, Stat, error) {
	f, err := d.openFile("open", name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOATIME)
	if errors.Is(err, unix.EPERM) { // neither root nor the owner
		f, err = d.openFile("open", name, unix.O_RDONLY|unix.O_NONBLOCK)
	}
	if err != nil {
		return nil, Stat{}, err
	}
	return f.checked()
}

// ReopenFile opens regular file name for reading and writing.
func (d *Dir) ReopenFile(name string) (*File, error) {
	f, err := d.openFile("open", name, unix.O_RDWR|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	f, _, err = f.checked()
	return f, err
}

// CreateFile makes regular file name with mode 0600 and opens it. A name that
// exists is an error.
func (d *Dir) CreateFile(name string) (*File, error) {
	return d.openFile("create", name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
}

func (d *Dir) openFile(op, name string, flags int) (*File, error) {
	fd, err := again(func() (int, error) {
		return unix.Openat(d.fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return nil, d.fail(op, name, err)
	}
	return &File{fd: fd, dir: d.path, name: name}, nil
}

// checked returns f and what it is, or closes it if it is no regular file.
func (f *File) checked() (*File, Stat, error) {
	st, err := f.Stat()
	if err == nil && !st.IsRegular() {
		err = f.fail("open", errNotRegular)
	}
	if err != nil {
		return nil, st, errors.Join(err, f.Close())
	}
	f.size = st.Size
	return f, st, nil
}

func (f *File) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: join(f.dir, f.name), Err: err}
}

// again repeats a call that a signal interrupted before it began.
func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), err
		}
	}
}

// Close releases the file.
func (f *File) Close() error { return f.fail("close", unix.Close(f.fd)) }

// Failed reports whether reading the file failed, and not what was done with it.
func (f *File) Failed() bool { return f.failed }

// Stat returns what the file is now.
func (f *File) Stat() (Stat, error) {
	var s Stat
	return s, f.fail("stat", unix.Fstat(f.fd, &s.Stat_t))
}

// Read implements io.Reader, from the file's begin whatever ReadAt read.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.pread(p, f.pos)
	f.pos += int64(n)
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

// ReadWhole reads the file from its begin into p, in one call as a rule, and
// returns how much there was: less than len(p) only if that is all of it.
func (f *File) ReadWhole(p []byte) (n int, err error) {
	for n < len(p) {
		m, err := f.pread(p[n:], int64(n))
		n += m
		// A regular file gives less than it was asked for only at its end; but
		// nothing promises that of a filesystem over a network.
		if err != nil || m == 0 || (n == m && n < len(p)-1 && int64(n) == f.size) {
			return n, err
		}
	}
	return n, nil
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m, err := f.pread(p[n:], off+int64(n))
		n += m
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.EOF
		}
	}
	return n, nil
}

func (f *File) pread(p []byte, off int64) (int, error) {
	n, err := again(func() (int, error) { return unix.Pread(f.fd, p, off) })
	f.failed = f.failed || err != nil
	return n, f.fail("read", err)
}

// Data returns the begin of the first run of data at or after off, which ends
// before end; false if only a hole is left. See lseek(2), SEEK_DATA.
func (f *File) Data(off int64) (from, end int64, ok bool, err error) {
	from, err = unix.Seek(f.fd, off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return 0, 0, false, nil
	}
	if err == nil {
		end, err = unix.Seek(f.fd, from, unix.SEEK_HOLE)
	}
	return from, end, err == nil, f.fail("seek", err)
}

// WriteAt implements io.WriterAt.
func (f *File) WriteAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		m, err := again(func() (int, error) { return unix.Pwrite(f.fd, p[n:], off+int64(n)) })
		if err == nil && m == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return n, f.fail("write", err)
		}
		n += m
	}
	return n, nil
}

// Truncate sets the size of the file in bytes. What is added is a hole.
func (f *File) Truncate(size int64) error { return f.fail("truncate", unix.Ftruncate(f.fd, size)) }

// Chown sets owner and group.
func (f *File) Chown(uid, gid int) error { return f.fail("chown", unix.Fchown(f.fd, uid, gid)) }

// Chmod sets the permission bits.
func (f *File) Chmod(perm uint32) error { return f.fail("chmod", unix.Fchmod(f.fd, perm)) }

// Xattrs returns the extended attributes as Dir.Xattrs does.
func (f *File) Xattrs() (map[string]string, error) {
	attrs, op, err := xattrs(
		func(buf []byte) (int, error) { return unix.Flistxattr(f.fd, buf) },
		func(attr string, buf []byte) (int, error) { return unix.Fgetxattr(f.fd, attr, buf) },
	)
	return attrs, f.fail(op, err)
}

// XattrNames returns the names of the extended attributes, without those that
// are the filesystem's own; none where it knows none.
func (f *File) XattrNames() ([]string, error) {
	list, err := xattrCall(func(buf []byte) (int, error) { return unix.Flistxattr(f.fd, buf) })
	if errors.Is(err, unix.ENOTSUP) || (err == nil && len(list) == 0) {
		return nil, nil
	}
	names := strings.Split(strings.TrimRight(string(list), "\x00"), "\x00")
	return slices.DeleteFunc(names, isFilesystems), f.fail("listxattr", err)
}

// SetXattr sets extended attribute attr.
func (f *File) SetXattr(attr, value string) error {
	return f.fail("setxattr "+attr, unix.Fsetxattr(f.fd, attr, []byte(value), 0))
}

// RemoveXattr removes extended attribute attr.
func (f *File) RemoveXattr(attr string) error {
	return f.fail("removexattr "+attr, unix.Fremovexattr(f.fd, attr))
}
