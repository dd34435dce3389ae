package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is a host's filesystem root. Paths given to its methods are the host's
// own, with or without the leading slash. It is safe for concurrent use.
type Root struct {
	dir string
	fd  int
}

// OpenRoot opens directory dir of this machine as a host's root.
func OpenRoot(dir string) (*Root, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", dir, err)
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return nil, fmt.Errorf("root %s: %w", dir, errors.Unwrap(err))
	}
	fd, err := unix.Open(abs, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", dir, err)
	}
	return &Root{dir: abs, fd: fd}, nil
}

// Close releases the root.
func (r *Root) Close() error { return unix.Close(r.fd) }

// IsLive reports whether the root is that of the running machine.
func (r *Root) IsLive() bool { return r.dir == "/" }

// Dir returns the root's absolute path on this machine.
func (r *Root) Dir() string { return r.dir }

// Path returns p as a path of this machine, for messages and for programs. The
// symlinks in it are not resolved: see Resolve.
func (r *Root) Path(p string) string { return filepath.Join(r.dir, "/"+p) }

// maxLinks is how many symlinks one path may lead through, as in Linux.
const maxLinks = 40

// OpenDir opens directory p, following symlinks as the host would.
func (r *Root) OpenDir(p string) (*Dir, error) {
	d, name, err := r.walk(p, true)
	if err != nil {
		return nil, err
	}
	if name != "" {
		_ = d.Close()
		return nil, &fs.PathError{Op: "open", Path: p, Err: unix.ENOTDIR}
	}
	return d, nil
}

// OpenParent opens the directory that holds the last component of p, following
// symlinks up to it but not in it, and returns that component. The name need
// not exist. The root has no parent: its name is "".
func (r *Root) OpenParent(p string) (*Dir, string, error) {
	clean := path.Clean("/" + p)
	if clean == "/" {
		d, err := r.OpenDir("/")
		return d, "", err
	}
	d, err := r.OpenDir(path.Dir(clean))
	return d, path.Base(clean), err
}

// Resolve returns p without symlinks, as a path of the host with a leading
// slash. Components that do not exist are kept as they are.
func (r *Root) Resolve(p string) (string, error) {
	d, name, err := r.walk(p, true)
	var missing *missingError
	if errors.As(err, &missing) {
		return missing.path, nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = d.Close() }()
	return path.Join(d.path, name), nil
}

// missingError says where a walk ended, and what the whole path would be.
type missingError struct {
	path string
}

func (e *missingError) Error() string { return e.path + ": " + unix.ENOENT.Error() }
func (e *missingError) Unwrap() error { return fs.ErrNotExist }

// walk opens the directory p leads to, component by component, never letting
// the kernel follow a link: links are read and resolved below the root here.
// Where p leads to something else than a directory, its directory and name
// are returned. follow says whether a link in the last component is followed.
func (r *Root) walk(p string, follow bool) (d *Dir, name string, err error) {
	cur, err := r.top()
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if d != cur {
			_ = cur.Close()
		}
	}()
	restart := func() error { // ".." and absolute links start over from the root
		next, err := r.top()
		if err == nil {
			_ = cur.Close()
			cur = next
		}
		return err
	}
	todo, links := strings.Split(p, "/"), 0
	for len(todo) > 0 {
		part := todo[0]
		todo = todo[1:]
		if part == "" || part == "." {
			continue
		}
		if part == ".." {
			todo = append(strings.Split(path.Dir(cur.path), "/"), todo...)
			if err := restart(); err != nil {
				return nil, "", err
			}
			continue
		}
		next, oerr := cur.OpenDir(part)
		if oerr == nil {
			_ = cur.Close()
			cur = next
			continue
		}
		rest := strings.Trim(strings.Join(todo, "/"), "/")
		st, err := cur.Lstat(part)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, "", &missingError{path: path.Join(cur.path, part, rest)}
		case err != nil:
			return nil, "", err
		case st.IsSymlink() && (follow || rest != ""):
			if links++; links > maxLinks {
				return nil, "", &fs.PathError{Op: "open", Path: p, Err: unix.ELOOP}
			}
			target, err := cur.Readlink(part)
			if err != nil {
				return nil, "", err
			}
			if strings.HasPrefix(target, "/") {
				if err := restart(); err != nil {
					return nil, "", err
				}
			}
			todo = append(strings.Split(target, "/"), todo...)
		case rest == "" && !st.IsDir():
			return cur, part, nil
		default:
			return nil, "", &fs.PathError{Op: "open", Path: path.Join(cur.path, part), Err: errnoOf(oerr)}
		}
	}
	return cur, "", nil
}

// top opens the root itself as a Dir.
func (r *Root) top() (*Dir, error) {
	fd, err := unix.FcntlInt(uintptr(r.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", r.dir, err)
	}
	return &Dir{fd: fd, path: "/"}, nil
}

func errnoOf(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// Stat returns what p is, following symlinks as the host would.
func (r *Root) Stat(p string) (Stat, error) { return r.stat(p, true) }

// Lstat returns what p is, without following a symlink in its last component.
func (r *Root) Lstat(p string) (Stat, error) { return r.stat(p, false) }

func (r *Root) stat(p string, follow bool) (Stat, error) {
	d, name, err := r.walk(p, follow)
	if err != nil {
		return Stat{}, err
	}
	defer func() { _ = d.Close() }()
	if name == "" {
		return d.Self()
	}
	return d.Lstat(name)
}

// Readlink returns the target of symlink p as it is written.
func (r *Root) Readlink(p string) (string, error) {
	d, name, err := r.OpenParent(p)
	if err != nil {
		return "", err
	}
	defer func() { _ = d.Close() }()
	return d.Readlink(name)
}

// ReadFile returns the content of regular file p, at most limit bytes: a larger
// file is an error.
func (r *Root) ReadFile(p string, limit int64) (b []byte, err error) {
	d, name, err := r.walk(p, true)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	if name == "" {
		return nil, &fs.PathError{Op: "read", Path: p, Err: unix.EISDIR}
	}
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if b, err = io.ReadAll(io.LimitReader(f, limit+1)); err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, &fs.PathError{Op: "read", Path: p, Err: fmt.Errorf("more than %d bytes", limit)}
	}
	return b, nil
}

// Names returns the names in directory p, sorted.
func (r *Root) Names(p string) ([]string, error) {
	d, err := r.OpenDir(p)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	return d.Names()
}

// Exists reports whether p leads to something, following symlinks.
func (r *Root) Exists(p string) bool {
	_, err := r.Stat(p)
	return err == nil
}

// MkdirAll makes directory p and its missing parents with mode perm.
func (r *Root) MkdirAll(p string, perm uint32) error {
	resolved, err := r.Resolve(p)
	if err != nil {
		return err
	}
	cur, err := r.OpenDir("/")
	if err != nil {
		return err
	}
	defer func() { _ = cur.Close() }()
	for part := range strings.SplitSeq(strings.Trim(resolved, "/"), "/") {
		if part == "" {
			continue
		}
		if err := cur.Mkdir(part, perm); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		next, err := cur.OpenDir(part)
		if err != nil {
			return err
		}
		_ = cur.Close()
		cur = next
	}
	return nil
}

// TempDir makes a private directory of this machine, mode 0700, for what must
// not be made on the host itself. remove deletes it with all in it.
func TempDir() (dir string, remove func() error, err error) {
	return TempDirIn("")
}

// MakePrivate makes directory dir of this machine, and those above it, where
// nothing is there: mode 0700.
func MakePrivate(dir string) error { return os.MkdirAll(dir, 0o700) }

// ScratchFile makes a file without a name in directory dir of this machine, for
// what does not fit into memory. It is gone once it is closed.
func ScratchFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "scratch-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
