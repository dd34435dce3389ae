package layout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Close ends writing and gives the layout free for others. Blobs that no
// Commit spoke of stay, for the next snapshot to find, and so does what Receive
// brought in part, until a Commit goes well; Abort removes them. Both may be called
// again, after either, and then do nothing.
func (w *Writer) Close() error {
	if !w.stop() {
		return nil
	}
	var err error
	if w.committed {
		err = w.removeStale()
	}
	return w.wrap(errors.Join(err, w.removeTemp(!w.committed || err != nil), w.release()))
}

// Abort ends writing as Close does, and first removes every blob this Writer
// brought that index.json does not lead to. A layout that this Writer made and
// that holds no snapshot is removed too, and so is the directory if Create made
// it. After a Commit that went well, Abort and Close do the same.
func (w *Writer) Abort() error {
	if !w.stop() {
		return nil
	}
	if w.lock == nil { // Create could not lock it: all there is, is another's
		return w.wrap(errors.Join(w.release(), w.removeDir()))
	}
	// What lists the blobs goes after them, for who is killed in between.
	idx, err := w.currentIndex()
	if err == nil {
		maps.Copy(w.added, w.stale)
		err = w.removeUnused(idx, w.added)
	}
	err = errors.Join(err, w.removeTemp(false))
	if idx != nil {
		err = errors.Join(err, w.removeMade(idx))
	}
	return w.wrap(errors.Join(err, w.release()))
}

func (w *Writer) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("layout %s: clean-up: %w", w.store.dir, err)
	}
	return nil
}

// stop marks the Writer as closed and reports whether it was open.
func (w *Writer) stop() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.closed
	w.closed = true
	return !was
}

// release closes the lock last: until then the layout is this Writer's.
func (w *Writer) release() error {
	err := w.store.root.Close()
	if w.lock != nil {
		err = errors.Join(err, w.lock.Close())
	}
	return err
}

// currentIndex is index.json; an empty index where Create did not come to
// writing one, or where nothing depends on what it says.
func (w *Writer) currentIndex() (*index, error) {
	made := w.made[ocispec.ImageIndexFile]
	if !made && len(w.added) == 0 && len(w.stale) == 0 {
		return newIndex(), nil
	}
	if _, err := w.store.root.Lstat(ocispec.ImageIndexFile); made && errors.Is(err, fs.ErrNotExist) {
		return newIndex(), nil
	}
	return w.store.readIndex()
}

// removeUnused removes those of blobs that idx does not lead to. Tools that know no lock
// may have written to the index meanwhile and rely on them: those stay.
func (w *Writer) removeUnused(idx *index, blobs map[digest.Digest]bool) error {
	used := map[digest.Digest]bool{}
	for _, e := range idx.entries {
		used[e.desc.Digest] = true
		if e.err != nil || e.desc.MediaType != ocispec.MediaTypeImageManifest {
			continue
		}
		// What this Writer committed is not in added any more. Another
		// manifest that cannot be read was there before, without these blobs.
		m, err := w.store.manifest(context.Background(), e.desc)
		if err != nil {
			continue
		}
		for _, d := range parts(m) {
			used[d.Digest] = true
		}
	}
	var failed []error
	for d := range blobs {
		if used[d] {
			continue
		}
		if err := w.store.root.Remove(blobName(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// removeTemp removes the directory of temporary files with what is in it, unless what
// the next Writer goes on with is to be kept.
func (w *Writer) removeTemp(keepParts bool) error {
	names, err := w.store.names(tmpDir)
	if err != nil {
		return err
	}
	if keepParts && slices.ContainsFunc(names, func(name string) bool { return partPattern.MatchString(name) || name == addedFile }) {
		return w.sweep()
	}
	for _, name := range append(names, "") {
		err := w.store.root.Remove(filepath.Join(tmpDir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// removeMade takes back what initialise made, unless idx lists something. The
// locked file goes last: killed in between, the next Writer finds a layout that
// is to become one.
func (w *Writer) removeMade(idx *index) error {
	if len(idx.entries) > 0 {
		return nil
	}
	for _, name := range []string{blobsDir, ocispec.ImageBlobsDir, ocispec.ImageIndexFile, ocispec.ImageLayoutFile} {
		if !w.made[name] {
			continue
		}
		err := w.store.root.Remove(name)
		if errors.Is(err, syscall.ENOTEMPTY) {
			return nil // another tool has put a blob there
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return w.removeDir()
}

// removeDir removes the directory if Create made it and nobody put anything in.
func (w *Writer) removeDir() error {
	if !w.madeDir {
		return nil
	}
	err := os.Remove(filepath.Clean(w.store.dir))
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
