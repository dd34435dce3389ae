package registry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/internal/progress"
)

// fake is a registry in memory that does what a test tells it to do wrong.
type fake struct {
	t      *testing.T
	server *httptest.Server

	mu        sync.Mutex
	blobs     map[digest.Digest][]byte
	manifests map[string][]byte // by tag and by digest
	uploads   map[string][]byte
	number    int
	asked     []string // METHOD path, of each request
	received  int64    // bytes of bodies of uploads

	// fault answers a request instead of the registry, if it returns true.
	fault func(w http.ResponseWriter, r *http.Request) bool
	// cut is after how many bytes of bodies a connection breaks, in either direction.
	cut  int64
	left int64
	// forgets loses an upload whose request broke, as distribution 2.8 does.
	forgets bool
	// least is how small a chunk may be, most how large a request.
	least, most int64
	// answer changes what is answered.
	header func(r *http.Request, h http.Header)
	// noRange sends blobs as a whole only.
	noRange bool
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, blobs: map[digest.Digest][]byte{}, manifests: map[string][]byte{}, uploads: map[string][]byte{}}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

// ServeHTTP implements http.Handler.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.Method+" "+r.URL.Path)
	if f.fault != nil && f.fault(w, r) {
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/v2/mn/c7/")
	if f.header != nil {
		f.header(r, w.Header())
	}
	switch kind, rest, _ := strings.Cut(name, "/"); {
	case r.URL.Path == "/v2/":
		w.WriteHeader(http.StatusOK)
	case strings.HasPrefix(name, "blobs/uploads"):
		f.upload(w, r, strings.TrimPrefix(rest, "uploads/"))
	case kind == "blobs":
		f.blob(w, r, digest.Digest(rest))
	case kind == "manifests":
		f.manifest(w, r, rest)
	case name == "tags/list":
		tags := []string{}
		for name := range f.manifests {
			if !strings.Contains(name, ":") {
				tags = append(tags, name)
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": "mn/c7", "tags": tags})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// body reads what is sent, until the connection is to break.
func (f *fake) body(r *http.Request) (b []byte, broke bool) {
	var from io.Reader = r.Body
	if f.cut > 0 {
		from = io.LimitReader(from, f.left)
	}
	b, err := io.ReadAll(from)
	f.received += int64(len(b))
	if f.cut > 0 {
		if f.left -= int64(len(b)); f.left == 0 {
			f.left = f.cut
			return b, true
		}
	}
	return b, err != nil
}

func (f *fake) hangUp() { panic(http.ErrAbortHandler) }

func (f *fake) upload(w http.ResponseWriter, r *http.Request, id string) {
	had, known := f.uploads[id]
	if r.Method == http.MethodPost {
		f.number++
		id = fmt.Sprint(f.number)
		f.uploads[id] = nil
		f.accepted(w, id)
		return
	}
	if !known {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if r.Method == http.MethodGet {
		f.accepted(w, id)
		return
	}
	if f.most > 0 && r.ContentLength > f.most {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	b, broke := f.body(r)
	if r.Method == http.MethodPatch {
		first, _, _ := strings.Cut(r.Header.Get("Content-Range"), "-")
		if first != fmt.Sprint(len(had)) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
	}
	f.uploads[id] = append(had, b...)
	if broke {
		if f.forgets {
			delete(f.uploads, id)
		}
		f.hangUp()
	}
	if r.Method == http.MethodPut {
		want := digest.Digest(r.URL.Query().Get("digest"))
		if digest.FromBytes(f.uploads[id]) != want {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"errors":[{"code":"DIGEST_INVALID"}]}`))
			return
		}
		f.blobs[want] = f.uploads[id]
		delete(f.uploads, id)
		w.WriteHeader(http.StatusCreated)
		return
	}
	f.accepted(w, id)
}

func (f *fake) accepted(w http.ResponseWriter, id string) {
	h := w.Header()
	if h.Get("Location") == "" {
		h.Set("Location", "/v2/mn/c7/blobs/uploads/"+id+"?canary=s3cret")
	}
	if h.Get("Range") == "" {
		h.Set("Range", fmt.Sprintf("0-%d", max(len(f.uploads[id])-1, 0)))
	}
	if f.least > 0 {
		h.Set("OCI-Chunk-Min-Length", fmt.Sprint(f.least))
	}
	w.WriteHeader(http.StatusAccepted)
}

func (f *fake) blob(w http.ResponseWriter, r *http.Request, d digest.Digest) {
	b, ok := f.blobs[d]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		return
	}
	start, code := 0, http.StatusOK
	if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && !f.noRange {
		if _, err := fmt.Sscanf(text, "%d-", &start); err != nil || start >= len(b) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		code = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(b)-1, len(b)))
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(b)-start))
	w.WriteHeader(code)
	if f.cut > 0 && int64(len(b)-start) >= f.left {
		_, _ = w.Write(b[start : start+int(f.left)])
		f.left = f.cut
		_ = http.NewResponseController(w).Flush()
		f.hangUp()
	}
	_, _ = w.Write(b[start:])
}

func (f *fake) manifest(w http.ResponseWriter, r *http.Request, name string) {
	if r.Method == http.MethodPut {
		b, _ := io.ReadAll(r.Body)
		var m ocispec.Manifest
		if err := json.Unmarshal(b, &m); err != nil {
			f.t.Error(err)
		}
		for _, d := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
			if _, ok := f.blobs[d.Digest]; !ok {
				f.t.Errorf("manifest %s before its blob %s", name, d.Digest)
			}
		}
		f.manifests[name], f.manifests[digest.FromBytes(b).String()] = b, b
		w.WriteHeader(http.StatusCreated)
		return
	}
	b, ok := f.manifests[name]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(b).String())
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	_, _ = w.Write(b)
}

// count is how many requests were of a method, for paths that hold part.
func (f *fake) count(method, part string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, a := range f.asked {
		if strings.HasPrefix(a, method+" ") && strings.Contains(a, part) {
			n++
		}
	}
	return n
}

// client is a repository of f with a clock of its own: it never really waits.
type client struct {
	*Repository
	f        *fake
	mu       sync.Mutex
	clock    time.Time
	waits    []time.Duration
	notes    []string
	done     int64 // bytes that progress heard of
	sessions memorySessions
}

func (f *fake) open(change ...func(*Options)) *client {
	f.t.Helper()
	c := &client{f: f, clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), sessions: memorySessions{}}
	o := Options{
		PlainHTTP: true, RetryFor: time.Minute, StallAfter: 5 * time.Second, Parallel: 1, Chunk: 1 << 20,
		Env: func(string) string { return "" }, Sessions: c.sessions, UserAgent: "xcrate/test",
		Now: func() time.Time {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.clock
		},
		Wait: func(ctx context.Context, d time.Duration) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.clock = c.clock.Add(d)
			c.waits = append(c.waits, d)
			return ctx.Err()
		},
		Note: func(format string, args ...any) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.notes = append(c.notes, fmt.Sprintf(format, args...))
		},
		Progress: counting{progress.None(), func(n int64) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if n < 0 {
				f.t.Errorf("progress runs backwards by %d bytes", -n)
			}
			c.done += n
		}},
	}
	for _, ch := range change {
		ch(&o)
	}
	r, err := Open(Reference{Host: strings.TrimPrefix(strings.TrimPrefix(f.server.URL, "http://"), "https://"), Repository: "mn/c7"}, o)
	if err != nil {
		f.t.Fatal(err)
	}
	c.Repository = r
	return c
}

type counting struct {
	progress.Sink
	add func(int64)
}

func (c counting) Add(n int64) { c.add(n) }

type memorySessions map[string][]byte

func (m memorySessions) Load(key string) ([]byte, error)     { return m[key], nil }
func (m memorySessions) Save(key string, value []byte) error { m[key] = value; return nil }
func (m memorySessions) Remove(key string) error             { delete(m, key); return nil }

// snapshot is a snapshot in memory.
type snapshot struct {
	desc  ocispec.Descriptor
	blobs map[digest.Digest][]byte
	layer ocispec.Descriptor
}

func (s *snapshot) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	return s.FetchFrom(ctx, desc, 0)
}

func (s *snapshot) FetchFrom(ctx context.Context, desc ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	return memory(s.blobs[desc.Digest]).FetchFrom(ctx, desc, offset)
}

// newSnapshot makes a snapshot with one layer of size random bytes.
func newSnapshot(t *testing.T, size int) *snapshot {
	t.Helper()
	s := &snapshot{blobs: map[digest.Digest][]byte{}}
	add := func(mediaType string, b []byte) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
		s.blobs[d.Digest] = b
		return d
	}
	layer := make([]byte, size)
	_, _ = rand.Read(layer)
	s.layer = add("application/octet-stream", layer)
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: add("application/vnd.test.config", []byte("{}")), Layers: []ocispec.Descriptor{s.layer}}
	m.SchemaVersion = 2
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	s.desc = add(ocispec.MediaTypeImageManifest, b)
	return s
}

// holds makes sure that the registry has all of s under tag.
func (f *fake) holds(s *snapshot, tag string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := digest.FromBytes(f.manifests[tag]); got != s.desc.Digest {
		f.t.Errorf("tag %s: %s, want %s", tag, got, s.desc.Digest)
	}
	for d, b := range s.blobs {
		if d != s.desc.Digest && string(f.blobs[d]) != string(b) {
			f.t.Errorf("blob %s is not there", d)
		}
	}
}

// put stores s in the registry.
func (f *fake) put(s *snapshot, tag string) {
	for d, b := range s.blobs {
		f.blobs[d] = b
	}
	b := s.blobs[s.desc.Digest]
	f.manifests[tag], f.manifests[s.desc.Digest.String()] = b, b
}
