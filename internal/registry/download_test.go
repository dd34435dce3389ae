package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
)

var errDamaged = errors.New("damaged")

// checked is a source that verifies, as a layout does.
type checked struct{ *snapshot }

func (c *checked) Fetch(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if digest.FromBytes(c.blobs[desc.Digest]) != desc.Digest {
		return nil, errDamaged
	}
	return memory(c.blobs[desc.Digest]).FetchFrom(context.Background(), desc, 0)
}

// fetch reads the layer of s from offset on, and wants it whole.
func (c *client) fetch(s *snapshot, offset int64) {
	c.f.t.Helper()
	src, err := c.FetchFrom(c.f.t.Context(), s.layer, offset)
	if err != nil {
		c.f.t.Fatal(err)
	}
	defer src.Close()
	b, err := io.ReadAll(src)
	if err != nil {
		c.f.t.Fatal(err)
	}
	if string(b) != string(s.blobs[s.layer.Digest][offset:]) {
		c.f.t.Errorf("%d bytes from %d on are not those of the blob", len(b), offset)
	}
}

func TestFetchFrom(t *testing.T) {
	f := newFake(t)
	s := newSnapshot(t, 3<<20)
	f.put(s, "latest")
	c := f.open()
	for _, offset := range []int64{0, 1, 1 << 20, 3<<20 - 1} {
		c.fetch(s, offset)
	}
	desc, err := c.Resolve(t.Context(), "")
	if err != nil || desc.Digest != s.desc.Digest || desc.Size != s.desc.Size {
		t.Errorf("latest is %v, %v", desc, err)
	}
	for _, d := range []ocispec.Descriptor{s.desc, s.layer} {
		src, err := c.Fetch(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(src); err != nil || digest.FromBytes(b) != d.Digest {
			t.Errorf("blob %s: %v", d.Digest, err)
		}
		src.Close()
	}
	if tags, err := c.Tags(t.Context()); err != nil || strings.Join(tags, " ") != "latest" {
		t.Errorf("tags %q, %v", tags, err)
	}
}

// A download goes on at the byte where it broke, if the registry can do that.
func TestFetchOverABadLink(t *testing.T) {
	s := newSnapshot(t, 20<<20)
	t.Run("ranges", func(t *testing.T) {
		f := newFake(t)
		f.put(s, "latest")
		f.cut, f.left = 3<<20, 3<<20
		c := f.open()
		c.fetch(s, 0)
		c.fetch(s, 5<<20)
		if n := f.count(http.MethodGet, "blobs/"); n != 7+5 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("ranges are dropped", func(t *testing.T) {
		f := newFake(t)
		f.put(s, "latest")
		f.noRange = true
		f.cut, f.left = 24<<20, 7<<20
		c := f.open()
		c.fetch(s, 0)
		c.fetch(s, 5<<20)
	})
	t.Run("ranges are refused", func(t *testing.T) {
		f := newFake(t)
		f.put(s, "latest")
		f.fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") == "" {
				return false
			}
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return true
		}
		f.open().fetch(s, 5<<20)
	})
	t.Run("another range is sent", func(t *testing.T) {
		f := newFake(t)
		f.put(s, "latest")
		f.fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") != "" {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-9/%d", s.layer.Size))
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(make([]byte, 10))
				return true
			}
			return false
		}
		f.open().fetch(s, 5<<20)
	})
}

func TestFetchStalls(t *testing.T) {
	f := newFake(t)
	s := newSnapshot(t, 1<<20)
	f.put(s, "latest")
	slow := 0
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") || slow == 2 {
			return false
		}
		slow++
		w.Header().Set("Content-Length", fmt.Sprint(s.layer.Size))
		w.WriteHeader(http.StatusOK)
		b := s.blobs[s.layer.Digest]
		// One byte now and then keeps no connection alive.
		for i := 0; i < 100 && r.Context().Err() == nil; i++ {
			_, _ = w.Write(b[i : i+1])
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
		}
		f.hangUp()
		return true
	}
	c := f.open(func(o *Options) {
		o.StallAfter, o.Now = 100*time.Millisecond, time.Now
	})
	c.fetch(s, 0)
	if slow != 2 {
		t.Errorf("%d slow answers", slow)
	}
}

// What is not what its digest says is never taken for the end of a blob.
func TestFetchWrongBlobs(t *testing.T) {
	s := newSnapshot(t, 1000)
	for name, change := range map[string]func(b []byte) []byte{
		"flipped": func(b []byte) []byte { b[500] ^= 1; return b },
		"short":   func(b []byte) []byte { return b[:999] },
		"long":    func(b []byte) []byte { return append(b, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.put(s, "latest")
			f.blobs[s.layer.Digest] = change([]byte(string(f.blobs[s.layer.Digest])))
			src, err := f.open().Fetch(t.Context(), s.layer)
			if err == nil {
				_, err = io.ReadAll(src)
			}
			if !errors.Is(err, content.ErrMismatchedDigest) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("manifest", func(t *testing.T) {
		f := newFake(t)
		f.put(s, "latest")
		f.manifests[s.desc.Digest.String()] = []byte("{}")
		_, err := f.open().Resolve(t.Context(), s.desc.Digest.String())
		if !errors.Is(err, content.ErrMismatchedDigest) && (err == nil || !strings.Contains(err.Error(), "digest")) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("huge manifest", func(t *testing.T) {
		f := newFake(t)
		f.manifests["latest"] = make([]byte, maxManifest+1)
		_, err := f.open().Resolve(t.Context(), "")
		wantAdvice(t, err, "right repository")
	})
}

// A tag that is moved while a snapshot is fetched changes nothing: its digest counts.
func TestFetchWhileTheTagMoves(t *testing.T) {
	f := newFake(t)
	s, other := newSnapshot(t, 1000), newSnapshot(t, 1000)
	f.put(s, "v1")
	c := f.open()
	desc, err := c.Resolve(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	f.put(other, "v1")
	src, err := c.Fetch(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(src); err != nil || string(b) != string(s.blobs[s.desc.Digest]) {
		t.Errorf("another manifest came: %v", err)
	}
}
