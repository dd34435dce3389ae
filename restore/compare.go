package restore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
)

// state says how an entry relates to what the host has in its place.
type state string

const (
	isNew     state = "new"
	isChanged state = "changed"
	isSame    state = "same"
	isKept    state = "kept" // a symlink to a directory stands where a directory goes
	isClash   state = "clash"
)

// change is an entry that is not on the host as the snapshot has it.
type change struct {
	entry artifact.Entry
	path  string // on the host, with leading slash
	state state
	slot  string // name of the staged content in the work directory, "" for none
}

// target is where an entry goes on the host: packages have a directory of
// their own, everything else keeps its path.
func target(e artifact.Entry) string {
	if e.Kind == artifact.KindPackages {
		return path.Join(RepositoryDir, e.Path)
	}
	return "/" + e.Path
}

// comparer holds what comparing entries with a host needs.
type comparer struct {
	root   *host.Root
	owners *owners
	// replaced are entries that will get a new inode: hard links to them must
	// be made again.
	replaced map[string]bool
	dir      *host.Dir // of the last entry looked at
	at       string
}

func newComparer(root *host.Root, o *owners) *comparer {
	return &comparer{root: root, owners: o, replaced: map[string]bool{}}
}

func (c *comparer) close() {
	if c.dir != nil {
		_ = c.dir.Close()
	}
}

// parent opens the directory of p; neighbours come one after the other.
func (c *comparer) parent(p string) (*host.Dir, string, error) {
	if dir := path.Dir(p); c.dir == nil || c.at != dir {
		d, err := c.root.OpenDir(dir)
		if err != nil {
			return nil, "", err
		}
		c.close()
		c.dir, c.at = d, dir
	}
	return c.dir, path.Base(p), nil
}

// compare says how e relates to what is at its target.
func (c *comparer) compare(e artifact.Entry) (state, error) {
	p := target(e)
	s, err := c.look(e, p)
	if err != nil {
		return "", fmt.Errorf("file %s: %w", c.root.Path(p), err)
	}
	if s != isSame && s != isKept {
		c.replaced[string(e.Kind)+"\x00"+e.Path] = true
	}
	return s, nil
}

func (c *comparer) look(e artifact.Entry, p string) (state, error) {
	d, name, err := c.parent(p)
	if errors.Is(err, fs.ErrNotExist) {
		return isNew, nil
	}
	if errors.Is(err, unix.ENOTDIR) {
		return isClash, nil
	}
	if err != nil {
		return "", err
	}
	have, st, err := archive.Stat(d, name, e.Path, c.owners.accounts)
	if errors.Is(err, fs.ErrNotExist) {
		return isNew, nil
	}
	if errors.Is(err, archive.ErrSocket) {
		return isChanged, nil
	}
	if err != nil {
		return "", err
	}
	if e.Type == artifact.TypeHardlink {
		return c.lookLink(e, have, st)
	}
	if e.Type == artifact.TypeDir && have.Type == artifact.TypeSymlink {
		if to, err := c.root.Stat(p); err == nil && to.IsDir() {
			return isKept, nil
		}
	}
	if (have.Type == artifact.TypeDir) != (e.Type == artifact.TypeDir) {
		return isClash, nil
	}
	if !c.sameAttributes(e, have) {
		return isChanged, nil
	}
	if e.Type != artifact.TypeFile {
		return isSame, nil
	}
	same, err := sameContent(d, name, e)
	if err != nil || !same {
		return isChanged, err
	}
	return isSame, nil
}

// lookLink compares hard link e with the file have, described by st.
func (c *comparer) lookLink(e, have artifact.Entry, st host.Stat) (state, error) {
	if have.Type == artifact.TypeDir {
		return isClash, nil
	}
	first := e
	first.Path = e.Link
	if c.replaced[string(e.Kind)+"\x00"+e.Link] {
		return isChanged, nil
	}
	to, err := c.root.Lstat(target(first))
	if errors.Is(err, fs.ErrNotExist) {
		return isChanged, nil
	}
	if err != nil {
		return "", err
	}
	if to.Dev != st.Dev { // no file has names on both: a copy stands for the link
		if to.Size == st.Size && to.Mtim == st.Mtim && to.Mode == st.Mode {
			return isSame, nil
		}
		return isChanged, nil
	}
	if to.Inode() != st.Inode() {
		return isChanged, nil
	}
	return isSame, nil
}

// sameAttributes compares everything but content and names.
func (c *comparer) sameAttributes(e, have artifact.Entry) bool {
	if e.Kind == artifact.KindPackages {
		have.Xattrs = e.Xattrs // dnf keeps digests of its own in attributes of the files
	}
	o := c.owners.of(e)
	if !o.AsIs && (have.UID != o.UID || have.GID != o.GID) {
		return false
	}
	if have.Type != e.Type || have.Link != e.Link || have.Size != e.Size ||
		have.Major != e.Major || have.Minor != e.Minor || have.MTime != e.MTime {
		return false
	}
	if e.Type != artifact.TypeSymlink && have.Mode != e.Mode {
		return false
	}
	return sameXattrs(e.Xattrs, have.Xattrs)
}

// selinuxLabel is set by the policy of the host the file is on; one that the
// snapshot does not have is no difference.
const selinuxLabel = "security.selinux"

func sameXattrs(want, have map[string]string) bool {
	if _, ok := want[selinuxLabel]; !ok && have[selinuxLabel] != "" {
		have = maps.Clone(have)
		delete(have, selinuxLabel)
	}
	return maps.Equal(want, have)
}

func sameContent(d *host.Dir, name string, e artifact.Entry) (_ bool, err error) {
	f, err := d.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := artifact.NewDigester()
	if _, err := io.Copy(sum, f); err != nil {
		return false, err
	}
	return sum.Sum() == e.Digest, nil
}
