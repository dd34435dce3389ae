package layers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/hosttest"
	"github.com/xcrate/xcrate/internal/stack"
)

// store is a sink in memory that can be read again.
type store struct {
	mu    sync.Mutex
	blobs map[digest.Digest][]byte
}

func newStore() *store { return &store{blobs: map[digest.Digest][]byte{}} }

func (s *store) PutBlobLike(_ context.Context, mediaType string, _ ocispec.Descriptor, write func(io.Writer) error) (ocispec.Descriptor, error) {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := content.NewDescriptorFromBytes(mediaType, b.Bytes())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[desc.Digest] = b.Bytes()
	return desc, nil
}

func (s *store) Has(desc ocispec.Descriptor) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.blobs[desc.Digest])) == desc.Size && desc.Size > 0
}

func (s *store) Push(ctx context.Context, desc ocispec.Descriptor, r io.Reader) error {
	got, err := s.PutBlobLike(ctx, desc.MediaType, ocispec.Descriptor{}, func(w io.Writer) error { _, err := io.Copy(w, r); return err })
	if err == nil && got.Digest != desc.Digest {
		err = fmt.Errorf("pushed %s as %s", got.Digest, desc.Digest)
	}
	return err
}

func (s *store) Fetch(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[desc.Digest]
	if !ok {
		return nil, errors.New("missing")
	}
	return &verifying{content.NewVerifyReader(bytes.NewReader(b), desc)}, nil
}

// verifying fails at the end of a blob that is not what it should be.
type verifying struct{ *content.VerifyReader }

func (v *verifying) Read(p []byte) (int, error) {
	n, err := v.VerifyReader.Read(p)
	if errors.Is(err, io.EOF) {
		if verr := v.Verify(); verr != nil {
			return n, verr
		}
	}
	return n, err
}

func (v *verifying) Close() error { return nil }

// snapshot packs what was captured, and verifies it.
func (s *store) snapshot(t *testing.T, c *Captured) *artifact.Snapshot {
	t.Helper()
	desc, err := artifact.Pack(t.Context(), s, c.Config, c.Layers)
	check(t, err)
	snap, err := artifact.Load(t.Context(), s, desc)
	check(t, err)
	report, err := artifact.Verify(t.Context(), s, snap)
	check(t, err)
	for _, p := range report.Problems {
		t.Error(p)
	}
	return snap
}

// entries returns all records of a snapshot by kind and path.
func (s *store) entries(t *testing.T, snap *artifact.Snapshot) map[string]artifact.Entry {
	t.Helper()
	all := map[string]artifact.Entry{}
	check(t, snap.Catalog(t.Context(), s, func(e artifact.Entry) error {
		all[fmt.Sprintf("%s %s#%d", e.Kind, e.Path, e.Piece.Number)] = e
		return nil
	}))
	return all
}

// node makes a small management node and opens it.
func node(t *testing.T) *host.Root {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mn")
	check(t, hosttest.SampleMN(dir, hosttest.SampleOptions{Nodes: 3, SingleOwner: os.Geteuid() != 0}))
	root, err := host.OpenRoot(dir)
	check(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// opts captures trees of root two minutes from now, when the times of files that
// were just made can be believed.
func opts(t *testing.T, root *host.Root) Options {
	t.Helper()
	return Options{
		Root: root, Stack: stack.XCAT(), NoPackages: true, Runner: host.Exec{}, TempDir: t.TempDir(), Tool: "test",
		Now: time.Now().Add(2 * time.Minute).Truncate(time.Hour * 24).Add(24 * time.Hour), Settle: time.Minute,
	}
}

func capture1(t *testing.T, s *store, o Options) *Captured {
	t.Helper()
	c, err := Capture(t.Context(), s, o)
	check(t, err)
	return c
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
