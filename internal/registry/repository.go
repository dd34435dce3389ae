package registry

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/xcrate/xcrate/internal/progress"
)

// Options say how a registry is reached, and how long.
type Options struct {
	// PlainHTTP speaks HTTP without TLS.
	PlainHTTP bool
	// TLS is how servers are trusted, and how this client proves who it is.
	TLS TLS
	// Username and Password are for the registry of the reference alone; without a
	// password the files of docker and podman are asked.
	Username, Password string
	// Env looks a variable of the environment up: where those files are, and proxies.
	Env func(string) string
	// UserID is whose those files are, in /run.
	UserID int
	// RetryFor is for how long an operation that does not advance is tried again.
	RetryFor time.Duration
	// StallAfter is how long nothing has to come before a connection counts as broken.
	StallAfter time.Duration
	// Parallel is how many blobs are on their way at once.
	Parallel int
	// Chunk is how many bytes of a blob go in one request, and how many are sent again
	// at most when it breaks. There are Parallel of them in memory.
	Chunk int64
	// UserAgent is what this client calls itself.
	UserAgent string
	// Sessions keeps uploads that did not end. May be nil.
	Sessions Sessions
	// Now is the clock, and Wait waits for d, or until ctx is done.
	Now  func() time.Time
	Wait func(ctx context.Context, d time.Duration) error
	// Note tells a person of what is worth knowing and no error.
	Note func(format string, args ...any)
	// Progress hears of bytes that the registry has.
	Progress progress.Sink
}

// Defaults of Options, for who knows no better.
const (
	DefaultRetryFor   = 5 * time.Minute
	DefaultStallAfter = time.Minute
	DefaultParallel   = 4
	DefaultChunk      = 8 << 20
)

// Repository is a repository of a registry.
type Repository struct {
	ref    Reference
	opt    Options
	base   *url.URL // of the API, .../v2/REPOSITORY
	remote *remote.Repository
	client *auth.Client

	answered atomic.Bool // by the registry, at least once
	noChunks atomic.Bool // it refuses uploads in chunks
	rewrote  atomic.Bool // and names itself wrongly

	sent atomic.Int64 // bytes of blobs, in a push
}

// Open returns the repository of ref. It sends nothing yet.
func Open(ref Reference, o Options) (*Repository, error) {
	transport, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	target, err := remote.NewRepository(ref.At())
	if err != nil {
		return nil, err
	}
	r := &Repository{ref: ref, opt: o, remote: target}
	r.client = &auth.Client{
		Client:     &http.Client{Transport: transport},
		Cache:      auth.NewCache(),
		Credential: r.credentials(),
		Header:     http.Header{"User-Agent": {o.UserAgent}},
	}
	target.Client = watched{r}
	target.PlainHTTP = o.PlainHTTP
	target.SkipReferrersGC = true // which would need the right to delete
	r.base = &url.URL{Scheme: "https", Host: target.Reference.Host(), Path: "/v2/" + ref.Repository}
	if o.PlainHTTP {
		r.base.Scheme = "http"
	}
	return r, nil
}

// scoped tells the token service what ctx is for.
func (r *Repository) scoped(ctx context.Context, actions ...string) context.Context {
	return auth.AppendRepositoryScope(ctx, r.remote.Reference, actions...)
}
