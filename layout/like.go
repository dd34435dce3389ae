package layout

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// oldBlob is a blob that may be the one that is being written.
type oldBlob struct {
	file file
	desc ocispec.Descriptor
	buf  [256 << 10]byte
}

// store writes p to the file, unless it goes on as the old blob does.
func (b *blobWriter) store(p []byte) (int, error) {
	if b.old != nil {
		if b.same(p) {
			return len(p), nil
		}
		if err := b.catchUp(); err != nil {
			return 0, err
		}
	}
	return b.write(b.file, p)
}

// same reports whether the old blob goes on with p. One that cannot be read
// does not.
func (b *blobWriter) same(p []byte) bool {
	for at := b.size; len(p) > 0; {
		n := min(len(p), len(b.old.buf))
		if _, err := b.old.file.ReadAt(b.old.buf[:n], at); err != nil || !bytes.Equal(b.old.buf[:n], p[:n]) {
			return false
		}
		p = p[n:]
		at += int64(n)
	}
	return true
}

// catchUp writes what was found to be the same so far, and compares no more. The
// bytes are read once more, and must be those that went into the digest.
func (b *blobWriter) catchUp() error {
	old := b.old
	b.old = nil
	again := sha256.New()
	from := &contextReader{ctx: b.ctx, r: io.TeeReader(io.NewSectionReader(old.file, 0, b.size), again)}
	to := writerFunc(func(p []byte) (int, error) { return b.write(b.file, p) })
	if _, err := io.CopyBuffer(to, from, old.buf[:]); err != nil {
		return err
	}
	if b.size > 0 && !bytes.Equal(again.Sum(nil), b.hash.Sum(nil)) {
		return fmt.Errorf("%w: another content than a moment ago", ErrCorrupt)
	}
	return nil
}

// end comes after the last Write: an old blob that goes on, or whose name is not
// its digest, is another one.
func (b *blobWriter) end() {
	if b.old != nil && b.err == nil && (b.size != b.old.desc.Size || digest.NewDigest(digest.SHA256, b.hash) != b.old.desc.Digest) {
		b.err = b.catchUp()
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
