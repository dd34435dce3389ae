package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// tmpDir holds files without their final names. It is there only while a
// Writer is, or after one was killed.
const tmpDir = ".xcrate-tmp"

// layoutFile is the content of the oci-layout file.
const layoutFile = `{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`

// Options are what a caller of Create may choose.
type Options struct {
	// Stored is called after each PutBlob and Push, from their goroutine; nil
	// for not at all. fresh says that the blob was not there before, or was
	// there damaged: its bytes were written.
	Stored func(desc ocispec.Descriptor, fresh bool)
	// Parents makes the directories above the layout too, if they are not there.
	Parents bool
}

// Writer adds snapshots to a layout. Its Put methods and Push are safe for
// concurrent use; Commit, Abort and Close wait for nobody and come after them.
type Writer struct {
	store *store
	ops   ops
	opt   Options
	lock  *os.File // oci-layout, locked with flock(2)

	madeDir bool            // the directory itself
	made    map[string]bool // names in it that make it a layout, if this Writer made them

	next   atomic.Uint64 // number of the next temporary file
	mu     sync.Mutex
	closed bool
	// committed says that a Commit went well: what earlier writers left is of no use
	// any more.
	committed bool
	added     map[digest.Digest]bool // blobs this Writer brought, not yet committed
	stale     map[digest.Digest]bool // blobs that Writers before brought and did not commit
}

// Create opens the layout in dir for writing and makes it if there is none: the
// directory too, but not its parent. Other files in the directory are left
// alone. What it makes only the owner can read.
//
// One Writer at a time has a layout, over all processes: a second Create is an
// error that wraps ErrLocked. Left-over temporary files of a killed Writer are
// removed. After an error the directory is as it was.
func Create(dir string, opt Options) (*Writer, error) { return create(dir, opt, realOps()) }

func create(dir string, opt Options, o ops) (*Writer, error) {
	if opt.Parents {
		if err := os.MkdirAll(filepath.Dir(filepath.Clean(dir)), dirMode); err != nil {
			return nil, fmt.Errorf("layout %s: %w", dir, err)
		}
	}
	made, err := o.makeDir(dir)
	if err != nil {
		return nil, err
	}
	s, err := openStore(dir)
	if err != nil {
		if made {
			err = errors.Join(err, os.Remove(filepath.Clean(dir)))
		}
		return nil, err
	}
	w := &Writer{
		store: s, ops: o, opt: opt,
		madeDir: made, made: map[string]bool{}, added: map[digest.Digest]bool{}, stale: map[digest.Digest]bool{},
	}
	if err := w.setUp(); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

// makeDir makes dir if nothing is there.
func (o ops) makeDir(dir string) (made bool, err error) {
	clean := filepath.Clean(dir)
	switch err := os.Mkdir(clean, dirMode); {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("layout %s: directory %s: %w", dir, filepath.Dir(clean), cause(err))
	case err != nil:
		return false, fmt.Errorf("layout %s: %w", dir, err)
	}
	d, err := os.Open(clean)
	if err == nil {
		err = errors.Join(o.setMode(d, dirMode), d.Close())
	}
	if err != nil {
		return false, errors.Join(fmt.Errorf("layout %s: %w", dir, err), os.Remove(clean))
	}
	return true, nil
}

func (w *Writer) setUp() error {
	// Looked at first: of what is not ours, nothing may be removed or followed.
	info, err := w.store.root.Lstat(tmpDir)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("layout %s: %s: %w", w.store.dir, tmpDir, syscall.ENOTDIR)
	}
	if err := w.acquire(); err != nil {
		return fmt.Errorf("layout %s: %w", w.store.dir, err)
	}
	unborn, err := w.unborn()
	if err != nil {
		return fmt.Errorf("layout %s: %w", w.store.dir, err)
	}
	if !unborn {
		// A broken index must stop an export now, not after hours at its Commit.
		if _, err := w.store.load(); err != nil {
			return err
		}
		if err := w.notVolume(); err != nil {
			return err
		}
	}
	if err := w.loadAdded(); err != nil {
		return fmt.Errorf("layout %s: %s: %w", w.store.dir, addedFile, err)
	}
	if err := w.initialise(unborn); err != nil {
		return fmt.Errorf("layout %s: %w", w.store.dir, err)
	}
	return nil
}

// notVolume makes sure that the layout is not one volume of several, whose table
// would be wrong with one blob more.
func (w *Writer) notVolume() error {
	table, err := w.store.volumes()
	if err == nil && table != nil {
		err = fmt.Errorf("layout %s: %w: it is %s, and nothing can be added", w.store.dir, ErrVolume, table.name(table.Number))
	}
	return err
}

// acquire opens oci-layout, makes it if there is none, and locks it.
func (w *Writer) acquire() error {
	// What follows is looked at before oci-layout, which every Writer makes
	// first: found here and no oci-layout then, they are not ours.
	var other string
	for _, name := range []string{ocispec.ImageIndexFile, ocispec.ImageBlobsDir} {
		if _, err := w.store.root.Lstat(name); err == nil {
			other = name
		}
	}
	// RDWR, not RDONLY: network filesystems make flock(2) a write lock of
	// fcntl(2), which asks for that.
	flag := os.O_RDWR | syscall.O_NONBLOCK
	err := w.store.checkRegular(ocispec.ImageLayoutFile)
	create := errors.Is(err, fs.ErrNotExist)
	switch {
	case create && other != "":
		return fmt.Errorf("%w: it has %s and no %s", ErrNoLayout, other, ocispec.ImageLayoutFile)
	case create:
		flag |= os.O_CREATE | os.O_EXCL
	case err != nil:
		return err
	}
	f, err := w.ops.open(w.store.root, ocispec.ImageLayoutFile, flag, fileMode)
	if create && errors.Is(err, fs.ErrExist) {
		return ErrLocked // another Writer makes this layout right now
	}
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrLocked
		}
		err = fmt.Errorf("lock on %s: %w", ocispec.ImageLayoutFile, err)
		if create {
			err = errors.Join(err, w.store.root.Remove(ocispec.ImageLayoutFile))
		}
		return err
	}
	w.lock = f
	w.made[ocispec.ImageLayoutFile] = create
	return w.checkLock()
}

// checkLock makes sure that the locked file is still the layout's: a Writer
// that aborted may have removed it between our open and our lock.
func (w *Writer) checkLock() error {
	mine, err := w.lock.Stat()
	if err != nil {
		return err
	}
	now, err := w.store.root.Lstat(ocispec.ImageLayoutFile)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(mine, now) {
		err = ErrLocked
	}
	if err != nil {
		err = errors.Join(err, w.lock.Close())
		w.lock = nil
	}
	return err
}

// unborn reports whether the directory is to become a layout: it is new, or its
// Writer was killed over making it. Then oci-layout is there, be it in part, and
// there is no index.json and no blob. Blobs without an index are something else: the
// index was lost, and an empty one would hide it.
func (w *Writer) unborn() (bool, error) {
	_, err := w.store.root.Lstat(ocispec.ImageIndexFile)
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	names, err := w.store.names(blobsDir)
	if err != nil || len(names) > 0 {
		return false, err
	}
	b, err := w.store.read(ocispec.ImageLayoutFile, maxLayoutFile)
	if err != nil {
		return false, err
	}
	if len(b) < len(layoutFile) && strings.HasPrefix(layoutFile, string(b)) {
		w.made[ocispec.ImageLayoutFile] = true
		return true, nil
	}
	return true, parseVersion(b)
}

// initialise makes what is not there yet, oci-layout first and index.json last,
// and removes what a killed Writer left.
func (w *Writer) initialise(unborn bool) error {
	if w.made[ocispec.ImageLayoutFile] {
		if err := w.finish(w.lock, []byte(layoutFile)); err != nil {
			return err
		}
	}
	for _, name := range []string{ocispec.ImageBlobsDir, blobsDir, tmpDir} {
		if err := w.mkdir(name); err != nil {
			return err
		}
	}
	if err := w.sweep(); err != nil {
		return err
	}
	if !unborn {
		return nil
	}
	if err := w.ops.syncDir(w.store.root, ocispec.ImageBlobsDir); err != nil {
		return err
	}
	w.made[ocispec.ImageIndexFile] = true
	if err := w.writeIndex(newIndex()); err != nil {
		return err
	}
	return w.syncParent()
}

// syncParent makes the name of a directory that was made durable.
func (w *Writer) syncParent() (err error) {
	if !w.madeDir {
		return nil
	}
	parent, err := os.OpenRoot(filepath.Dir(filepath.Clean(w.store.dir)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, parent.Close()) }()
	return w.ops.syncDir(parent, ".")
}

// mkdir makes directory name unless it is there.
func (w *Writer) mkdir(name string) error {
	err := w.ops.mkdir(w.store.root, name, dirMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	w.made[name] = true
	d, err := w.store.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(w.ops.setMode(d, dirMode), d.Close())
}

// sweep removes the temporary files of a killed Writer, but not what Receive goes on
// with.
func (w *Writer) sweep() error {
	names, err := w.store.names(tmpDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if partPattern.MatchString(name) || name == addedFile {
			continue
		}
		if err := w.store.root.Remove(filepath.Join(tmpDir, name)); err != nil {
			return err
		}
	}
	return nil
}

// names lists directory name; nothing if it does not exist.
func (s *store) names(name string) ([]string, error) {
	d, err := s.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	return d.Readdirnames(-1)
}
