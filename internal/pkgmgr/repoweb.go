package pkgmgr

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/xcrate/xcrate/internal/host"
)

// web reads files by URL: over HTTP, or from this machine.
type web struct {
	client *http.Client
	stall  time.Duration
	root   *host.Root // of file URLs, nil for this machine
}

const (
	maxCAFile    = 16 << 20
	maxRedirects = 10
)

func newWeb(o SourceOptions) (*web, error) {
	connect := cmp.Or(o.Connect, o.Stall)
	t := &http.Transport{
		Proxy: o.Proxy, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4,
		DialContext: (&net.Dialer{Timeout: connect}).DialContext, TLSHandshakeTimeout: connect,
	}
	if o.CAFile != "" {
		pool, err := readCAs(o.caRoot, o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("certificates %s: %w", o.CAFile, err)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &web{&http.Client{Transport: t, CheckRedirect: checkRedirect}, o.Stall, o.Root}, nil
}

// readCAs reads a file of root, of this machine where that is nil.
func readCAs(root *host.Root, file string) (*x509.CertPool, error) {
	if root == nil {
		abs, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		machine, err := host.OpenRoot("/")
		if err != nil {
			return nil, err
		}
		defer func() { _ = machine.Close() }()
		root, file = machine, abs
	}
	b, err := root.ReadFile(file, maxCAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, errors.New("no certificate in it")
	}
	return pool, nil
}

// checkRedirect refuses to go on without TLS what began with it.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("redirect from https to %s", shown(req.URL))
	}
	return nil
}

// statusError is an answer of a server other than 200.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("%d %s", int(e), http.StatusText(int(e))) }

// get has use read the file at u. The error names it.
func (w *web) get(ctx context.Context, u *url.URL, use func(io.Reader) error) error {
	read := w.overHTTP
	if u.Scheme == "file" {
		read = w.fromDisk
	}
	if err := read(ctx, u, use); err != nil {
		return fmt.Errorf("%s: %w", shown(u), err)
	}
	return nil
}

func (w *web) fromDisk(ctx context.Context, u *url.URL, use func(io.Reader) error) error {
	root := w.root
	if root == nil {
		machine, err := host.OpenRoot("/")
		if err != nil {
			return err
		}
		defer func() { _ = machine.Close() }()
		root = machine
	}
	f, err := openFile(root, u.Path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return use(&cancelReader{ctx, f})
}

func (w *web) overHTTP(ctx context.Context, u *url.URL, use func(io.Reader) error) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := fmt.Errorf("no byte for %s", w.stall)
	timer := time.AfterFunc(w.stall, func() { cancel(stalled) })
	defer timer.Stop()
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause // what it did to the reader says less
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return unwrapURL(err)
	}
	// Else the transport would unpack what the metadata has the digest of packed.
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := w.client.Do(req)
	if err != nil {
		return unwrapURL(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return statusError(resp.StatusCode)
	}
	return use(&watched{resp.Body, timer, w.stall})
}

// unwrapURL takes the URL, which may hold credentials, out of an error.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// watched lets its timer run while the server is waited for.
type watched struct {
	r     io.Reader
	timer *time.Timer
	stall time.Duration
}

func (w *watched) Read(b []byte) (int, error) {
	w.timer.Reset(w.stall)
	defer w.timer.Stop()
	return w.r.Read(b)
}

// parseURL accepts the URLs files are read by.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil { // the error would repeat all of it
		return nil, fmt.Errorf("URL of %d bytes: it cannot be parsed", len(s))
	}
	switch {
	case u.Scheme == "http" || u.Scheme == "https":
		if u.Host == "" {
			return nil, fmt.Errorf("URL %s: it names no server", shown(u))
		}
	case u.Scheme == "file":
		if u.Host != "" && u.Host != "localhost" {
			return nil, fmt.Errorf("URL %s: a file of another machine", shown(u))
		}
	default:
		return nil, fmt.Errorf("URL %s: neither http, https nor file", shown(u))
	}
	return u, nil
}

// shown is u without what may be a secret: user, password, query, fragment.
func shown(u *url.URL) string {
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	s := bare.String()
	if u.RawQuery != "" {
		s += "?..."
	}
	return s
}

// under returns the URL of file loc of the repository at base.
func under(base *url.URL, loc string) *url.URL {
	u := *base
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/")+"/"+loc, ""
	return &u
}

// checkLocation returns where a file lies in its repository as a plain path.
// Metadata that leads out of the repository would have us read any file.
func checkLocation(href string) (string, error) {
	loc := href
	// Servers undo escapes, so the path must be looked at without them.
	if plain, err := url.PathUnescape(href); err == nil {
		loc = plain
	}
	return localPath(loc)
}

// localPath is checkLocation for what is a path already.
func localPath(loc string) (string, error) {
	clean := strings.TrimPrefix(loc, "./")
	if clean == "" || !filepath.IsLocal(clean) || strings.ContainsAny(clean, "\x00\\") {
		return "", fmt.Errorf("location %.200q: it leads out of the repository", loc)
	}
	return clean, nil
}
