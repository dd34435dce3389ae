package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/host"
)

// read returns what is in file name of directory dir, up to limit bytes and one; nil if
// there is no such file. Somebody else's is not read.
func read(dir, name string, limit int64) ([]byte, error) {
	d, closeAll, err := open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cache %s: %w", dir, err)
	}
	defer closeAll()
	f, st, err := d.OpenFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cache %s: %w", dir, err)
	}
	defer func() { _ = f.Close() }()
	if err := owned(st); err != nil {
		return nil, fmt.Errorf("cache %s: %s: %w", dir, name, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cache %s: %w", dir, err)
	}
	return b, nil
}

// write replaces file name of directory dir in one step. Nobody else can read it. dir
// is made if its parent is there.
func write(dir, name string, b []byte) error {
	if err := host.MakePrivate(dir); err != nil {
		return fmt.Errorf("cache %s: %w", dir, err)
	}
	d, closeAll, err := open(dir)
	if err != nil {
		return fmt.Errorf("cache %s: %w", dir, err)
	}
	defer closeAll()
	if err := d.Remove(name + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cache %s: %w", dir, err)
	}
	f, err := d.Create(name + ".new")
	if err != nil {
		return fmt.Errorf("cache %s: %w", dir, err)
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("cache %s: %w", dir, err)
	}
	if err := errors.Join(d.Rename(name+".new", d, name), d.Sync()); err != nil {
		return fmt.Errorf("cache %s: %w", dir, err)
	}
	return nil
}

// open opens directory dir, if nobody else can write to it.
func open(dir string) (*host.Dir, func(), error) {
	root, err := host.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	d, err := root.OpenDir("/")
	if err == nil {
		var st host.Stat
		if st, err = d.Self(); err == nil {
			err = owned(st)
		}
		if err == nil {
			return d, func() { _, _ = d.Close(), root.Close() }, nil
		}
		_ = d.Close()
	}
	return nil, nil, errors.Join(err, root.Close())
}

func owned(st host.Stat) error {
	if int(st.Uid) != unix.Geteuid() || st.Perm()&0o022 != 0 {
		return ErrUnsafe
	}
	return nil
}
