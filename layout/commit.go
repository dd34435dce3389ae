package layout

import (
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Commit makes manifest, with the platform, artifactType and annotations it
// has, an entry of index.json under each of tags, in one durable step. A tag
// that another manifest has moves; that manifest stays listed, if need be
// without a tag. All else in index.json stays as it is.
//
// The manifest must be an OCI image manifest, and every blob it names must be
// there with the right size: such errors wrap ErrMissing or ErrCorrupt. After an
// error the index is what it was, unless the last step, making it durable,
// failed: then a power cut decides between the two, both sound.
func (w *Writer) Commit(ctx context.Context, manifest ocispec.Descriptor, tags ...string) error {
	return w.CommitWith(ctx, nil, manifest, tags...)
}

// CommitWith is Commit for a manifest with its referrers, which become entries without a
// tag in the same step: whoever sees the one sees the others.
func (w *Writer) CommitWith(ctx context.Context, referrers []ocispec.Descriptor, manifest ocispec.Descriptor, tags ...string) error {
	w.mu.Lock()
	closed := w.closed
	w.mu.Unlock()
	if closed {
		return fmt.Errorf("layout %s: %w", w.store.dir, ErrClosed)
	}
	for _, tag := range tags {
		if err := CheckTag(tag); err != nil {
			return err
		}
	}
	blobs, err := w.complete(ctx, manifest)
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", manifest.Digest, err)
	}
	for _, r := range referrers {
		more, err := w.complete(ctx, r)
		if err != nil {
			return fmt.Errorf("referrer %s: %w", r.Digest, err)
		}
		blobs = append(blobs, more...)
	}
	// Read again: tools that know no lock may have changed it meanwhile.
	idx, err := w.store.readIndex()
	if err != nil {
		return err
	}
	err = idx.set(manifest, tags)
	for _, r := range referrers {
		err = errors.Join(err, idx.set(r, nil))
	}
	if err != nil {
		return fmt.Errorf("layout %s: %s: %w", w.store.dir, ocispec.ImageIndexFile, err)
	}
	if err := w.writeIndex(idx); err != nil {
		return fmt.Errorf("layout %s: %w", w.store.dir, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.committed = true
	for _, d := range blobs {
		delete(w.added, d.Digest)
	}
	return nil
}

// complete checks that the manifest and all it names are there, and lists them.
func (w *Writer) complete(ctx context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	if desc.MediaType != ocispec.MediaTypeImageManifest {
		return nil, fmt.Errorf("media type %q: not an OCI image manifest", desc.MediaType)
	}
	m, err := w.store.manifest(ctx, desc)
	if err != nil {
		return nil, err
	}
	if m.SchemaVersion != 2 {
		return nil, fmt.Errorf("manifest: schemaVersion %d, not 2", m.SchemaVersion)
	}
	for _, d := range parts(m) {
		if err := w.store.statBlob(d); err != nil {
			return nil, err
		}
	}
	return append(parts(m), desc), nil
}

// parts lists the blobs that m is made of.
func parts(m ocispec.Manifest) []ocispec.Descriptor {
	return append([]ocispec.Descriptor{m.Config}, m.Layers...)
}

func (w *Writer) writeIndex(idx *index) error {
	b, err := idx.marshal()
	if err == nil {
		err = w.replace(ocispec.ImageIndexFile, b)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", ocispec.ImageIndexFile, err)
	}
	return nil
}
