package restore

import (
	"context"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// ownCatalog fetches the catalog from a copy on the host and everything else
// from where the snapshot is. An import reads the catalog several times, and
// once it has begun to change the host it must not depend on a stick any more.
type ownCatalog struct {
	content.Fetcher
	desc ocispec.Descriptor
	file *host.File
}

// copyCatalog copies the catalog of s to a file without a name in dir and
// verifies it.
func copyCatalog(ctx context.Context, f content.Fetcher, s *artifact.Snapshot, dir *host.Dir) (_ *ownCatalog, err error) {
	desc := s.Layers(artifact.KindCatalog)[0]
	blob, err := f.Fetch(ctx, desc)
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	defer func() { _ = blob.Close() }()
	const name = "catalog"
	file, err := dir.CreateFile(name)
	if err != nil {
		return nil, err
	}
	// The fetcher's reader ends with an error if size or digest are wrong.
	_, err = io.Copy(io.NewOffsetWriter(file, 0), blob)
	if err := errors.Join(err, dir.Remove(name)); err != nil {
		return nil, errors.Join(fmt.Errorf("catalog: %w", err), file.Close())
	}
	return &ownCatalog{Fetcher: f, desc: desc, file: file}, nil
}

func (c *ownCatalog) close() error { return c.file.Close() }

// Fetch implements content.Fetcher.
func (c *ownCatalog) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if desc.Digest != c.desc.Digest {
		return c.Fetcher.Fetch(ctx, desc)
	}
	return io.NopCloser(io.NewSectionReader(c.file, 0, desc.Size)), nil
}
