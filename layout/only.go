package layout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Only commits manifest under tags and takes all else out of the layout: other
// entries of the index, then every blob that nothing refers to any more. It is for a
// layout that is a cache, and its conditions and errors are those of Commit.
func (w *Writer) Only(ctx context.Context, manifest ocispec.Descriptor, tags ...string) error {
	blobs, err := w.complete(ctx, manifest)
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", manifest.Digest, err)
	}
	idx := newIndex()
	if err := idx.set(manifest, tags); err != nil {
		return fmt.Errorf("layout %s: index: %w", w.store.dir, err)
	}
	if err := w.writeIndex(idx); err != nil {
		return fmt.Errorf("layout %s: %w", w.store.dir, err)
	}
	w.mu.Lock()
	w.committed = true
	w.mu.Unlock()
	used := map[string]bool{}
	for _, d := range blobs {
		used[d.Digest.Encoded()] = true
	}
	names, err := w.store.names(blobsDir)
	if err != nil {
		return w.store.at(err)
	}
	for _, name := range names {
		d := digest.NewDigestFromEncoded(digest.SHA256, name)
		if used[name] || d.Validate() != nil { // what is no blob is not ours
			continue
		}
		if err := w.store.root.Remove(blobName(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return w.store.at(err)
		}
	}
	return nil
}
