package artifact

import (
	"archive/tar"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/zeebo/blake3"
	"oras.land/oras-go/v2/content"
)

// LayerReader reads the entries of one tar layer.
type LayerReader struct {
	desc ocispec.Descriptor
	kind Kind
	part int
	blob *aheadBlob
	zstd *zstd.Decoder // nil for a plain layer
	text *ahead        // what zstd decodes
	tar  *tar.Reader
	// ended says that the archive was read to its end.
	ended bool
}

// OpenLayer opens layer desc. The fetcher must check what it hands out: at the
// end of a blob whose size or digest is not desc's its reader returns an
// error, as layout's does. Nothing read before Finish returned nil is verified.
func OpenLayer(ctx context.Context, f content.Fetcher, desc ocispec.Descriptor) (*LayerReader, error) {
	kind, part, _, err := layerPart(desc)
	if err != nil {
		return nil, err
	}
	l := &LayerReader{desc: desc, kind: kind, part: part}
	if l.blob, err = fetchAhead(ctx, f, desc); err != nil {
		return nil, err
	}
	switch desc.MediaType {
	case TypeTar:
		l.tar = tar.NewReader(l.blob)
	case TypeTarZstd:
		if l.zstd, err = NewZstdReader(l.blob); err != nil {
			return nil, errors.Join(err, l.blob.Close())
		}
		l.text = newAhead(l.zstd, aheadSize)
		l.tar = tar.NewReader(l.text)
	case TypeTarAge, TypeTarZstdAge:
		return nil, errors.Join(fmt.Errorf("layer %s: %w", desc.Digest, ErrSealed), l.blob.Close())
	default:
		return nil, errors.Join(fmt.Errorf("media type %q: cannot be read by this version", desc.MediaType), l.blob.Close())
	}
	return l, nil
}

// Next returns the next entry with kind and part but no digest, and its
// content (empty for what is not a file), valid until the next call; io.EOF at
// the end of the stream.
func (l *LayerReader) Next() (Entry, io.Reader, error) {
	h, err := l.tar.Next()
	if err != nil {
		l.ended = errors.Is(err, io.EOF)
		return Entry{}, nil, err
	}
	e, err := EntryFromHeader(h)
	if err != nil {
		return Entry{}, nil, err
	}
	e.Kind, e.Part = l.kind, l.part
	return e, l.tar, nil
}

// Finish reads the blob to its end. It returns nil only if the fetcher found size and
// digest right, and nothing but zeros to fill it up follows an archive that was read to
// its end. It may be called after an error of Next, to learn whether the blob itself is
// damaged; what is left of the archive is not decoded then.
func (l *LayerReader) Finish() error {
	var structure error
	if l.ended {
		structure = l.trailing()
	}
	l.stop()
	if _, err := io.Copy(io.Discard, l.blob); err != nil {
		return err // the digest tells more than the decoder's complaint
	}
	return structure
}

// stop ends the decoder, which reads ahead.
func (l *LayerReader) stop() {
	if l.text != nil {
		l.text.close()
		l.zstd.Close()
		l.text = nil
	}
}

// maxTrailing is how much may follow the end of a tar stream, in bytes: writers fill up
// their last record, of at most this size (tar(1), "--blocking-factor").
const maxTrailing = 1 << 20

// trailing reads what is left of a compressed stream. What comes after the end of the
// archive is in no catalog, and would only keep a reader busy.
func (l *LayerReader) trailing() error {
	if l.text == nil {
		return nil
	}
	n, err := io.Copy(io.Discard, io.LimitReader(l.text, maxTrailing+1))
	if err == nil && n > maxTrailing {
		err = fmt.Errorf("more than %d bytes after the end of the archive", maxTrailing)
	}
	return err
}

// End is Finish and Close as one deferred call. A damaged blob explains
// whatever else went wrong, so its error replaces *err. Once ctx has ended
// nothing more is read.
func (l *LayerReader) End(ctx context.Context, err *error) {
	if ctx.Err() == nil {
		if damaged := l.Finish(); damaged != nil {
			*err = damaged
		}
	}
	*err = errors.Join(*err, l.Close())
}

// Close releases the layer.
func (l *LayerReader) Close() error {
	l.stop()
	return l.blob.Close()
}

// NewDigester returns what computes Entry.Digest: write the content, then
// Sum. BLAKE3 because it runs beside the SHA-256 of the blob, which is what
// integrity rests on, and must not cost a second pass of that.
func NewDigester() *Digester { return &Digester{h: blake3.New()} }

// Digester computes the digest of a file's content.
type Digester struct{ h *blake3.Hasher }

// Write adds content. It never returns an error.
func (d *Digester) Write(p []byte) (int, error) { return d.h.Write(p) }

// Sum returns the digest of all that was written, "blake3:HEX".
func (d *Digester) Sum() string { return digestPrefix + hex.EncodeToString(d.h.Sum(nil)) }

// Reset forgets what was written. A Digester that is used again costs less than
// a new one for each small file.
func (d *Digester) Reset() { d.h.Reset() }
