package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	firstWait = 500 * time.Millisecond
	maxWait   = 30 * time.Second
)

// trying does something until it works, as long as that may help. do reports whether it
// got further than it ever was: from then on there is RetryFor again.
func (r *Repository) trying(ctx context.Context, what string, do func(context.Context) (further bool, err error)) error {
	since, tries := r.opt.Now(), 0
	for {
		further, err := do(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !r.passing(err):
			return r.explain(what, err)
		}
		if further {
			since, tries = r.opt.Now(), 0
		}
		wait, left := pause(err, tries), r.opt.RetryFor-r.opt.Now().Sub(since)
		if left <= 0 || wait > left && asked(err) > 0 {
			return r.gaveUp(what, err)
		}
		if tries == 1 { // the first pause is too short to speak of
			r.opt.Note("%s: %v; trying again", what, plain(err))
		}
		tries++
		if err := r.opt.Wait(ctx, min(wait, left)); err != nil {
			return err
		}
	}
}

// gaveUp says that trying again did not help.
func (r *Repository) gaveUp(what string, err error) error {
	if after := asked(err); after > 0 {
		what += fmt.Sprintf(": to be tried again in %v", after)
	} else if r.opt.RetryFor > 0 {
		what += fmt.Sprintf(": nothing moved for %v", r.opt.RetryFor)
	}
	return r.explain(what, err)
}

// pause is how long to wait before the next try: what the registry asks for, or twice
// as long as before, and never at the same time as all others who wait for it.
func pause(err error, tries int) time.Duration {
	wait := min(firstWait<<min(tries, 10), maxWait)
	wait = wait/2 + rand.N(wait) //nolint:gosec // it only spreads clients out
	return max(wait, asked(err))
}

// laterError is an answer that says when to come back.
type laterError struct {
	error
	after time.Duration
}

func (e *laterError) Unwrap() error { return e.error }

// asked is how long an answer asks to wait, 0 if it does not say.
func asked(err error) time.Duration {
	var later *laterError
	if errors.As(err, &later) {
		return later.after
	}
	return 0
}

// retryAfter reads the header of that name (RFC 9110, 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// passing reports whether err may be gone when it is tried again.
func (r *Repository) passing(err error) bool {
	switch code := status(err); {
	case errors.Is(err, errAgain):
		return true
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
		return true
	case code == http.StatusNotImplemented, code == http.StatusHTTPVersionNotSupported:
		return false
	case code != 0:
		return code >= 500
	}
	var timeout net.Error
	var dns *net.DNSError
	var source *sourceError
	switch {
	case errors.As(err, &source):
		return false // it is not this registry that failed
	case errors.As(err, &dns):
		return !dns.IsNotFound && r.answered.Load()
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		// A registry that never answered is more likely a wrong name than a bad link.
		return r.answered.Load()
	case errors.Is(err, ErrStalled),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED),
		errors.Is(err, syscall.ETIMEDOUT):
		return true
	case errors.As(err, &timeout) && timeout.Timeout():
		return true
	}
	// Errors of HTTP/2 are types of net/http that it does not export.
	text := err.Error()
	return strings.Contains(text, "http2:") || strings.Contains(text, "stream error:") ||
		strings.Contains(text, "server closed idle connection") || strings.Contains(text, "transport connection broken")
}

// errAgain marks an answer that made no sense, and may make some the next time.
var errAgain = errors.New("try again")
