package layout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	blobsDir = "blobs/sha256"
	// maxJSON bounds index.json and every manifest. Registries and other
	// clients take no manifest above 4 MiB either.
	maxJSON = 4 << 20
	// maxLayoutFile bounds oci-layout, which needs 30 bytes.
	maxLayoutFile = 4 << 10
)

// store is an open layout: a directory, or an image of one. All names are looked
// up below it: a symlink that leads out of it is an error.
type store struct {
	dir  string   // as it was given, for messages
	root *os.Root // nil for an image
	tree fileTree // where its files are read
}

// openStore opens directory dir, whatever is in it.
func openStore(dir string) (*store, error) {
	// Stat first: opening a FIFO would wait for its other end.
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("layout %s: %w", dir, cause(err))
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("layout %s: %w", dir, syscall.ENOTDIR)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("layout %s: %w", dir, cause(err))
	}
	return &store{dir: dir, root: root, tree: dirTree{root}}, nil
}

// close releases what openStore or openImage opened.
func (s *store) close() error { return s.tree.Close() }

// cause strips the operation and path off err where the message has them.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// at names the layout in err, unless err does: os.Root speaks of names below it,
// open files of whole paths.
func (s *store) at(err error) error {
	if strings.Contains(err.Error(), s.dir) {
		return err
	}
	return fmt.Errorf("layout %s: %w", s.dir, err)
}

// open opens regular file name for reading. Anything else is an error, so that
// a FIFO does not block it and a symlink is not followed.
func (s *store) open(name string) (file, error) {
	if err := s.checkRegular(name); err != nil {
		return nil, err
	}
	f, err := s.tree.open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(s.dir, name), cause(err))
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		_ = f.Close() // opened for reading: nothing is lost
		return nil, fmt.Errorf("%s: %w", filepath.Join(s.dir, name), cause(err))
	}
	return f, nil
}

var errNotRegular = errors.New("not a regular file")

func (s *store) checkRegular(name string) error {
	info, err := s.tree.lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(s.dir, name), cause(err))
	}
	return nil
}

// read returns the content of file name, at most limit bytes.
func (s *store) read(name string, limit int64) ([]byte, error) {
	f, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(s.dir, name), cause(err))
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", filepath.Join(s.dir, name), ErrIndex, limit)
	}
	return b, nil
}

// checkVersion reads oci-layout (image-spec "image-layout.md", oci-layout file).
func (s *store) checkVersion() error {
	b, err := s.read(ocispec.ImageLayoutFile, maxLayoutFile)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("layout %s: %w: no file %s", s.dir, ErrNoLayout, ocispec.ImageLayoutFile)
	}
	if err != nil {
		return fmt.Errorf("layout: %w", err)
	}
	if err := parseVersion(b); err != nil {
		return fmt.Errorf("layout %s: %w", s.dir, err)
	}
	return nil
}

func parseVersion(b []byte) error {
	var l ocispec.ImageLayout
	if err := json.Unmarshal(b, &l); err != nil {
		return fmt.Errorf("%s: %w: %w", ocispec.ImageLayoutFile, ErrIndex, err)
	}
	if l.Version != ocispec.ImageLayoutVersion {
		return fmt.Errorf("%s: %w %q, this program reads %q",
			ocispec.ImageLayoutFile, ErrVersion, l.Version, ocispec.ImageLayoutVersion)
	}
	return nil
}

// readIndex reads index.json as it is now.
func (s *store) readIndex() (*index, error) {
	b, err := s.read(ocispec.ImageIndexFile, maxJSON)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("layout %s: %s: %w: no such file", s.dir, ocispec.ImageIndexFile, ErrIndex)
	}
	if err != nil {
		return nil, fmt.Errorf("layout: %w", err)
	}
	idx, err := parseIndex(b)
	if err != nil {
		return nil, fmt.Errorf("layout %s: %s: %w: %w", s.dir, ocispec.ImageIndexFile, ErrIndex, err)
	}
	return idx, nil
}

// blobName is where the blob of digest d lies. d must have passed checkDigest.
func blobName(d digest.Digest) string { return path.Join(blobsDir, d.Encoded()) }

// fetch opens the blob of desc for a verifying read.
func (s *store) fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	f, err := s.openBlob(ctx, desc)
	if err != nil {
		return nil, err
	}
	return newBlobReader(f, desc), nil
}

// fetchFrom opens the blob of desc at offset, for whoever verifies it himself.
func (s *store) fetchFrom(ctx context.Context, desc ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	f, err := s.openBlob(ctx, desc)
	if err != nil {
		return nil, err
	}
	rest := io.NewSectionReader(f, offset, max(desc.Size-offset, 0))
	return struct {
		io.Reader
		io.Closer
	}{rest, f}, nil
}

func (s *store) openBlob(ctx context.Context, desc ocispec.Descriptor) (file, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := checkDigest(desc.Digest); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	if desc.Size < 0 {
		return nil, fmt.Errorf("blob %s: size %d", desc.Digest, desc.Size)
	}
	f, err := s.open(blobName(desc.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.missing(desc.Digest)
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", desc.Digest, err)
	}
	return f, nil
}

func (s *store) missing(d digest.Digest) error {
	return &missingError{digest: d, path: filepath.Join(s.dir, blobName(d))}
}

// statBlob reports whether the blob of desc is there with the size desc says.
func (s *store) statBlob(desc ocispec.Descriptor) error {
	if err := checkDigest(desc.Digest); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	info, err := s.tree.lstat(blobName(desc.Digest))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.missing(desc.Digest)
	case err != nil:
		return fmt.Errorf("blob %s: %w", desc.Digest, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("blob %s: %w", desc.Digest, errNotRegular)
	case info.Size() != desc.Size:
		return fmt.Errorf("blob %s: %w: %d bytes, its descriptor says %d", desc.Digest, ErrCorrupt, info.Size(), desc.Size)
	}
	return nil
}

// manifest reads and verifies the image manifest of desc.
func (s *store) manifest(ctx context.Context, desc ocispec.Descriptor) (ocispec.Manifest, error) {
	var m ocispec.Manifest
	if desc.Size > maxJSON {
		return m, fmt.Errorf("manifest %s: %d bytes, at most %d", desc.Digest, desc.Size, maxJSON)
	}
	r, err := s.fetch(ctx, desc)
	if err != nil {
		return m, fmt.Errorf("manifest: %w", err)
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	if err != nil {
		return m, fmt.Errorf("manifest: %w", err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	return m, nil
}
