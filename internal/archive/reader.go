package archive

import (
	"archive/tar"
	"io"

	"github.com/xcrate/xcrate/artifact"
)

// Reader reads what Writer wrote.
type Reader struct{ tar *tar.Reader }

// NewReader starts to read a tar stream. Where r can seek, content that nobody
// reads is passed over.
func NewReader(r io.Reader) *Reader { return &Reader{tar.NewReader(r)} }

// Next returns the next entry without its digest, and its content, valid until
// the next call; io.EOF at the end of the stream.
func (r *Reader) Next() (artifact.Entry, io.Reader, error) {
	h, err := r.tar.Next()
	if err != nil {
		return artifact.Entry{}, nil, err
	}
	e, err := artifact.EntryFromHeader(h)
	return e, r.tar, err
}
