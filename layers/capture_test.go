package layers_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/hosttest"
	"github.com/xcrate/xcrate/internal/stack"
	"github.com/xcrate/xcrate/layers"
)

// sink keeps digests and sizes, and fails at blob number failAt.
type sink struct {
	mu     sync.Mutex
	blobs  int
	failAt int
}

var errFull = errors.New("full")

func (s *sink) PutBlobLike(_ context.Context, mediaType string, _ ocispec.Descriptor, write func(io.Writer) error) (ocispec.Descriptor, error) {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return ocispec.Descriptor{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs++; s.blobs == s.failAt {
		return ocispec.Descriptor{}, errFull
	}
	return content.NewDescriptorFromBytes(mediaType, b.Bytes()), nil
}

func (s *sink) Has(ocispec.Descriptor) bool { return false }

func (s *sink) Push(context.Context, ocispec.Descriptor, io.Reader) error { return errFull }

func sampleRoot(t *testing.T, o hosttest.SampleOptions) *host.Root {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mn")
	o.SingleOwner = os.Geteuid() != 0
	if err := hosttest.SampleMN(dir, o); err != nil {
		t.Fatal(err)
	}
	root, err := host.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func options(t *testing.T, root *host.Root) layers.Options {
	t.Helper()
	return layers.Options{
		Root: root, Stack: stack.XCAT(), Runner: host.Exec{}, TempDir: t.TempDir(), Tool: "test", Now: time.Unix(1.7e9, 0),
	}
}

// TestWorkers captures one tree with one worker and with eight: config and
// every digest must be the same.
func TestWorkers(t *testing.T) {
	root := sampleRoot(t, hosttest.SampleOptions{Nodes: 20, InstallFiles: 1000, InstallBytes: 220 << 20})
	o := options(t, root)
	o.Workers = 1
	one, err := layers.Capture(t.Context(), &sink{}, o)
	if err != nil {
		t.Fatal(err)
	}
	o.Workers = 8
	eight, err := layers.Capture(t.Context(), &sink{}, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(one.Layers) < 9 {
		t.Errorf("only %d layers: nothing was written side by side", len(one.Layers))
	}
	if !reflect.DeepEqual(one, eight) {
		t.Errorf("eight workers wrote other layers than one:\n%v\n%v", one, eight)
	}
}

// TestSinkFails lets the sink fail at each blob: the error comes back, and no
// worker goes on for ever.
func TestSinkFails(t *testing.T) {
	root := sampleRoot(t, hosttest.SampleOptions{Nodes: 5})
	for n := 1; ; n++ {
		_, err := layers.Capture(t.Context(), &sink{failAt: n}, options(t, root))
		if err == nil {
			if n < 7 {
				t.Errorf("only %d blobs", n)
			}
			return
		}
		if !errors.Is(err, errFull) {
			t.Errorf("blob %d: %v", n, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	root := sampleRoot(t, hosttest.SampleOptions{Nodes: 5})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := layers.Capture(ctx, &sink{}, options(t, root)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestBrokenTable captures a database of which one table cannot be read: the
// capture fails and names it.
func TestBrokenTable(t *testing.T) {
	root := sampleRoot(t, hosttest.SampleOptions{Nodes: 5})
	if err := os.WriteFile(root.Path("/etc/xcat/nodelist.sqlite"), []byte("SQLite format 3\x00 and then nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := layers.Capture(t.Context(), &sink{}, options(t, root))
	if err == nil || !strings.Contains(err.Error(), "nodelist") {
		t.Errorf("%v", err)
	}
}
