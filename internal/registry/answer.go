package registry

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// maxAnswer is how much of an answer is read for what went wrong, in bytes.
const maxAnswer = 8 << 10

// answer makes an error of an answer that is none of those hoped for
// (distribution-spec, "Error Codes").
func (r *Repository) answer(resp *http.Response) error {
	e := &errcode.ErrorResponse{Method: resp.Request.Method, URL: resp.Request.URL, StatusCode: resp.StatusCode}
	var body struct {
		Errors errcode.Errors `json:"errors"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&body) == nil { // a proxy's answer is HTML
		e.Errors = body.Errors
	}
	if after := retryAfter(resp.Header, r.opt.Now()); after > 0 {
		return &laterError{error: e, after: after}
	}
	return e
}

// failed makes an error of an answer that says that the request is to be sent again
// later, or that the registry is broken. oras-go would forget when to come back.
func (r *Repository) failed(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
	default:
		if resp.StatusCode < http.StatusInternalServerError {
			return nil
		}
	}
	return errors.Join(r.answer(resp), resp.Body.Close())
}

// request sends a request about a blob or an upload, and closes what it answers.
func (r *Repository) request(req *http.Request) (*http.Response, error) {
	resp, err := r.send(req)
	if err != nil {
		return nil, err
	}
	// The body is small, and the connection is used again only if it was read.
	if resp.StatusCode < http.StatusBadRequest {
		_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // what it holds says nothing more
		return resp, resp.Body.Close()
	}
	return resp, errors.Join(r.answer(resp), resp.Body.Close())
}

func (r *Repository) blobURL(desc ocispec.Descriptor) string {
	return r.base.JoinPath("blobs", desc.Digest.String()).String()
}
