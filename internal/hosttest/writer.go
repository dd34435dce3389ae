package hosttest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// writer makes entries below a root. Its first error sticks and turns every
// later call into a no-op, so that the long lists of entries stay readable;
// finish returns it.
type writer struct {
	root   string
	single bool // everything belongs to who runs it, nothing needs privilege
	ids    accounts
	dirs   map[string]time.Time // directories, whose mtime is set when all else is done
	fixed  map[string]time.Time // mtimes that are not derived from the path
	buf    []byte               // what stream copies through
	err    error
}

func newWriter(root string, ids accounts, single bool) *writer {
	return &writer{root: root, single: single, ids: ids, dirs: map[string]time.Time{}, fixed: map[string]time.Time{}, buf: make([]byte, 256<<10)}
}

// buildTime is when the sample's packages were built. It dates what they own;
// everything else is younger.
func buildTime() time.Time { return time.Unix(1731493423, 0).UTC() } // 2024-11-13 10:23:43

// mtime gives every path a time of its own, fixed, in the first half of 2025,
// with nanoseconds, as a machine that was worked on has them.
func (w *writer) mtime(p string) time.Time {
	if t, ok := w.fixed[p]; ok {
		return t
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(p)) // a hash.Hash never fails
	sum := h.Sum64()
	return time.Unix(1735689600+int64(sum%15_000_000), int64(sum>>20%1_000_000_000))
}

func (w *writer) path(p string) string { return filepath.Join(w.root, p) }

func (w *writer) fail(p string, err error) {
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("sample %q: %w", p, err)
	}
}

// parents makes the missing directories above p.
func (w *writer) parents(p string) {
	dir := path.Dir(p)
	if dir == "." || w.dirs[dir] != (time.Time{}) {
		return
	}
	w.dir(dir, 0o755, "root:root")
}

// dir makes directory p, or gives the one that is there mode and owner.
func (w *writer) dir(p string, mode uint32, owner string) {
	p = strings.TrimSuffix(p, "/")
	w.parents(p)
	if w.err != nil {
		return
	}
	if err := os.Mkdir(w.path(p), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		w.fail(p, err)
	}
	w.dirs[p] = w.mtime(p)
	if w.single {
		mode |= 0o700 // who is not root could neither fill nor remove it
	}
	w.own(p, mode, owner)
}

// file makes file p with content body.
func (w *writer) file(p string, mode uint32, owner string, body []byte) {
	w.parents(p)
	if w.err != nil {
		return
	}
	w.fail(p, os.WriteFile(w.path(p), body, 0o600))
	w.own(p, mode, owner)
	w.touch(p)
}

func (w *writer) symlink(p, target string) {
	w.parents(p)
	if w.err != nil {
		return
	}
	w.fail(p, os.Symlink(target, w.path(p)))
	w.chown(p, "root:root")
	w.touch(p)
}

// hardlink makes p another name of the file old.
func (w *writer) hardlink(p, old string) {
	w.parents(p)
	if w.err == nil {
		w.fail(p, os.Link(w.path(old), w.path(p)))
	}
}

// node makes a fifo, a socket or, where that is allowed, a device node of root's.
// kind is one of the S_IF bits.
func (w *writer) node(p string, kind, mode, major, minor uint32) {
	if w.single && (kind == unix.S_IFCHR || kind == unix.S_IFBLK) {
		return
	}
	w.parents(p)
	if w.err != nil {
		return
	}
	w.fail(p, unix.Mknod(w.path(p), kind|0o600, int(unix.Mkdev(major, minor))))
	w.own(p, mode, "root:root")
	w.touch(p)
}

// sparse makes a file of size bytes that is a hole but for the data at the
// offsets given.
func (w *writer) sparse(p string, mode uint32, owner string, size int64, data map[int64]string) {
	w.file(p, mode, owner, nil)
	if w.err != nil {
		return
	}
	f, err := os.OpenFile(w.path(p), os.O_WRONLY, 0)
	if err != nil {
		w.fail(p, err)
		return
	}
	for off, s := range data {
		_, err := f.WriteAt([]byte(s), off)
		w.fail(p, err)
	}
	w.fail(p, f.Truncate(size))
	w.fail(p, f.Close())
	w.touch(p)
}

// xattr sets an extended attribute. Names outside user.* need root. A
// filesystem that has none gets none: the sample is then poorer, not wrong.
func (w *writer) xattr(p, name, value string) {
	if w.err != nil || w.single && !strings.HasPrefix(name, "user.") {
		return
	}
	if err := unix.Lsetxattr(w.path(p), name, []byte(value), 0); !errors.Is(err, unix.ENOTSUP) {
		w.fail(p, err)
	}
}

// own sets owner and mode, in this order: chown clears setuid bits.
func (w *writer) own(p string, mode uint32, owner string) {
	w.chown(p, owner)
	if w.single && mode == 0 {
		mode = 0o400 // who is not root could not read it back
	}
	if w.err == nil {
		w.fail(p, unix.Fchmodat(unix.AT_FDCWD, w.path(p), mode, 0))
	}
}

func (w *writer) chown(p, owner string) {
	if w.err != nil || w.single {
		return
	}
	uid, gid, err := w.ids.owner(owner)
	w.fail(p, err)
	if err == nil {
		w.fail(p, os.Lchown(w.path(p), uid, gid))
	}
}

func (w *writer) touch(p string) {
	if w.err == nil {
		w.fail(p, setTime(w.path(p), w.mtime(p)))
	}
}

func setTime(p string, t time.Time) error {
	ts := unix.NsecToTimespec(t.UnixNano())
	return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

// finish sets the directories' times, the deepest first, and returns the first
// error of all.
func (w *writer) finish() error {
	if w.err != nil {
		return w.err
	}
	w.dirs["."] = w.mtime(".")
	dirs := make([]string, 0, len(w.dirs))
	for d := range w.dirs {
		dirs = append(dirs, d)
	}
	slices.SortFunc(dirs, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	for _, d := range dirs {
		if d != "." {
			w.fail(d, setTime(w.path(d), w.dirs[d]))
		}
	}
	w.own(".", 0o755, "root:root")
	w.fail(".", setTime(w.root, w.dirs["."]))
	return w.err
}
