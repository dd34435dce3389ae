package layout

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// fileTree is where the files of a layout are read: a directory, or an image of one.
// Names are slash-separated and lead nowhere outside.
type fileTree interface {
	// lstat tells of name itself, where it is a symlink.
	lstat(name string) (fs.FileInfo, error)
	// open opens name and does not wait for the other end of a FIFO.
	open(name string) (file, error)
	// uncache makes the system forget what it keeps of name in memory.
	uncache(name string) error
	io.Closer
}

// file is an open file of a fileTree.
type file interface {
	fs.File
	io.ReaderAt
}

// dirTree is a directory.
type dirTree struct{ root *os.Root }

func (t dirTree) lstat(name string) (fs.FileInfo, error) { return t.root.Lstat(name) }

func (t dirTree) open(name string) (file, error) {
	f, err := t.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err // a nil *os.File would be a file that is not nil
	}
	return f, nil
}

func (t dirTree) uncache(name string) error {
	f, err := t.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return errors.Join(forget(f), f.Close())
}

func (t dirTree) Close() error { return t.root.Close() }

// forget drops the pages of f that are on the medium already: what was not synced stays.
// Some filesystems keep no pages, and say so.
func forget(f *os.File) error {
	err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

// imageTree is the directory tree of an image in a file.
type imageTree struct {
	fs.FS // of the image
	file  *os.File
}

func (t imageTree) lstat(name string) (fs.FileInfo, error) { return fs.Stat(t.FS, name) }

func (t imageTree) open(name string) (file, error) {
	f, err := t.Open(name)
	if err != nil {
		return nil, err
	}
	at, ok := f.(file)
	if !ok { // a directory
		return nil, errors.Join(&fs.PathError{Op: "open", Path: name, Err: errNotRegular}, f.Close())
	}
	return at, nil
}

func (t imageTree) uncache(string) error { return forget(t.file) }

func (t imageTree) Close() error { return t.file.Close() }
