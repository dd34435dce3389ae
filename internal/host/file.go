package host

import (
	"errors"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"
)

// File is a regular file open for reading. It is a bare descriptor: an os.File
// would be offered to the runtime's poller, one more system call a file, and
// regular files never block.
type File struct {
	fd     int
	path   string
	pos    int64
	size   int64 // when it was opened
	failed bool
}

// errNotRegular is the cause when something else than a regular file was to be
// opened.
var errNotRegular = errors.New("not a regular file")

// OpenFile opens regular file name for reading, without changing its access
// time where the system lets us, and returns what it is. Anything else is an
// error: a FIFO does not block it.
func (d *Dir) OpenFile(name string) (*File, Stat, error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	var s Stat
	fd, err := unix.Openat(d.fd, name, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) { // neither root nor the owner
		fd, err = unix.Openat(d.fd, name, flags, 0)
	}
	if err != nil {
		return nil, s, d.fail("open", name, err)
	}
	f := &File{fd: fd, path: d.join(name)}
	if s, err = f.Stat(); err == nil && !s.IsRegular() {
		err = d.fail("open", name, errNotRegular)
	}
	if err != nil {
		return nil, s, errors.Join(err, f.Close())
	}
	f.size = s.Size
	return f, s, nil
}

func (f *File) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: f.path, Err: err}
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
	for {
		n, err := unix.Pread(f.fd, p, off)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		f.failed = f.failed || err != nil
		return max(n, 0), f.fail("read", err)
	}
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

// Xattrs returns the extended attributes as Dir.Xattrs does.
func (f *File) Xattrs() (map[string]string, error) {
	attrs, op, err := xattrs(
		func(buf []byte) (int, error) { return unix.Flistxattr(f.fd, buf) },
		func(attr string, buf []byte) (int, error) { return unix.Fgetxattr(f.fd, attr, buf) },
	)
	return attrs, f.fail(op, err)
}
