package registry

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// push pushes s as v1, and wants it there.
func (c *client) push(s *snapshot) {
	c.f.t.Helper()
	if _, err := c.Push(c.f.t.Context(), s, s.desc, "", []string{"v1", "latest"}); err != nil {
		c.f.t.Fatal(err)
	}
	c.f.holds(s, "v1")
	c.f.holds(s, "latest")
	c.keepsSecrets(nil)
	if want := s.layer.Size + 2; c.done != want {
		c.f.t.Errorf("progress heard of %d bytes, want %d", c.done, want)
	}
}

func TestPush(t *testing.T) {
	for _, size := range []int{0, 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5<<20 + 7} {
		f := newFake(t)
		s := newSnapshot(t, size)
		f.open().push(s)
		if f.received != int64(size)+2 {
			t.Errorf("%d bytes: %d were sent", size, f.received)
		}
		again := f.open()
		again.push(s)
		if sent := again.sent.Load(); sent != 0 || f.received != int64(size)+2 {
			t.Errorf("%d bytes: the second push sent %d", size, sent)
		}
	}
}

// A link that breaks every 10 MB carries 200 MB, and what the registry has is not sent
// again.
func TestPushOverABadLink(t *testing.T) {
	f := newFake(t)
	f.cut, f.left = 10<<20, 10<<20
	s := newSnapshot(t, 200<<20)
	c := f.open(func(o *Options) { o.Chunk = DefaultChunk })
	c.push(s)
	if f.received != 200<<20+2 {
		t.Errorf("%d bytes were received, of 200 MiB", f.received)
	}
	if breaks := len(c.waits); breaks < 19 || breaks > 20 {
		t.Errorf("%d breaks, want 20", breaks)
	}
	if len(c.sessions) != 0 {
		t.Errorf("%d sessions are left", len(c.sessions))
	}
}

// A registry that loses a chunk which broke gets that chunk again, and no more.
func TestPushLosesAChunk(t *testing.T) {
	f := newFake(t)
	s := newSnapshot(t, 40<<20)
	breaks := 0
	f.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch && breaks < 5 {
			if breaks++; breaks%2 == 0 {
				return false
			}
			_, _ = r.Body.Read(make([]byte, 1000))
			f.hangUp()
		}
		return false
	}
	c := f.open(func(o *Options) { o.Chunk = DefaultChunk })
	c.push(s)
	if f.received != 40<<20+2 {
		t.Errorf("%d bytes were received", f.received)
	}
}

// An upload goes on in the next run of the program.
func TestPushGoesOnInAnotherRun(t *testing.T) {
	f := newFake(t)
	s := newSnapshot(t, 8<<20)
	patches := 0
	f.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch {
			if patches++; patches > 5 {
				f.hangUp()
			}
		}
		return false
	}
	first := f.open()
	_, err := first.Push(t.Context(), s, s.desc, "", []string{"v1"})
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "nothing moved for 1m0s") {
		t.Fatalf("push over a dead link: %v", err)
	}
	first.keepsSecrets(err)
	if len(f.manifests) != 0 {
		t.Error("a manifest is there before its blobs")
	}
	if len(first.sessions) != 1 {
		t.Fatalf("%d sessions are kept, want 1", len(first.sessions))
	}
	f.mu.Lock()
	f.fault = nil
	f.mu.Unlock()
	next := f.open(func(o *Options) { o.Sessions = first.sessions })
	next.push(s)
	if f.received != 8<<20+2 {
		t.Errorf("%d bytes were received in both runs", f.received)
	}
	if len(first.sessions) != 0 {
		t.Error("the session is kept")
	}
}

// A registry that forgets an upload when a request breaks gets the blob again, and an
// end is found where it never gets further.
func TestPushToOneThatForgets(t *testing.T) {
	f := newFake(t)
	f.forgets = true
	f.cut, f.left = 3<<20, 5<<19
	s := newSnapshot(t, 3<<20-4)
	f.open().push(s)
	f = newFake(t)
	f.forgets = true
	f.cut, f.left = 2<<20, 2<<20
	_, err := f.open().Push(t.Context(), s, s.desc, "", []string{"v1"})
	if err == nil || !strings.Contains(err.Error(), "nothing moved") {
		t.Errorf("push that never gets further: %v", err)
	}
}

// A session that the registry does not know any more costs nothing but the bytes.
func TestPushWithAnOldSession(t *testing.T) {
	f := newFake(t)
	s := newSnapshot(t, 3<<20)
	c := f.open()
	for name, value := range map[string]string{
		"gone":    `{"location":"` + f.server.URL + `/v2/mn/c7/blobs/uploads/77"}`,
		"foreign": `{"location":"http://elsewhere/v2/mn/c7/blobs/uploads/1"}`,
		"garbage": `{"location":`,
	} {
		t.Run(name, func(_ *testing.T) {
			clear(f.blobs)
			clear(f.manifests)
			c.done = 0
			c.sessions[c.sessionKey(s.layer)] = []byte(value)
			c.push(s)
		})
	}
}

// A session with bytes of something else is noticed by the registry, and begun anew.
func TestPushWithAWrongSession(t *testing.T) {
	f := newFake(t)
	s := newSnapshot(t, 3<<20)
	f.uploads["9"] = []byte(strings.Repeat("x", 1<<20))
	c := f.open()
	c.sessions[c.sessionKey(s.layer)] = []byte(`{"location":"` + f.server.URL + `/v2/mn/c7/blobs/uploads/9"}`)
	c.push(s)
}

func TestPushWithoutChunks(t *testing.T) {
	for _, code := range []int{http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			f := newFake(t)
			f.fault = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPatch {
					w.WriteHeader(code)
				}
				return r.Method == http.MethodPatch
			}
			s := newSnapshot(t, 5<<20)
			f.open().push(s)
			if n := f.count(http.MethodPatch, ""); n != 1 {
				t.Errorf("%d chunks were tried", n)
			}
		})
	}
}

// Without chunks a break costs the whole blob, and it arrives.
func TestPushWithoutChunksBreaks(t *testing.T) {
	f := newFake(t)
	f.cut, f.left = 6<<20, 2<<20
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
		return r.Method == http.MethodPatch
	}
	f.open().push(newSnapshot(t, 5<<20))
}

func TestPushLeastChunk(t *testing.T) {
	f := newFake(t)
	f.least = 2 << 20
	s := newSnapshot(t, 5<<20)
	f.open().push(s)
	if n := f.count(http.MethodPatch, ""); n != 3 {
		t.Errorf("%d chunks, want 3 of at least 2 MiB", n)
	}
}

func TestPushMostChunk(t *testing.T) {
	f := newFake(t)
	f.most = 300 << 10
	s := newSnapshot(t, 5<<20)
	f.open().push(s)
}

func TestPushTooLarge(t *testing.T) {
	f := newFake(t)
	f.most = 1000
	s := newSnapshot(t, 5<<20)
	_, err := f.open().Push(t.Context(), s, s.desc, "", []string{"v1"})
	wantAdvice(t, err, "client_max_body_size")
	s = newSnapshot(t, 5<<10)
	_, err = f.open().Push(t.Context(), s, s.desc, "", []string{"v1"})
	wantAdvice(t, err, "client_max_body_size")
}

// keepsSecrets makes sure that nobody is told what opens an upload.
func (c *client) keepsSecrets(err error) {
	c.f.t.Helper()
	for _, said := range append([]string{fmt.Sprint(err)}, c.notes...) {
		if strings.Contains(said, "s3cret") {
			c.f.t.Errorf("told: %s", said)
		}
	}
}

func wantAdvice(t *testing.T, err error, part string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Advice, part) {
		t.Errorf("error %v: no advice about %s", err, part)
	}
	if err != nil && strings.Contains(err.Error()+"\n", "s3cret") {
		t.Errorf("the error tells the session: %v", err)
	}
}

func TestPushLocation(t *testing.T) {
	s := newSnapshot(t, 3<<20)
	t.Run("another host", func(t *testing.T) {
		f := newFake(t)
		f.header = func(_ *http.Request, h http.Header) { h.Set("Location", "https://cdn.example/upload/1") }
		_, err := f.open().Push(t.Context(), s, s.desc, "", []string{"v1"})
		if !errors.Is(err, ErrLocation) {
			t.Errorf("an upload to another host: %v", err)
		}
		wantAdvice(t, err, "redirects of uploads")
	})
	t.Run("another port", func(t *testing.T) {
		f := newFake(t)
		f.header = func(r *http.Request, h http.Header) {
			if r.Method == http.MethodPost {
				h.Set("Location", fmt.Sprintf("http://127.0.0.1:1/v2/mn/c7/blobs/uploads/%d", f.number+1))
			}
		}
		c := f.open()
		c.push(s)
		if len(c.notes) != 1 || !strings.Contains(c.notes[0], "X-Forwarded-Proto") {
			t.Errorf("notes %q", c.notes)
		}
	})
}

// Bursts of errors pass, and a registry that says when to come back is obeyed.
func TestPushThroughErrors(t *testing.T) {
	for _, code := range []int{408, 429, 500, 502, 503, 504} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			f := newFake(t)
			bad := map[string]int{}
			f.fault = func(w http.ResponseWriter, r *http.Request) bool {
				key := r.Method + strings.TrimRight(r.URL.Path, "0123456789")
				if bad[key]++; bad[key] > 2 {
					return false
				}
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(code)
				return true
			}
			c := f.open(func(o *Options) { o.RetryFor = 10 * time.Minute })
			c.push(newSnapshot(t, 3<<20))
			if i := slices.IndexFunc(c.waits, func(d time.Duration) bool { return d < 7*time.Second }); i >= 0 {
				t.Errorf("waited %v, and was asked for 7 s", c.waits[i])
			}
		})
	}
}

func TestPushGivesUp(t *testing.T) {
	f := newFake(t)
	f.fault = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	c := f.open()
	s := newSnapshot(t, 100)
	_, err := c.Push(t.Context(), s, s.desc, "", []string{"v1"})
	wantAdvice(t, err, "--retry-for")
	var sum time.Duration
	for _, d := range c.waits {
		sum += d
	}
	if sum != time.Minute {
		t.Errorf("tried for %v, want a minute", sum)
	}
	if !slices.ContainsFunc(c.notes, func(n string) bool { return strings.Contains(n, "trying again") }) {
		t.Errorf("nobody was told: %q", c.notes)
	}
	f = newFake(t)
	f.fault = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	c = f.open()
	_, err = c.Push(t.Context(), s, s.desc, "", []string{"v1"})
	wantAdvice(t, err, "--retry-for")
	if len(c.waits) != 0 || !strings.Contains(err.Error(), "1h0m0s") {
		t.Errorf("waited %v for one that wants an hour: %v", c.waits, err)
	}
}

// What is answered last may be lost: a blob that is there is not sent again.
func TestPushLosesTheLastAnswer(t *testing.T) {
	f := newFake(t)
	lost := false
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || lost || !strings.Contains(r.URL.Path, "uploads") {
			return false
		}
		lost = true
		f.upload(headless{w}, r, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
		f.hangUp()
		return true
	}
	s := newSnapshot(t, 3<<20)
	f.open().push(s)
	if f.received != 3<<20+2 {
		t.Errorf("%d bytes were received", f.received)
	}
}

type headless struct{ http.ResponseWriter }

func (headless) WriteHeader(int) {}

// A damaged source is named, and not the registry.
func TestPushDamagedSource(t *testing.T) {
	f := newFake(t)
	s := newSnapshot(t, 3<<20)
	s.blobs[s.layer.Digest][5]++
	_, err := f.open().Push(t.Context(), &checked{s}, s.desc, "", []string{"v1"})
	if !errors.Is(err, errDamaged) {
		t.Errorf("push of a damaged blob: %v", err)
	}
	if len(f.manifests) != 0 {
		t.Error("its manifest is there")
	}
	s.blobs[s.layer.Digest] = s.blobs[s.layer.Digest][:100]
	_, err = f.open().Push(t.Context(), s, s.desc, "", []string{"v1"})
	if err == nil || strings.Contains(err.Error(), "registry") {
		t.Errorf("push of a short blob: %v", err)
	}
}

func TestPushStalls(t *testing.T) {
	f := newFake(t)
	stalls := 0
	f.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch && stalls < 2 {
			stalls++
			time.Sleep(200 * time.Millisecond)
			f.hangUp()
		}
		return false
	}
	c := f.open(func(o *Options) { o.StallAfter = 20 * time.Millisecond })
	c.push(newSnapshot(t, 3<<20))
	if stalls != 2 {
		t.Errorf("%d stalls", stalls)
	}
}

// Who may not push hears of it before the work, and nothing is left of the question.
func TestMayPush(t *testing.T) {
	f := newFake(t)
	if err := f.open().MayPush(t.Context()); err != nil {
		t.Error(err)
	}
	if n := f.count(http.MethodDelete, "uploads/1"); n != 1 {
		t.Errorf("the upload was ended %d times", n)
	}
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusForbidden)
		}
		return r.Method == http.MethodPost
	}
	wantAdvice(t, f.open().MayPush(t.Context()), "ask for the right")
}
