package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// Error is what a registry, or the way to it, did not let be done.
type Error struct {
	// What was to be done, and with what, as a noun phrase.
	What string
	// Cause says in other words than Err why it did not work, "" if those will do.
	Cause string
	// Advice is what to do about it, "" if there is none. It may have several lines.
	Advice string
	// Err is what was answered.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	parts := []string{e.What}
	if e.Cause != "" {
		parts = append(parts, e.Cause)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns what was answered.
func (e *Error) Unwrap() error { return e.Err }

// ErrLocation says that a registry wants an upload to go to another host.
var ErrLocation = errors.New("uploads are sent to another host")

// explain makes an Error of err, with what a person can do.
func (r *Repository) explain(what string, err error) error {
	var done *Error
	var other *sourceError
	if err == nil || errors.As(err, &done) || errors.As(err, &other) {
		return err
	}
	cause, advice := r.translate(err)
	return &Error{What: fmt.Sprintf("registry %s: %s", r.ref.Host, what), Cause: cause, Advice: advice, Err: plain(err)}
}

// plain leaves out of a message the address of the request, which says little and may
// hold what opens an upload.
func plain(err error) error {
	for inner, text := range map[error]string{errdef.ErrNotFound: "not there", auth.ErrBasicCredentialNotFound: "nobody logged in"} {
		if errors.Is(err, inner) {
			return &said{text: text, err: err}
		}
	}
	var answer *errcode.ErrorResponse
	if errors.As(err, &answer) {
		text := []string{fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))}
		for _, one := range answer.Errors {
			one.Detail = nil // it is for programs
			text = append(text, one.Error())
		}
		return &said{text: strings.Join(text, ": "), err: err}
	}
	var request interface {
		Unwrap() error
		Timeout() bool
	}
	if errors.As(err, &request) && strings.Contains(err.Error(), "://") {
		if inner := request.Unwrap(); inner != nil {
			return &said{text: inner.Error(), err: err}
		}
	}
	return err
}

// said is an error in other words.
type said struct {
	text string
	err  error
}

func (s *said) Error() string { return s.text }
func (s *said) Unwrap() error { return s.err }

// status is the code of an answer, 0 if there was none.
func status(err error) int {
	var answer *errcode.ErrorResponse
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

func (r *Repository) translate(err error) (cause, advice string) {
	if cause, advice = r.translateStatus(err); advice != "" {
		return cause, advice
	}
	if cause, advice = r.translateTLS(err); advice != "" {
		return cause, advice
	}
	var dns *net.DNSError
	text := err.Error()
	switch {
	case errors.As(err, &dns):
		return "its name is not known", "is it written right, and does this machine resolve it? getent hosts " + dns.Name
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there", "is it running, and on that port? behind a proxy: HTTPS_PROXY"
	case errors.Is(err, ErrStalled):
		return "", "the link is too bad, or something on the way drops what it does not like;\nkeep trying for longer: --retry-for 2h"
	case errors.Is(err, ErrLocation):
		return "", "a registry that hands uploads on to other hosts is not supported: push to that\nhost, or have its administrator switch redirects of uploads off"
	case strings.Contains(text, "in blocked prefix"):
		return "it sends this client for a token to an address that no registry should name", "its administrator must name the token service by a name or address that\nother machines reach"
	case strings.Contains(text, "bearer realm") && strings.Contains(text, "over https"):
		return "it sends this client for a token to a service without TLS", "its administrator must give the token service's address with https://"
	case errors.Is(err, errdef.ErrSizeExceedsLimit):
		return "a manifest of more than 4 MiB", "no snapshot has one: is it the right repository?"
	}
	return "", ""
}

func (r *Repository) translateStatus(err error) (cause, advice string) {
	code := status(err)
	if errors.Is(err, auth.ErrBasicCredentialNotFound) {
		code = http.StatusUnauthorized
	}
	switch code {
	case http.StatusBadRequest:
		var answer *errcode.ErrorResponse
		if r.opt.PlainHTTP && errors.As(err, &answer) && len(answer.Errors) == 0 { // it is no registry that says so
			return "it may speak TLS", "leave out --plain-http"
		}
	case http.StatusUnauthorized:
		return "it does not know who you are", "log in: podman login " + r.ref.Host + ",\nor say who you are: --username NAME --password-stdin"
	case http.StatusForbidden:
		return "you may not do that", "ask for the right to " + r.ref.At() + ", or be somebody else:\n--username NAME --password-stdin"
	case http.StatusNotFound:
		return "", "see which there are: xcrate list " + r.ref.At()
	case http.StatusRequestEntityTooLarge:
		return "it, or a proxy before it, takes no requests of that size", "its administrator can raise the limit (nginx: client_max_body_size 0);\nnothing that is there has to be sent again"
	case http.StatusTooManyRequests:
		return "it wants fewer requests", "come back later, or keep trying: --retry-for 2h"
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return "it does not do that", "see what it can do: xcrate registry check " + r.ref.At()
	}
	if code >= 500 {
		return "the fault is on its side", "look at its logs and its disk; nothing that is there has to be sent again;\nkeep trying: --retry-for 2h"
	}
	if errors.Is(err, errdef.ErrNotFound) {
		return "", "see which there are: xcrate list " + r.ref.At()
	}
	return "", ""
}

func (r *Repository) translateTLS(err error) (cause, advice string) {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		alert   tls.AlertError
	)
	text := err.Error()
	switch {
	case errors.As(err, &unknown):
		return "nobody this machine trusts vouches for it", "give the certificate of its authority: --ca-file FILE"
	case errors.As(err, &name):
		return "its certificate is for another name", "use the name that is in its certificate"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate is not valid now", "is the clock of this machine right? date; else it needs a new certificate"
	case strings.Contains(text, "server gave HTTP response to HTTPS client"), errors.As(err, &record):
		return "it does not speak TLS", "if that is meant: --plain-http"
	case strings.Contains(text, "client sent an HTTP request to an HTTPS server"):
		return "it speaks TLS", "leave out --plain-http"
	case errors.As(err, &alert), strings.Contains(text, "remote error: tls:"):
		return "it did not accept this client", "it may want a certificate: --client-cert FILE --client-key FILE"
	case strings.Contains(text, "x509:") || strings.Contains(text, "tls:"):
		return "its certificate cannot be trusted", "if nobody can be in between: --insecure-skip-tls-verify"
	}
	return "", ""
}
