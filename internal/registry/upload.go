package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
)

// Source is where blobs come from.
type Source interface {
	// Fetch opens a blob; the reader answers io.EOF only if size and digest are right.
	Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
	// FetchFrom opens a blob at offset, in bytes, and verifies nothing.
	FetchFrom(ctx context.Context, desc ocispec.Descriptor, offset int64) (io.ReadCloser, error)
}

// sourceError is an error of where a blob comes from.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// minChunk is how small a chunk may get on a link that breaks, in bytes.
const minChunk = 64 << 10

// upload is a blob on its way to a registry. It is a machine of few states: what it
// does next follows from what is known of the registry's side.
type upload struct {
	r     *Repository
	from  Source
	desc  ocispec.Descriptor
	mount string // repository of the registry that may have the blob

	at      *url.URL // of the upload, nil before it began
	sent    int64    // bytes that the registry has
	most    int64    // the most it ever had
	unsure  bool     // it has to be asked how much it has
	maybe   bool     // the blob may be there: the answer to the last request was lost
	resumed bool     // some of it was sent in an earlier run or over another connection
	refused int      // how often the digest was not what it should be
	done    bool

	chunk int64 // bytes of the next request
	least int64 // that the registry takes in one, but the last
	src   io.ReadCloser
	pos   int64 // of src
}

// upload sends a blob.
func (r *Repository) upload(ctx context.Context, from Source, desc ocispec.Descriptor, mount string) error {
	u := &upload{r: r, from: from, desc: desc, mount: mount, chunk: r.opt.Chunk}
	if desc.Size > u.chunk {
		if u.at = r.loadSession(desc); u.at != nil {
			u.unsure = true
		}
	}
	defer u.closeSource()
	return r.trying(ctx, "blob "+desc.Digest.String(), func(ctx context.Context) (bool, error) {
		before := u.most
		err := u.run(ctx)
		return u.most-before >= leastMoved, err
	})
}

// run goes on until the blob is there, or something breaks.
func (u *upload) run(ctx context.Context) error {
	for !u.done {
		if err := u.next(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (u *upload) next(ctx context.Context) error {
	switch {
	case u.maybe:
		return u.look(ctx)
	case u.at == nil:
		return u.begin(ctx)
	case u.unsure:
		return u.ask(ctx)
	case u.sent == 0 && (u.desc.Size <= u.chunk || u.r.noChunks.Load()):
		return u.put(ctx)
	case u.sent < u.desc.Size:
		return u.patch(ctx)
	}
	return u.finish(ctx)
}

// look asks whether the blob is there.
func (u *upload) look(ctx context.Context) error {
	there, err := u.r.has(ctx, u.desc)
	if err != nil {
		return err
	}
	u.maybe = false
	if there {
		u.complete()
	}
	return nil
}

// complete notes that the registry has the blob.
func (u *upload) complete() {
	u.done = true
	u.count(u.desc.Size)
	if u.desc.Size > u.r.opt.Chunk {
		u.r.dropSession(u.desc)
	}
}

// count notes what the registry has. Progress never hears of a byte twice.
func (u *upload) count(sent int64) {
	if more := sent - u.most; more > 0 {
		u.r.opt.Progress.Add(more)
		u.r.sent.Add(more)
		u.most = sent
	}
	u.sent = sent
}

// restart forgets an upload that the registry does not know any more.
func (u *upload) restart() {
	u.at, u.unsure = nil, false
	u.count(0)
}

// begin opens an upload, or finds that the registry can take the blob from another
// repository of its own (distribution-spec, "Mounting a blob from another repository").
func (u *upload) begin(ctx context.Context) error {
	to := u.r.base.JoinPath("blobs/uploads/")
	if u.mount != "" {
		to.RawQuery = url.Values{"mount": {u.desc.Digest.String()}, "from": {u.mount}}.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := u.r.request(req)
	mounting := u.mount != ""
	u.mount = ""
	switch {
	case err != nil && mounting && status(err) >= 400 && status(err) < 500 && status(err) != http.StatusTooManyRequests:
		return nil // without, then
	case err != nil:
		return err
	case resp.StatusCode == http.StatusCreated && mounting:
		u.complete()
		return nil
	}
	u.at, err = u.r.location(resp)
	if err == nil && u.at == nil {
		err = fmt.Errorf("beginning of the upload: %s without a location: %w", resp.Status, errAgain)
	}
	u.least = chunkLeast(resp.Header)
	u.chunk = max(u.chunk, u.least)
	u.resumed = false
	return err
}

// ask finds out how much of the blob the registry has.
func (u *upload) ask(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.at.String(), nil)
	if err != nil {
		return err
	}
	resp, err := u.r.request(req)
	if code := status(err); code >= 400 && code < 500 && !u.r.passing(err) && code != http.StatusUnauthorized && code != http.StatusForbidden {
		// It does not know the upload any more, or cannot say.
		u.restart()
		u.smaller()
		return nil
	}
	if err != nil {
		return err
	}
	had := u.sent
	sent, ok := rangeEnd(resp.Header)
	if !ok || sent > u.desc.Size {
		u.restart()
		return nil
	}
	u.count(sent)
	if sent <= had {
		u.smaller()
	}
	u.unsure, u.resumed = false, true
	return u.moveTo(resp)
}

// moveTo follows the upload to where the registry wants the next request.
func (u *upload) moveTo(resp *http.Response) error {
	at, err := u.r.location(resp)
	if err == nil && at != nil {
		u.at = at
	}
	return err
}

// smaller makes chunks of what a link may carry before it breaks.
func (u *upload) smaller() { u.chunk = max(u.chunk/2, u.least, minChunk) }

// patch sends the next chunk.
func (u *upload) patch(ctx context.Context) error {
	b, err := u.read(ctx, min(u.chunk, u.desc.Size-u.sent))
	if err != nil {
		return err
	}
	req, err := u.request(ctx, http.MethodPatch, u.at, b)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", u.sent, u.sent+int64(len(b))-1))
	resp, err := u.r.request(req)
	if err != nil {
		return u.broken(err)
	}
	sent, ok := rangeEnd(resp.Header)
	switch {
	case !ok:
		sent = u.sent + int64(len(b))
	case sent <= u.sent || sent > u.sent+int64(len(b)):
		u.unsure = true
		return fmt.Errorf("bytes from %d: it says it has %d: %w", u.sent, sent, errAgain)
	}
	u.count(sent)
	u.chunk = min(u.chunk*2, max(u.r.opt.Chunk, u.least))
	if err := u.moveTo(resp); err != nil {
		return err
	}
	u.r.saveSession(u.desc, u.at)
	return nil
}

// broken decides what a chunk that was not taken means for the next request.
func (u *upload) broken(err error) error {
	first := u.sent == 0 && !u.resumed
	switch code := status(err); {
	case code == http.StatusRequestEntityTooLarge && u.chunk > max(u.least, minChunk):
		u.smaller()
		u.unsure = true
		return nil
	case code == http.StatusRequestedRangeNotSatisfiable:
		u.unsure, u.resumed = true, true
		return fmt.Errorf("%w: %w", errAgain, err)
	case first && (code == http.StatusBadRequest || code == http.StatusNotFound || code == http.StatusMethodNotAllowed ||
		code == http.StatusLengthRequired || code == http.StatusUnsupportedMediaType || code == http.StatusNotImplemented):
		u.r.noChunks.Store(true)
		u.restart()
		return nil
	case code == http.StatusBadRequest || code == http.StatusNotFound || code == http.StatusGone:
		u.restart()
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	u.unsure = true
	return err
}

// finish ends an upload whose bytes are all there.
func (u *upload) finish(ctx context.Context) error {
	req, err := u.request(ctx, http.MethodPut, u.end(), nil)
	if err != nil {
		return err
	}
	_, err = u.r.request(req)
	return u.ended(ctx, err)
}

// put sends the blob in one request.
func (u *upload) put(ctx context.Context) error {
	req, err := u.whole(ctx)
	if err != nil {
		return err
	}
	_, err = u.r.request(req)
	if err != nil {
		u.at = nil // what it has of it is lost
		u.closeSource()
	}
	return u.ended(ctx, err)
}

// whole is the request that holds all of the blob: from memory if it fits there, so
// that it can be sent again with another token.
func (u *upload) whole(ctx context.Context) (*http.Request, error) {
	if u.desc.Size <= u.r.opt.Chunk {
		b, err := u.read(ctx, u.desc.Size)
		if err != nil {
			return nil, err
		}
		return u.request(ctx, http.MethodPut, u.end(), b)
	}
	if err := u.openSource(ctx, 0); err != nil {
		return nil, err
	}
	u.pos = -1 // the request reads it
	req, err := u.request(ctx, http.MethodPut, u.end(), nil)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(&sourceReader{io.LimitReader(u.src, u.desc.Size)})
	req.ContentLength = u.desc.Size
	return req, nil
}

// ended decides what the answer to the last request of an upload means.
func (u *upload) ended(ctx context.Context, err error) error {
	switch code := status(err); {
	case err == nil:
		u.complete()
		return nil
	case code == http.StatusBadRequest:
		return u.wrongDigest(ctx, err)
	case code == http.StatusNotFound || code == http.StatusGone:
		u.restart()
		u.maybe = true
		return fmt.Errorf("%w: %w", errAgain, err)
	case code == http.StatusRequestedRangeNotSatisfiable:
		u.unsure = true
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	u.maybe, u.unsure = true, u.at != nil
	return err
}

// wrongDigest finds out whose fault it is that a registry does not take what it got.
func (u *upload) wrongDigest(ctx context.Context, err error) error {
	if u.refused++; u.refused == 1 {
		src, bad := u.from.Fetch(ctx, u.desc)
		if bad == nil {
			_, bad = io.Copy(io.Discard, src)
			bad = errors.Join(bad, src.Close())
		}
		if bad != nil {
			return &sourceError{bad}
		}
		u.restart()
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	return err
}

// end is where the last request goes.
func (u *upload) end() *url.URL {
	to := *u.at
	q := to.Query()
	q.Set("digest", u.desc.Digest.String())
	to.RawQuery = q.Encode()
	return &to
}

// has asks whether a blob is there, with the size that its descriptor says.
func (r *Repository) has(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, r.blobURL(desc), nil)
	if err != nil {
		return false, err
	}
	resp, err := r.request(req)
	switch {
	case status(err) == http.StatusNotFound:
		return false, nil
	case err != nil:
		return false, err
	case resp.ContentLength >= 0 && resp.ContentLength != desc.Size:
		return false, fmt.Errorf("%w: it has %d bytes, its descriptor says %d", content.ErrInvalidDescriptorSize, resp.ContentLength, desc.Size)
	}
	return true, nil
}
