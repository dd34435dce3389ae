package archive

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// ErrSocket is returned by Stat for a socket: it means nothing without the
// process behind it, and no layer holds one.
var ErrSocket = errors.New("socket")

// Names gives the names of user and group ids, "" for an id without one.
type Names interface {
	// User returns the name of uid.
	User(uid int) string
	// Group returns the name of gid.
	Group(gid int) string
}

// Stat returns name in d as an entry with path p, without its digest, and what
// the filesystem said of it. A hard link looks like the file it is: who walks
// the tree knows which names came before.
func Stat(d *host.Dir, name, p string, names Names) (artifact.Entry, host.Stat, error) {
	st, err := d.Lstat(name)
	if err != nil {
		return artifact.Entry{}, st, err
	}
	e, err := describe(st, p, names)
	if err != nil {
		return artifact.Entry{}, st, err
	}
	if e.Type == artifact.TypeSymlink {
		if e.Link, err = d.Readlink(name); err != nil {
			return artifact.Entry{}, st, err
		}
	}
	e.Xattrs, err = d.Xattrs(name)
	return e, st, err
}

// Open opens regular file name in d and returns it with what Stat returns of
// it. The caller closes the file.
func Open(d *host.Dir, name, p string, names Names) (artifact.Entry, host.Stat, *host.File, error) {
	f, st, err := d.OpenFile(name)
	if err != nil {
		return artifact.Entry{}, st, nil, err
	}
	e, err := describe(st, p, names)
	if err == nil {
		e.Xattrs, err = f.Xattrs()
	}
	if err != nil {
		return artifact.Entry{}, st, nil, errors.Join(err, f.Close())
	}
	return e, st, f, nil
}

// describe is what st alone says of an entry.
func describe(st host.Stat, p string, names Names) (artifact.Entry, error) {
	e := artifact.Entry{
		Path: p, Mode: st.Perm(), UID: int(st.Uid), GID: int(st.Gid),
		User: names.User(int(st.Uid)), Group: names.Group(int(st.Gid)),
		MTime: artifact.Time{Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec},
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Type, e.Size = artifact.TypeFile, st.Size
	case unix.S_IFDIR:
		e.Type = artifact.TypeDir
	case unix.S_IFLNK:
		e.Type = artifact.TypeSymlink
	case unix.S_IFIFO:
		e.Type = artifact.TypeFIFO
	case unix.S_IFCHR:
		e.Type, e.Major, e.Minor = artifact.TypeChar, unix.Major(st.Rdev), unix.Minor(st.Rdev)
	case unix.S_IFBLK:
		e.Type, e.Major, e.Minor = artifact.TypeBlock, unix.Major(st.Rdev), unix.Minor(st.Rdev)
	case unix.S_IFSOCK:
		return artifact.Entry{}, ErrSocket
	default:
		return artifact.Entry{}, fmt.Errorf("file type %o", st.Mode&unix.S_IFMT)
	}
	return e, nil
}
