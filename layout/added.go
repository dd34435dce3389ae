package layout

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/opencontainers/go-digest"
)

// addedFile lists, a digest a line, the blobs that Writers brought and no index leads to
// yet. A Writer that is killed, or whose medium is pulled out, leaves it behind, and
// another one can tell its leftovers from what other tools are about to list.
const addedFile = "added"

// maxAdded is how much of it is read, in bytes.
const maxAdded = 16 << 20

// bring notes, durably, that this Writer is about to give a blob its name: a blob whose
// note is lost would stay for ever.
func (w *Writer) bring(d digest.Digest) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := len(w.added) == 0
	w.added[d] = true
	f, err := w.ops.open(w.store.root, path.Join(tmpDir, addedFile), os.O_WRONLY|os.O_APPEND|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	_, err = w.ops.write(f, []byte(d.String()+"\n"))
	if err == nil {
		err = w.ops.sync(f)
	}
	if err = errors.Join(err, f.Close()); err == nil && first {
		err = w.ops.syncDir(w.store.root, tmpDir)
	}
	return err
}

// loadAdded reads what a Writer before left.
func (w *Writer) loadAdded() error {
	f, err := w.store.root.Open(path.Join(tmpDir, addedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	lines := bufio.NewScanner(io.LimitReader(f, maxAdded))
	for lines.Scan() {
		// A power cut may have left anything in it.
		if d := digest.Digest(lines.Text()); checkDigest(d) == nil {
			w.stale[d] = true
		}
	}
	if err := lines.Err(); !errors.Is(err, bufio.ErrTooLong) { // anything, without an end
		return err
	}
	return nil
}

// removeStale removes what Writers before left, and this one did not come to need.
func (w *Writer) removeStale() error {
	if len(w.stale) == 0 {
		return nil
	}
	idx, err := w.store.readIndex()
	if err != nil {
		return err
	}
	return w.removeUnused(idx, w.stale)
}
