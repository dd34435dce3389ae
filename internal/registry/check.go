package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// Finding is what a check found out about a registry.
type Finding struct {
	// What was tried, in a word or two.
	What string `json:"what"`
	// Good says that it works.
	Good bool `json:"good"`
	// Needed says that snapshots cannot be pushed or pulled without it.
	Needed bool `json:"needed"`
	// Text says what was found, and Advice what to do, "" if nothing.
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"`
}

// maxSkew is how wrong a clock may be: tokens are valid for five minutes.
const maxSkew = time.Minute

// Check finds out what a registry lets this client do, with the repository as it is.
// It leaves no manifest and no tag there, only a blob of a few bytes that the registry
// sweeps. It goes on after what does not work, as long as the rest can be tried.
func (r *Repository) Check(ctx context.Context) []Finding {
	c := &check{r: r}
	if c.reach(ctx) && c.pull(ctx) {
		c.push(ctx)
		c.referrers(ctx)
		c.remove(ctx)
	}
	return c.found
}

type check struct {
	r     *Repository
	found []Finding
}

func (c *check) good(what, format string, args ...any) {
	c.found = append(c.found, Finding{What: what, Good: true, Text: fmt.Sprintf(format, args...)})
}

// bad notes what does not work, and what that means.
func (c *check) bad(what string, needed bool, text, advice string) {
	c.found = append(c.found, Finding{What: what, Needed: needed, Text: text, Advice: advice})
}

// failed notes what snapshots cannot do without.
func (c *check) failed(what string, err error) {
	err = c.r.explain(what, err)
	text, advice := err.Error(), ""
	var e *Error
	if errors.As(err, &e) {
		text, advice = plain(e.Err).Error(), e.Advice
		if e.Cause != "" {
			text = e.Cause + ": " + text
		}
	}
	c.bad(what, true, text, advice)
}

// reach asks whether there is a registry (distribution-spec, "Endpoints": end-1).
func (c *check) reach(ctx context.Context) bool {
	to := *c.r.base
	to.Path = "/v2/"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		c.failed("connection", err)
		return false
	}
	resp, err := c.r.request(req)
	if code := status(err); err != nil && code != http.StatusUnauthorized && code != http.StatusForbidden {
		c.failed("connection", err)
		return false
	}
	// Without the right to ask this, one may have those that count.
	text := to.Scheme
	if resp != nil && resp.TLS != nil {
		text = fmt.Sprintf("%s, certificate of %s", text, resp.TLS.PeerCertificates[0].Subject)
	}
	c.good("connection", "%s", text)
	c.clock(resp)
	return true
}

// clock compares its clock with ours.
func (c *check) clock(resp *http.Response) {
	if resp == nil {
		return
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	if skew := c.r.opt.Now().Sub(date).Abs(); skew > maxSkew {
		c.bad("clock", false, fmt.Sprintf("its clock and ours are %v apart", skew.Round(time.Second)), "tokens and certificates may be refused: set the clock that is wrong")
	}
}

func (c *check) pull(ctx context.Context) bool {
	_, err := c.r.resolve(ctx, Latest)
	switch {
	case err == nil:
		c.good("pull", "you may; there is a snapshot with the tag latest")
	case errors.Is(err, errdef.ErrNotFound):
		c.good("pull", "you may; there is no snapshot with the tag latest yet")
	default:
		c.failed("pull", err)
	}
	return err == nil || errors.Is(err, errdef.ErrNotFound)
}

// probe is a blob that nobody has: a registry that has a blob takes no second one.
func probe() (ocispec.Descriptor, []byte) {
	b := make([]byte, 2*minChunk)
	_, _ = rand.Read(b) // it never fails
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromBytes(b), Size: int64(len(b))}, b
}

// push uploads a blob as a snapshot's are, in two chunks.
func (c *check) push(ctx context.Context) {
	desc, b := probe()
	u := &upload{r: c.r, from: memory(b), desc: desc, chunk: minChunk}
	defer u.closeSource()
	if err := u.begin(ctx); err != nil {
		c.failed("push", err)
		return
	}
	least := u.least
	u.chunk = max(least, minChunk)
	if err := u.patch(ctx); err != nil {
		c.failed("push", err)
		return
	}
	chunks := !c.r.noChunks.Load()
	resumes := chunks && u.ask(ctx) == nil && u.sent > 0
	keeps := resumes && c.breakOff(ctx, u)
	err := u.run(ctx)
	if status(err) == http.StatusRequestedRangeNotSatisfiable && u.ask(ctx) == nil {
		err = u.run(ctx) // what was broken off arrived after it was asked for
	}
	if err != nil {
		c.failed("push", err)
		return
	}
	c.good("push", "you may")
	switch {
	case !chunks:
		c.bad("chunks", false, "it takes a blob in one request only", "an upload that breaks begins anew: push over a good link")
	case !resumes:
		c.bad("chunks", false, "it takes chunks, and cannot say how many it has", "an upload that breaks begins anew with that blob")
	case !keeps:
		c.bad("chunks", false, "an upload that breaks within a chunk is forgotten", "such a blob begins anew: distribution 2 does that")
	case least > 0:
		c.good("chunks", "uploads go on where they broke; at least %d bytes each", least)
	default:
		c.good("chunks", "uploads go on where they broke")
	}
	if c.r.rewrote.Load() {
		c.bad("address", false, "it calls itself by another name than you do", "its proxy should set X-Forwarded-Proto and Host; requests go where you say")
	}
	c.ranges(ctx, desc)
}

// breakOff lets a chunk break in the middle, and reports whether the registry knows the
// upload afterwards.
func (c *check) breakOff(ctx context.Context, u *upload) bool {
	rest := u.desc.Size - u.sent
	req, err := u.request(ctx, http.MethodPatch, u.at, nil)
	if err != nil || rest < 2 {
		return true // nothing to be said against it
	}
	src, err := u.from.FetchFrom(ctx, u.desc, u.sent)
	if err != nil {
		return true
	}
	req.Body, req.ContentLength, req.GetBody = io.NopCloser(io.LimitReader(src, rest/2)), rest, nil
	req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", u.sent, u.desc.Size-1))
	_, _ = c.r.request(req) // the body is too short: it breaks
	if c.r.opt.Wait(ctx, firstWait) != nil {
		return true
	}
	return u.ask(ctx) == nil && u.at != nil
}

// ranges asks for the end of a blob.
func (c *check) ranges(ctx context.Context, desc ocispec.Descriptor) {
	d := &download{r: c.r, ctx: ctx, desc: desc, at: desc.Size / 2}
	body, err := d.open(ctx)
	if err == nil {
		_, err = io.Copy(io.Discard, body)
		err = errors.Join(err, body.Close())
	}
	switch {
	case d.noRange:
		c.bad("ranges", false, "it sends blobs as a whole only", "a download that breaks fetches again what it had")
	case err != nil:
		c.failed("ranges", err)
	default:
		c.good("ranges", "downloads go on where they broke")
	}
}

// referrers asks for the API that signatures are found by (distribution-spec 1.1,
// "Listing Referrers").
func (c *check) referrers(ctx context.Context) {
	desc, _ := probe()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.r.base.JoinPath("referrers", desc.Digest.String()).String(), nil)
	if err == nil {
		_, err = c.r.request(req)
	}
	if err != nil {
		c.bad("referrers", false, "it has no list of referrers", "signatures are found by a tag instead")
		return
	}
	c.good("referrers", "it lists them")
}

// remove asks to delete what is not there.
func (c *check) remove(ctx context.Context) {
	desc, _ := probe()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.r.base.JoinPath("manifests", desc.Digest.String()).String(), nil)
	if err == nil {
		_, err = c.r.request(req)
	}
	switch status(err) {
	case http.StatusNotFound, 0:
		c.good("delete", "you may")
	case http.StatusUnauthorized, http.StatusForbidden:
		c.bad("delete", false, "you may not", "snapshots stay until its administrator removes them")
	default:
		c.bad("delete", false, "it does not delete", "snapshots stay until its administrator allows it")
	}
}

// memory is a blob that is not in a file.
type memory []byte

// Fetch implements Source.
func (m memory) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	return m.FetchFrom(ctx, desc, 0)
}

// FetchFrom implements Source.
func (m memory) FetchFrom(_ context.Context, _ ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(m[offset:])), nil
}
