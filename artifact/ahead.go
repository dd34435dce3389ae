package artifact

import (
	"context"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
)

// An ahead reader holds up to this many buffers of this size: enough that two
// stages seldom wait for each other, little enough for many layers at once.
const (
	aheadBuffers = 3
	aheadSize    = 256 << 10
)

// ahead reads from another reader in a goroutine of its own, some buffers before
// whoever reads from it. So the digest of a blob is computed on one core while
// another decodes what was read; and a reader that takes a tar header at a time
// costs no call of the system for each.
type ahead struct {
	full chan chunk
	free chan []byte // buffers; those not made yet are nil
	stop chan struct{}
	at   chunk  // what is being handed out
	buf  []byte // the buffer at lies in
}

// chunk is what was read, and the error that came after it.
type chunk struct {
	b   []byte
	err error
}

// newAhead starts to read src, in buffers of at most size bytes. Nobody else may
// read src before close has returned, or Read has returned an error.
func newAhead(src io.Reader, size int64) *ahead {
	a := &ahead{full: make(chan chunk, aheadBuffers), free: make(chan []byte, aheadBuffers), stop: make(chan struct{})}
	for range aheadBuffers {
		a.free <- nil
	}
	go a.run(src, int(min(max(size, 512), aheadSize)))
	return a
}

func (a *ahead) run(src io.Reader, size int) {
	defer close(a.full)
	for {
		select {
		case <-a.stop:
			return
		case b := <-a.free:
			if b == nil {
				b = make([]byte, size)
			}
			c := fill(src, b)
			a.full <- c // has room for every buffer there is
			if c.err != nil {
				return
			}
		}
	}
}

// fill reads until b is full or there is an error.
func fill(src io.Reader, b []byte) chunk {
	n, err := 0, error(nil)
	for n < len(b) && err == nil {
		var m int
		m, err = src.Read(b[n:])
		n += m
	}
	return chunk{b[:n], err}
}

// Read implements io.Reader: it gives the bytes and the error of the source.
func (a *ahead) Read(p []byte) (int, error) {
	for len(a.at.b) == 0 && a.at.err == nil {
		if a.buf != nil {
			a.free <- a.buf
		}
		var ok bool
		if a.at, ok = <-a.full; !ok {
			a.at.err = io.ErrClosedPipe // read after close
		}
		a.buf = a.at.b[:cap(a.at.b)]
	}
	n := copy(p, a.at.b)
	a.at.b = a.at.b[n:]
	if n == 0 && len(a.at.b) == 0 {
		return 0, a.at.err
	}
	return n, nil
}

// close ends the goroutine; the source may be closed then.
func (a *ahead) close() {
	close(a.stop)
	for range a.full { // until run has ended
	}
}

// aheadBlob is a blob that is read ahead.
type aheadBlob struct {
	*ahead
	blob io.Closer
}

func fetchAhead(ctx context.Context, f content.Fetcher, desc ocispec.Descriptor) (*aheadBlob, error) {
	blob, err := f.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	// One byte more, so that a small blob and its end come with one read.
	return &aheadBlob{newAhead(blob, desc.Size+1), blob}, nil
}

// Close implements io.Closer.
func (b *aheadBlob) Close() error {
	b.ahead.close()
	return b.blob.Close()
}
