package database

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The bytes SQLite locks in a database file (https://www.sqlite.org/lockingv3.html
// and os.h) and in the -shm file of a WAL (https://www.sqlite.org/walformat.html,
// 2.3): writing, checkpoint, recovery.
const (
	pendingByte = 0x40000000
	sharedFirst = pendingByte + 2
	sharedSize  = 510
	walFirst    = 120
	walSize     = 3
)

// readLock takes a shared lock on a range of f, owned by the open file: unlike
// the locks SQLite takes, it is not lost when something else in this process
// opens and closes the same file, as whatever copies /etc/xcat may do. It does
// not wait.
func readLock(f *os.File, start, length int64) error {
	return lockRange(f, unix.F_RDLCK, start, length)
}

func lockRange(f *os.File, kind int16, start, length int64) error {
	l := unix.Flock_t{Type: kind, Whence: 0, Start: start, Len: length}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return errBusy
	}
	if err != nil {
		return fmt.Errorf("read lock: %w", err)
	}
	return nil
}

// holdShared keeps others from writing to a database file this process has a
// shared lock on already.
func holdShared(f *os.File) error { return readLock(f, sharedFirst, sharedSize) }

// takeShared does what SQLite does to get a shared lock: a writer that waits
// holds the pending byte and goes first.
func takeShared(f *os.File) error {
	if err := readLock(f, pendingByte, 1); err != nil {
		return err
	}
	return errors.Join(holdShared(f), lockRange(f, unix.F_UNLCK, pendingByte, 1))
}
