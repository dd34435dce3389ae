package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/internal/hosttest"
	"github.com/xcrate/xcrate/internal/progress"
)

// A real registry is killed in the middle of a push, and again in the middle of a fetch.
// When it is back, both go on.
func TestRegistryIsKilled(t *testing.T) {
	server := hosttest.DockerRegistry(t, hosttest.RegistryOptions{})
	kill := make(chan struct{}, 1)
	back := make(chan struct{})
	restart := func() {
		defer func() { back <- struct{}{} }()
		<-kill
		server.Kill()
		time.Sleep(100 * time.Millisecond)
		if err := server.Start(); err != nil {
			t.Error(err)
		}
	}
	var done atomic.Int64
	r, err := Open(Reference{Host: server.Host, Repository: "mn/c7"}, Options{
		PlainHTTP: true, RetryFor: time.Minute, StallAfter: 5 * time.Second, Parallel: 2, Chunk: 1 << 20,
		Env: func(string) string { return "" }, Now: time.Now, Note: t.Logf, Sessions: memorySessions{},
		Wait: func(_ context.Context, d time.Duration) error { time.Sleep(d / 4); return nil },
		Progress: counting{progress.None(), func(n int64) {
			if before := done.Add(n) - n; before < 20<<20 && before+n >= 20<<20 {
				kill <- struct{}{}
			}
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := newSnapshot(t, 64<<20)
	go restart()
	if _, err := r.Push(t.Context(), s, s.desc, "", []string{"v1"}); err != nil {
		t.Fatal(err)
	}
	<-back
	src, err := r.Fetch(t.Context(), s.layer)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if _, err := io.CopyN(io.Discard, src, 1<<20); err != nil {
		t.Fatal(err)
	}
	go restart()
	kill <- struct{}{}
	time.Sleep(50 * time.Millisecond)
	if n, err := io.Copy(io.Discard, src); err != nil || n != 63<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	<-back
}

// Who sends a large blob needs memory for a few chunks, whatever its size.
func TestPushMemory(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(swallow))
	t.Cleanup(server.Close)
	const size = 256 << 20
	from := &endless{}
	h := sha256.New()
	src, _ := from.FetchFrom(t.Context(), ocispec.Descriptor{}, 0)
	if _, err := io.CopyN(h, src, size); err != nil {
		t.Fatal(err)
	}
	desc := ocispec.Descriptor{Digest: digest.NewDigest(digest.SHA256, h), Size: size}
	r, err := Open(Reference{Host: strings.TrimPrefix(server.URL, "http://"), Repository: "mn/c7"}, Options{
		PlainHTTP: true, Parallel: 1, Chunk: 2 << 20, StallAfter: time.Minute,
		Env: func(string) string { return "" }, Now: time.Now, Note: t.Logf, Progress: progress.None(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var before runtime.MemStats
	runtime.GC() // of other tests
	runtime.ReadMemStats(&before)
	from.peak.Store(0)
	if err := r.upload(t.Context(), from, desc, ""); err != nil {
		t.Fatal(err)
	}
	if peak := from.peak.Load() - before.HeapAlloc; peak > 64<<20 {
		t.Errorf("%d MiB of memory for a blob of %d MiB", peak>>20, size>>20)
	}
}

// swallow is a registry that takes everything and keeps nothing.
func swallow(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Location", "/v2/mn/c7/blobs/uploads/1")
	code := http.StatusAccepted
	if r.Method == http.MethodPut {
		code = http.StatusCreated
	}
	w.WriteHeader(code)
}

// endless is a source of bytes that are not in memory; it looks how much is.
type endless struct{ peak atomic.Uint64 }

func (e *endless) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	return e.FetchFrom(ctx, desc, 0)
}

func (e *endless) FetchFrom(_ context.Context, _ ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	if offset != 0 {
		return nil, errors.New("begun anew")
	}
	return &noise{e, rand.NewChaCha8([32]byte{1})}, nil
}

type noise struct {
	e    *endless
	from *rand.ChaCha8
}

func (n *noise) Read(p []byte) (int, error) {
	var m runtime.MemStats
	if len(p) > 1<<20 {
		runtime.ReadMemStats(&m)
		n.e.peak.Store(max(n.e.peak.Load(), m.HeapAlloc))
	}
	return n.from.Read(p)
}

func (n *noise) Close() error { return nil }

// A descriptor with the right digest and the wrong size is found out before anything is
// sent or believed.
func TestWrongSize(t *testing.T) {
	f := newFake(t)
	s := newSnapshot(t, 1000)
	f.put(s, "v1")
	wrong := s.layer
	wrong.Size++
	c := f.open()
	if _, err := c.has(t.Context(), wrong); !errors.Is(err, content.ErrInvalidDescriptorSize) {
		t.Errorf("asking for it: %v", err)
	}
	if _, err := c.FetchFrom(t.Context(), wrong, 5); !errors.Is(err, content.ErrMismatchedDigest) {
		t.Errorf("fetching it: %v", err)
	}
}

// Proxies come from the environment that was handed in, in either case of letters.
func TestProxy(t *testing.T) {
	f := newFake(t)
	s := newSnapshot(t, 1000)
	f.put(s, "v1")
	asked := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Host != "registry.example:5000" {
			t.Errorf("the proxy is asked for %s", r.URL)
		}
		f.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	for _, env := range []map[string]string{{"HTTP_PROXY": proxy.URL}, {"http_proxy": proxy.URL}, {"HTTP_PROXY": proxy.URL, "NO_PROXY": "registry.example"}} {
		o := f.open().opt
		o.Env = func(name string) string { return env[name] }
		o.RetryFor = 0
		r, err := Open(Reference{Host: "registry.example:5000", Repository: "mn/c7"}, o)
		if err != nil {
			t.Fatal(err)
		}
		before := asked
		_, err = r.Resolve(t.Context(), "v1")
		if direct := env["NO_PROXY"] != ""; direct == (err == nil) || direct == (asked > before) {
			t.Errorf("%v: %v, the proxy was asked %d times", env, err, asked-before)
		}
	}
	if os.Getenv("HTTP_PROXY") != "" {
		t.Log("the environment of the tests has a proxy, which was not to be used")
	}
}
