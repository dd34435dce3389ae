package pkgmgr

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxWindow is how far back a zstd or xz stream may refer: what "zstd --ultra --long"
// uses and a decoder must not be made to keep more than.
const maxWindow = 128 << 20

// unpack returns what r unpacks to, by its first bytes; r itself where it is
// not packed. done releases the decoder.
func unpack(r io.Reader) (_ io.Reader, done func(), err error) {
	in := bufio.NewReaderSize(r, 1<<16)
	magic, err := in.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	done = func() {}
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(in)
		return z, done, err
	case bytes.HasPrefix(magic, []byte("BZh")):
		return bzip2.NewReader(in), done, nil
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		z, err := xz.NewReader(newXZGuard(in, maxWindow))
		return z, done, err
	case bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return in, done, nil
}

// bounded fails once more than left bytes were read: a small file can unpack to
// anything.
type bounded struct {
	r           io.Reader
	left, limit int64
}

func newBounded(r io.Reader, limit int64) *bounded { return &bounded{r, limit, limit} }

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, tooLarge(b.limit)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left+1)])
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, tooLarge(b.limit)
	}
	return n, err
}

// again allows another limit bytes.
func (b *bounded) again() { b.left = b.limit }
