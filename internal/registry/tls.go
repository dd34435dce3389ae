package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// TLS is how servers are trusted, and how a client proves who it is. It holds for the
// registry, for the service its tokens come from, and where it redirects to.
type TLS struct {
	// CA are certificates in PEM that are trusted beside those of the system.
	CA []byte
	// Certificate and Key are the client's own, in PEM.
	Certificate, Key []byte
	// SkipVerify trusts whoever answers.
	SkipVerify bool
}

func (t TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.SkipVerify}
	if t.CA != nil {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // a machine without certificates of its own
		}
		if !pool.AppendCertsFromPEM(t.CA) {
			return nil, errors.New("certificates of the authority: none in PEM")
		}
		c.RootCAs = pool
	}
	if t.Certificate != nil {
		pair, err := tls.X509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate of the client: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// newTransport is one door for all requests, those for tokens too. It tries nothing
// again by itself: who sends chunks has to know what became of them.
func newTransport(o Options) (*http.Transport, error) {
	c, err := o.TLS.config()
	if err != nil {
		return nil, err
	}
	proxy := proxyFrom(o.Env)
	return &http.Transport{
		Proxy:               func(r *http.Request) (*url.URL, error) { return proxy(r.URL) },
		TLSClientConfig:     c,
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 30 * time.Second,
		IdleConnTimeout:     30 * time.Second, // less than what proxies allow
		MaxIdleConnsPerHost: o.Parallel + 1,
		WriteBufferSize:     256 << 10,
		ReadBufferSize:      256 << 10,
	}, nil
}

// proxyFrom reads what curl and docker read too.
func proxyFrom(env func(string) string) func(*url.URL) (*url.URL, error) {
	get := func(upper, lower string) string {
		if v := env(upper); v != "" {
			return v
		}
		return env(lower)
	}
	return (&httpproxy.Config{
		HTTPProxy:  get("HTTP_PROXY", "http_proxy"),
		HTTPSProxy: get("HTTPS_PROXY", "https_proxy"),
		NoProxy:    get("NO_PROXY", "no_proxy"),
	}).ProxyFunc()
}
