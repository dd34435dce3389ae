package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// read returns the next n bytes of the blob that the registry does not have, in memory
// of their own: net/http may still read those of a request that was answered early.
func (u *upload) read(ctx context.Context, n int64) ([]byte, error) {
	if u.src == nil || u.pos != u.sent {
		if err := u.openSource(ctx, u.sent); err != nil {
			return nil, err
		}
	}
	b := make([]byte, n)
	got, err := io.ReadFull(u.src, b)
	u.pos += int64(got)
	if err != nil {
		return nil, &sourceError{unexpected(err)}
	}
	return b, nil
}

func (u *upload) openSource(ctx context.Context, offset int64) error {
	u.closeSource()
	src, err := u.from.FetchFrom(ctx, u.desc, offset)
	if err != nil {
		return &sourceError{err}
	}
	u.src, u.pos = src, offset
	return nil
}

func (u *upload) closeSource() {
	if u.src != nil {
		_ = u.src.Close() // it was only read
		u.src = nil
	}
}

// request is a request of an upload whose body is b.
func (u *upload) request(ctx context.Context, method string, to *url.URL, b []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, to.String(), bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	return req, nil
}

// sourceReader marks what fails as a fault of the source.
type sourceReader struct{ src io.Reader }

func (r *sourceReader) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &sourceError{err}
	}
	return n, err
}

// rangeEnd reads how many bytes of an upload there are: "0-LAST", or "bytes=0-LAST" as
// some say (distribution-spec, "Pushing a blob in chunks": Range). What has none is
// "0-0" for most registries, and one byte for the others: none is the safe answer.
func rangeEnd(h http.Header) (int64, bool) {
	text := strings.TrimPrefix(strings.TrimPrefix(h.Get("Range"), "bytes="), "bytes ")
	first, last, found := strings.Cut(text, "-")
	n, err := strconv.ParseInt(last, 10, 64)
	if !found || first != "0" || err != nil || n < 0 || n == math.MaxInt64 {
		return 0, false
	}
	if n == 0 {
		return 0, true
	}
	return n + 1, true
}

// chunkLeast reads how small a chunk may be (distribution-spec: OCI-Chunk-Min-Length),
// 0 if a registry does not say. What is out of all proportion is not believed.
func chunkLeast(h http.Header) int64 {
	n, err := strconv.ParseInt(h.Get("OCI-Chunk-Min-Length"), 10, 64)
	if err != nil || n < 0 || n > maxLeast {
		return 0
	}
	return n
}

// maxLeast bounds what a registry can make this client keep in memory, in bytes.
const maxLeast = 64 << 20
