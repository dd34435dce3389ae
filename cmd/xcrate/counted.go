package main

import (
	"context"
	"io"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/internal/progress"
)

// counted tells a progress sink of every byte fetched, of each blob once.
type counted struct {
	content.Fetcher
	to   progress.Sink
	seen sync.Map // digests
}

// Fetch implements content.Fetcher.
func (c *counted) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	r, err := c.Fetcher.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	if _, again := c.seen.LoadOrStore(desc.Digest, true); again {
		return r, nil
	}
	return countedReader{r, c.to}, nil
}

type countedReader struct {
	io.ReadCloser
	to progress.Sink
}

func (r countedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.to.Add(int64(n))
	return n, err
}

// counter is a sum that several goroutines add to.
type counter struct {
	mu sync.Mutex
	n  int64
}

func (c *counter) add(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
}

func (c *counter) get() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
