package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Fetch opens a blob or manifest. The reader answers io.EOF only if size and digest
// are right.
func (r *Repository) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	src, err := r.FetchFrom(ctx, desc, 0)
	if err != nil {
		return nil, err
	}
	return &verified{Closer: src, src: content.NewVerifyReader(src, desc), desc: desc}, nil
}

type verified struct {
	io.Closer
	src  *content.VerifyReader
	desc ocispec.Descriptor
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.src.Read(p)
	if errors.Is(err, io.EOF) {
		if bad := v.src.Verify(); bad != nil {
			return n, fmt.Errorf("blob %s: %w", v.desc.Digest, bad)
		}
	}
	return n, err
}

// FetchFrom opens a blob or manifest at offset, in bytes, and verifies nothing of a
// blob but its length. When the connection breaks, Read opens another one at the byte
// where it was.
func (r *Repository) FetchFrom(ctx context.Context, desc ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	if isManifest(desc) {
		b, err := r.fetchManifest(ctx, desc)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(bytes.NewReader(b[min(offset, int64(len(b))):])), nil
	}
	d := &download{r: r, ctx: r.scoped(ctx, auth.ActionPull), desc: desc, at: offset, best: offset}
	return d, d.ensure(nil)
}

// download is a blob on its way here.
type download struct {
	r    *Repository
	ctx  context.Context
	desc ocispec.Descriptor
	at   int64 // where the next byte belongs
	best int64 // where it was when it was last opened

	body    io.ReadCloser // nil if it has to be opened
	ended   bool
	noRange bool // a request for the rest is answered with the whole, or refused
}

// Read implements io.Reader.
func (d *download) Read(p []byte) (int, error) {
	for {
		if d.ended {
			return 0, io.EOF
		}
		n, err := d.body.Read(p)
		d.at += int64(n)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, io.EOF) && d.at >= d.desc.Size:
			d.ended = true
			return n, io.EOF
		case errors.Is(err, io.EOF):
			err = io.ErrUnexpectedEOF // the connection ended before the blob
		}
		if err := d.ensure(err); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// Close ends the download.
func (d *download) Close() error {
	d.ended = true
	if d.body == nil {
		return nil
	}
	body := d.body
	d.body = nil
	return body.Close()
}

// ensure opens a connection at the byte where the download is, after what broke the one
// before, which may be nil.
func (d *download) ensure(broke error) error {
	if d.body != nil {
		_ = d.body.Close() // it is broken
		d.body = nil
	}
	return d.r.trying(d.ctx, "blob "+d.desc.Digest.String(), func(ctx context.Context) (bool, error) {
		if err := broke; err != nil {
			broke = nil
			further := d.at-d.best >= leastMoved
			d.best = d.at
			return further, err
		}
		var err error
		d.body, err = d.open(ctx)
		return false, err
	})
}

// open asks for the bytes from where the download is.
func (d *download) open(ctx context.Context) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.r.blobURL(d.desc), nil)
	if err != nil {
		return nil, err
	}
	if d.at > 0 && !d.noRange {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.at))
	}
	// A body that was made smaller on the way has other bytes at these offsets.
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := d.r.send(req)
	if err != nil {
		return nil, err
	}
	body, err := d.from(resp)
	if err != nil {
		return nil, errors.Join(err, resp.Body.Close())
	}
	return body, nil
}

// from returns what an answer holds from the byte on where the download is.
func (d *download) from(resp *http.Response) (io.ReadCloser, error) {
	switch resp.StatusCode {
	case http.StatusOK:
		if err := d.checkSize(resp.ContentLength); err != nil {
			return nil, err
		}
		d.noRange = d.noRange || d.at > 0
		// The prefix was verified, or is going to be, by who has it.
		if _, err := io.CopyN(io.Discard, resp.Body, d.at); err != nil {
			return nil, fmt.Errorf("bytes before %d: %w", d.at, unexpected(err))
		}
		return resp.Body, nil
	case http.StatusPartialContent:
		start, total := contentRange(resp.Header.Get("Content-Range"))
		if start != d.at {
			d.noRange = true
			return nil, fmt.Errorf("bytes from %d: got those from %d: %w", d.at, start, errAgain)
		}
		return resp.Body, d.checkSize(total)
	case http.StatusRequestedRangeNotSatisfiable:
		d.noRange = true
		return nil, fmt.Errorf("bytes from %d: %s: %w", d.at, resp.Status, errAgain)
	}
	return nil, d.r.answer(resp)
}

// checkSize compares what a registry says of a blob, -1 if it says nothing, with what
// its descriptor says.
func (d *download) checkSize(size int64) error {
	if size >= 0 && size != d.desc.Size {
		return fmt.Errorf("%w: %d bytes, its descriptor says %d", content.ErrMismatchedDigest, size, d.desc.Size)
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// contentRange reads "bytes FIRST-LAST/SIZE" (RFC 9110, 14.4); -1 is what it does not
// say.
func contentRange(text string) (first, size int64) {
	rest, ok := strings.CutPrefix(text, "bytes ")
	span, total, found := strings.Cut(rest, "/")
	from, _, dash := strings.Cut(span, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if !ok || !found || !dash || err != nil {
		return -1, -1
	}
	size, err = strconv.ParseInt(total, 10, 64)
	if err != nil {
		size = -1
	}
	return first, size
}
