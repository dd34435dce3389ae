package layout

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ops are the system calls that decide whether a write lasts. Tests replace
// them to make one fail, or to be killed at it.
type ops struct {
	mkdir  func(root *os.Root, name string, perm fs.FileMode) error
	open   func(root *os.Root, name string, flag int, perm fs.FileMode) (*os.File, error)
	write  func(f *os.File, p []byte) (int, error)
	sync   func(f *os.File) error
	chmod  func(f *os.File, mode fs.FileMode) error
	rename func(root *os.Root, from, to string) error
}

func realOps() ops {
	return ops{
		mkdir:  (*os.Root).Mkdir,
		open:   (*os.Root).OpenFile,
		write:  (*os.File).Write,
		sync:   (*os.File).Sync,
		chmod:  (*os.File).Chmod,
		rename: (*os.Root).Rename,
	}
}

// Modes of what a Writer makes: a snapshot holds what only root may read.
const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600
)

// setMode gives f its mode whatever the umask was. FAT knows no modes and
// refuses; there the mount options rule.
func (o ops) setMode(f *os.File, mode fs.FileMode) error {
	if err := o.chmod(f, mode); err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	return nil
}

// syncDir makes the names in directory name durable. Some network and FUSE
// filesystems cannot sync a directory and say so; they do it in their own time.
func (o ops) syncDir(root *os.Root, name string) (err error) {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := o.sync(d); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	return nil
}
