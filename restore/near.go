package restore

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/xcrate/xcrate/internal/host"
)

// near opens the directories of paths. The last one stays open, for most paths
// come after a neighbour.
type near struct {
	root *host.Root
	dir  *host.Dir // nil for none
	at   string
}

// parent opens the directory of p and returns it with p's name in it. It is
// closed by the next call for another directory.
func (n *near) parent(p string) (*host.Dir, string, error) {
	if dir := path.Dir(p); n.dir == nil || n.at != dir {
		d, err := n.root.OpenDir(dir)
		if err != nil {
			return nil, "", err
		}
		n.close()
		n.dir, n.at = d, dir
	}
	return n.dir, path.Base(p), nil
}

// openDirOf opens the directory that holds the attributes of directory p: the one it
// is in, or itself as "." for the root.
func openDirOf(root *host.Root, p string) (*host.Dir, string, error) {
	if p == "/" {
		d, err := root.OpenDir("/")
		return d, ".", err
	}
	return root.OpenParent(p)
}

// close closes the directory. The next path opens its own.
func (n *near) close() {
	if n.dir != nil {
		_ = n.dir.Close() // nothing was written through it
		n.dir = nil
	}
}

// absent remembers the last directory that was not there: nothing below it is.
type absent struct{ dir string }

func (a *absent) holds(dir string) bool {
	return a.dir != "" && (dir == a.dir || strings.HasPrefix(dir, a.dir+"/"))
}

// mountOf finds the filesystem paths lie on. It knows that of the last path's
// directory still, and is right while nothing of the host changes.
type mountOf struct {
	root   *host.Root
	mounts map[string]bool // nil before the first path
	dir    string
	top    string // the top directory of that filesystem
	dev    uint64
}

func (m *mountOf) find(p string) (top string, dev uint64, err error) {
	dir := path.Dir(p)
	if m.dir == dir {
		return m.top, m.dev, nil
	}
	if m.mounts == nil {
		if m.mounts, err = m.root.Mounts(); err != nil {
			return "", 0, err
		}
	}
	top, dev, err = filesystem(m.root, m.mounts, dir)
	if err == nil {
		m.dir, m.top, m.dev = dir, top, dev
	}
	return top, dev, err
}

// filesystem returns the top directory and the device of the filesystem that holds
// directory dir, or would hold it once made. Of one that is mounted in several places
// each is taken for a filesystem of its own: nothing can be renamed from one to
// another. mounts are the paths where something is mounted.
func filesystem(root *host.Root, mounts map[string]bool, dir string) (top string, dev uint64, err error) {
	dir, err = root.Resolve(dir)
	if err != nil {
		return "", 0, err
	}
	var st host.Stat
	for {
		st, err = root.Stat(dir)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == "/" {
			return "", 0, err
		}
		dir = path.Dir(dir)
	}
	for top = dir; top != "/" && !mounts[top]; top = path.Dir(top) {
		above, err := root.Stat(path.Dir(top))
		if err != nil {
			return "", 0, err
		}
		if above.Dev != st.Dev {
			break
		}
	}
	return top, st.Dev, nil
}
