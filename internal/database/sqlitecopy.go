package database

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// privateCopy is a database that SQLite may recover without touching the
// original: a file left in the middle of a transaction, or one in WAL mode.
type privateCopy struct {
	dir  string // 0700, holds nothing else
	path string
	// shm is the -shm file of a WAL somebody has open, with a lock that keeps
	// writers out; else nil.
	shm  *os.File
	seen map[string]stamp // by suffix
}

// stamp tells whether a file was written to.
type stamp struct {
	size int64
	time time.Time
}

// companions are the files that belong to a database file, itself included.
// The -shm file is not: it is rebuilt from the WAL.
func companions() []string { return []string{"", "-journal", "-wal"} }

// copyDatabase copies the database at path, and what lies beside it, into a
// new directory below temp. Nothing can change meanwhile: the lock taken on
// held, and kept, hinders recovery of a journal by another program as well.
func copyDatabase(held *os.File, path, temp string) (c *privateCopy, err error) {
	if temp == "" {
		return nil, errors.New("has to be recovered in a private copy, and no directory for one was given")
	}
	if err := takeShared(held); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(temp, "xcrate-database-") // makes it 0700
	if err != nil {
		return nil, fmt.Errorf("private copy: %w", err)
	}
	c = &privateCopy{dir: dir, path: filepath.Join(dir, filepath.Base(path))}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
			c = nil
		}
	}()
	if err := c.lockWAL(path); err != nil {
		return c, err
	}
	if c.seen, err = stamps(path); err != nil {
		return c, err
	}
	for suffix := range c.seen {
		if err := copyFile(path+suffix, c.path+suffix); err != nil {
			return c, fmt.Errorf("private copy: %w", err)
		}
	}
	stale, err := c.stale(path)
	if err == nil && stale {
		err = errBusy
	}
	return c, err
}

// lockWAL keeps writers and checkpoints out of a WAL that is in use.
func (c *privateCopy) lockWAL(path string) error {
	shm, err := os.Open(path + "-shm")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c.shm = shm
	return readLock(shm, walFirst, walSize)
}

// stale reports whether the original was written to since it was copied.
func (c *privateCopy) stale(path string) (bool, error) {
	now, err := stamps(path)
	if err != nil {
		return false, err
	}
	for _, suffix := range companions() {
		if now[suffix] != c.seen[suffix] {
			return true, nil
		}
	}
	if _, err := os.Lstat(path + "-shm"); err == nil && c.shm == nil {
		return true, nil // somebody opened the WAL since
	}
	return false, nil
}

// Close removes the copy.
func (c *privateCopy) Close() error {
	err := os.RemoveAll(c.dir)
	if c.shm != nil {
		err = errors.Join(err, c.shm.Close())
	}
	return err
}

func stamps(path string) (map[string]stamp, error) {
	all := map[string]stamp{}
	for _, suffix := range companions() {
		st, err := os.Lstat(path + suffix)
		if errors.Is(err, fs.ErrNotExist) && suffix != "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !st.Mode().IsRegular() {
			return nil, fmt.Errorf("%s: not a regular file", path+suffix)
		}
		all[suffix] = stamp{st.Size(), st.ModTime()}
	}
	return all, nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
