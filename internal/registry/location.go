package registry

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// location reads where an upload goes on (distribution-spec, "Pushing a blob in
// chunks": Location), nil if an answer does not say. Whatever it names, requests go to
// the host and port they went to before, and never without TLS where there was some: a
// registry behind a proxy may not know how it is called outside.
func (r *Repository) location(resp *http.Response) (*url.URL, error) {
	text := resp.Header.Get("Location")
	if text == "" {
		return nil, nil
	}
	to, err := resp.Request.URL.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("location of the upload: %w", errAgain)
	}
	if !strings.EqualFold(to.Hostname(), r.base.Hostname()) {
		return nil, fmt.Errorf("%w: %s", ErrLocation, to.Hostname())
	}
	if (to.Scheme != r.base.Scheme || !strings.EqualFold(to.Host, r.base.Host)) && !r.rewrote.Swap(true) {
		r.opt.Note("registry %s calls itself %s://%s: its proxy does not tell it X-Forwarded-Proto and Host", r.ref.Host, to.Scheme, to.Host)
	}
	to.Scheme, to.Host, to.User, to.Fragment = r.base.Scheme, r.base.Host, nil, ""
	return to, nil
}
