package pkgmgr

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/host"
)

// rpmDatabase is a backend of rpm: the file it keeps headers in, and what hands
// over each of them. The file is a private copy: it may be opened by path,
// recovered and written to.
type rpmDatabase struct {
	file string
	each func(ctx context.Context, dir *host.Root, file string, fn func(blob []byte) error) error
}

// rpmDatabases are sqlite (EL 9 and later, Fedora), ndb (SUSE) and Berkeley DB
// (EL 8 and before).
func rpmDatabases() []rpmDatabase {
	return []rpmDatabase{{"rpmdb.sqlite", eachSQLite}, {"Packages.db", eachNDB}, {"Packages", eachBDB}}
}

// findRPMDatabase returns the directory of the root's rpm database, "" where
// there is none, and the backends whose file it holds: that of EL 10, Fedora and
// SUSE first, then that of EL 9 and before.
func findRPMDatabase(root *host.Root) (dir string, found []rpmDatabase, err error) {
	for _, dir := range []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm"} {
		for _, db := range rpmDatabases() {
			_, err := root.Stat(path.Join(dir, db.file))
			if err == nil {
				found = append(found, db)
			} else if !errors.Is(err, fs.ErrNotExist) {
				return "", nil, err
			}
		}
		if len(found) > 0 {
			return dir, found, nil
		}
	}
	return "", nil, nil
}

// rpmCopy is a private copy of a root's rpm database. Close removes it.
type rpmCopy struct {
	backend rpmDatabase
	private *host.Root
	place   string // of the original on this machine, for messages
	remove  func() error
}

// openRPMDatabase copies the rpm database of root to a new directory below
// tempDir. Nothing in the root is written, created or locked. A root without
// one is ErrNone.
func openRPMDatabase(ctx context.Context, root *host.Root, tempDir string) (*rpmCopy, error) {
	dir, found, err := findRPMDatabase(root)
	if err != nil {
		return nil, fmt.Errorf("rpm database of %s: %w", root.Dir(), err)
	}
	if dir == "" {
		return nil, fmt.Errorf("root %s: %w: it has no rpm database", root.Dir(), ErrNone)
	}
	if len(found) > 1 {
		// An rpm of another distro makes an empty one beside the one in use.
		return nil, fmt.Errorf("rpm database of %s: %s holds both %s and %s: remove the one rpm does not use", root.Dir(), root.Path(dir), found[0].file, found[1].file)
	}
	c := &rpmCopy{backend: found[0], place: root.Path(path.Join(dir, found[0].file))}
	c.private, c.remove, err = copyDatabase(ctx, root, dir, c.backend.file, tempDir)
	if err != nil {
		return nil, c.fail(err)
	}
	return c, nil
}

// Close removes the copy.
func (c *rpmCopy) Close() error { return c.fail(c.remove()) }

func (c *rpmCopy) fail(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("rpm database %s: %w", c.place, err)
}

// each calls fn with every header, those of keys included, in no order. A
// damaged one ends it. Errors name the database.
func (c *rpmCopy) each(ctx context.Context, fn func(section) error) error {
	return c.fail(c.backend.each(ctx, c.private, c.backend.file, func(blob []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := storedHeader(blob)
		if err != nil {
			return err
		}
		return fn(s)
	}))
}

// eachHeader calls fn with every header in the root's rpm database, as the
// methods of rpmCopy have it.
func eachHeader(ctx context.Context, root *host.Root, tempDir string, fn func(section) error) (err error) {
	c, err := openRPMDatabase(ctx, root, tempDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return c.each(ctx, fn)
}

// errChanged says that a database did not hold still while it was copied.
var errChanged = errors.New("busy: another program is writing to it")

// copyTries is how often a copy is begun: rpm writes for seconds at most, but
// a transaction does so once for each of its packages.
const copyTries = 5

// copyDatabase copies file of directory dir, and the journal that belongs to
// it, to a private directory below tempDir. private is that directory; remove
// closes and deletes it.
func copyDatabase(ctx context.Context, root *host.Root, dir, file, tempDir string) (private *host.Root, remove func() error, err error) {
	temp, err := host.OpenRoot(tempDir)
	if err != nil {
		return nil, nil, fmt.Errorf("private copy: %w", err)
	}
	name := "xcrate-rpmdb-" + rand.Text()
	remove = func() error {
		d, err := temp.OpenDir("/")
		if err == nil {
			err = errors.Join(d.RemoveAll(name), d.Close())
		}
		if private != nil {
			err = errors.Join(err, private.Close())
		}
		return errors.Join(err, temp.Close())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove())
		}
	}()
	if err := temp.MkdirAll(name, 0o700); err != nil {
		return nil, nil, fmt.Errorf("private copy: %w", err)
	}
	if private, err = host.OpenRoot(temp.Path(name)); err != nil {
		return nil, nil, fmt.Errorf("private copy: %w", err)
	}
	from, err := root.OpenDir(dir)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = from.Close() }()
	err = errChanged
	for try := 0; errors.Is(err, errChanged) && try < copyTries; try++ {
		err = copyOnce(ctx, from, file, private)
	}
	return private, remove, err
}

// copyOnce copies the files of one database. The error is errChanged if they
// are not what they were when it began.
func copyOnce(ctx context.Context, from *host.Dir, file string, private *host.Root) error {
	to, err := private.OpenDir("/")
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	before, err := databaseStamps(from, file)
	if err != nil {
		return err
	}
	for name, stamp := range before {
		if err := to.RemoveAll(name); err != nil {
			return err
		}
		if err := copyFile(ctx, from, to, name, stamp.size); err != nil {
			return err
		}
	}
	after, err := databaseStamps(from, file)
	if err != nil {
		return err
	}
	if len(before) != len(after) {
		return errChanged
	}
	for name, stamp := range before {
		if after[name] != stamp {
			return errChanged
		}
	}
	return nil
}

// fileStamp changes whenever a file is written to: nobody sets a change time.
type fileStamp struct {
	ino, size int64
	changed   unix.Timespec
}

// databaseStamps describes the files of a database by name: SQLite's journal
// and WAL belong to it, its -shm file is made again from the WAL.
func databaseStamps(d *host.Dir, file string) (map[string]fileStamp, error) {
	all := map[string]fileStamp{}
	for _, name := range []string{file, file + "-journal", file + "-wal"} {
		st, err := d.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) && name != file {
			continue
		}
		if err != nil {
			return nil, err
		}
		all[name] = fileStamp{int64(st.Ino), st.Size, st.Ctim}
	}
	return all, nil
}

// copyFile copies size bytes of a file: one that grows would never end.
func copyFile(ctx context.Context, from, to *host.Dir, name string, size int64) (err error) {
	in, err := from.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := to.Create(name)
	if err != nil {
		return fmt.Errorf("private copy: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, io.LimitReader(&cancelReader{ctx, in}, size)); err != nil {
		return fmt.Errorf("private copy: %w", err)
	}
	return nil
}
