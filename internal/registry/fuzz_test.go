package registry

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"h/r", "h:5000/a/b:tag", "localhost/r@sha256:" + strings.Repeat("0", 64), "h/r:t@sha256:" + strings.Repeat("a", 64), "h/r@sha512:" + strings.Repeat("0", 128), "", "/", "h/", "h/R", "h/r:" + strings.Repeat("x", 129)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseReference(s)
		if err != nil {
			return
		}
		again, err := ParseReference(ref.String())
		if err != nil || again != ref {
			t.Errorf("%q is %+v, and %q is %+v, %v", s, ref, ref.String(), again, err)
		}
	})
}

// What a registry says in headers is believed within bounds only.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{"0-0", "0-1048575", "bytes=0-9", "bytes 0-9/10", "bytes 5-9/*", "-1", "9223372036854775807", "0-9223372036854775807", "Wed, 21 Oct 2026 07:28:00 GMT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h := http.Header{"Range": {s}, "Oci-Chunk-Min-Length": {s}, "Retry-After": {s}}
		if n, ok := rangeEnd(h); ok && n < 0 {
			t.Errorf("range %q: %d", s, n)
		}
		if n := chunkLeast(h); n < 0 || n > maxLeast {
			t.Errorf("least chunk %q: %d", s, n)
		}
		if d := retryAfter(h, time.Unix(1.7e9, 0)); d < 0 {
			t.Errorf("retry after %q: %v", s, d)
		}
		if first, size := contentRange(s); first < -1 || size < -1 {
			t.Logf("content range %q: %d of %d", s, first, size)
		}
	})
}

func TestParseReference(t *testing.T) {
	for _, s := range []string{"h/R", "h", "h/r:no tag", "h/r@sha512:" + strings.Repeat("0", 128), "h/r@sha256:short"} {
		if ref, err := ParseReference(s); err == nil {
			t.Errorf("%q is %+v", s, ref)
		}
	}
	ref, err := ParseReference("h:5000/a/b:t@sha256:" + strings.Repeat("a", 64))
	if err != nil || ref.Tag != "" || ref.Digest == "" {
		t.Errorf("tag and digest: %+v, %v", ref, err)
	}
}
