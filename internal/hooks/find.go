package hooks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/host"
)

// found is a file in a directory of hooks.
type found struct {
	name string // pre-import.d/10-x
	path string // what it leads to, without symlinks
	// result is set if it is not to be run.
	result *Result
}

// find returns the hooks of point, in order of name, and files that look as if
// they were meant to be some. No directory: no hooks.
func (s Set) find(point Point) []found {
	dir := path.Join(s.Dir, point.Dir())
	names, err := s.Root.Names(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		_, err = s.trusted(dir)
	}
	if err != nil {
		return []found{{name: point.Dir(), result: refused(point.Dir(), err)}}
	}
	var all []found
	for _, name := range names {
		if leftOver(name) {
			continue
		}
		if f, ok := s.look(point, name); ok {
			all = append(all, f)
		}
	}
	return all
}

func refused(name string, err error) *Result {
	return &Result{Name: name, Status: Unsafe, Message: err.Error()}
}

// look looks at one name. Directories, devices and the like are no hooks, so
// that a link to /dev/null hides one.
func (s Set) look(point Point, name string) (found, bool) {
	f := found{name: path.Join(point.Dir(), name)}
	p := path.Join(s.Dir, f.name)
	st, err := s.Root.Stat(p)
	if err != nil {
		f.result = refused(f.name, err)
		return f, true
	}
	if !st.IsRegular() {
		return f, false
	}
	if st.Perm()&0o111 == 0 {
		f.result = &Result{Name: f.name, Status: Skipped, Message: "not executable"}
		return f, true
	}
	if f.path, err = s.trusted(p); err != nil {
		f.result = refused(f.name, err)
	}
	return f, true
}

// leftOver reports whether name is one that package managers and editors leave
// beside a file, or hidden.
func leftOver(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.Contains(name, ".dpkg-") || strings.Contains(name, ".ucf-") {
		return true
	}
	switch path.Ext(name) {
	case ".rpmsave", ".rpmnew", ".rpmorig", ".bak", ".orig", ".swp", ".disabled":
		return true
	}
	return false
}

// trusted returns p without symlinks if nobody but root, and who runs this, can
// change what is there or put something else there: neither the file, nor its
// directory, nor a directory above. Of the latter, those with the sticky bit may
// be open, as /tmp is: what is in there belongs to its owner.
func (s Set) trusted(p string) (string, error) {
	resolved, err := s.Root.Resolve(p)
	if err != nil {
		return "", err
	}
	for at, depth := resolved, 0; ; at, depth = path.Dir(at), depth+1 {
		st, err := s.Root.Lstat(at)
		if err != nil {
			return "", err
		}
		if err := owned(at, st, depth > 1); err != nil {
			return "", err
		}
		if at == "/" {
			return resolved, nil
		}
	}
}

func owned(p string, st host.Stat, stickyMay bool) error {
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, not to root", p, st.Uid)
	}
	if stickyMay && st.Perm()&unix.S_ISVTX != 0 {
		return nil
	}
	if st.Perm()&0o022 != 0 {
		return fmt.Errorf("%s can be written by group or others (mode %04o)", p, st.Perm())
	}
	return nil
}
