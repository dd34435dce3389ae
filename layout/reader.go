package layout

import (
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// blobReader hands out a blob's bytes and checks them on the way: it answers
// io.EOF only if size and digest are what the descriptor says. A reader who
// stops before has bytes nobody vouches for.
type blobReader struct {
	io.Closer
	src      io.Reader
	desc     ocispec.Descriptor
	verifier digest.Verifier
	got      int64
	err      error // the last answer, given again from then on
}

func newBlobReader(f io.ReadCloser, desc ocispec.Descriptor) *blobReader {
	return &blobReader{Closer: f, src: f, desc: desc, verifier: desc.Digest.Verifier()}
}

// Read implements io.Reader.
func (r *blobReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := r.src.Read(p)
	if over := r.got + int64(n) - r.desc.Size; over > 0 {
		n -= int(over)
		r.err = r.corrupt("longer than the %d bytes its descriptor says", r.desc.Size)
	}
	// A digest.Verifier is a hash: its Write never fails.
	_, _ = r.verifier.Write(p[:n])
	r.got += int64(n)
	switch {
	case r.err != nil:
	case err == io.EOF:
		r.err = r.atEOF()
	case err != nil:
		r.err = fmt.Errorf("blob %s: %w", r.desc.Digest, err)
	}
	if n > 0 && errors.Is(r.err, io.EOF) {
		return n, nil
	}
	return n, r.err
}

func (r *blobReader) atEOF() error {
	if r.got < r.desc.Size {
		return r.corrupt("%d bytes, its descriptor says %d", r.got, r.desc.Size)
	}
	if !r.verifier.Verified() {
		return r.corrupt("its %d bytes have another digest", r.got)
	}
	return io.EOF
}

func (r *blobReader) corrupt(format string, args ...any) error {
	return fmt.Errorf("blob %s: %w: %s", r.desc.Digest, ErrCorrupt, fmt.Sprintf(format, args...))
}
