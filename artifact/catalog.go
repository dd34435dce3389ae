package artifact

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/klauspost/compress/zstd"
)

// The catalog is JSON lines, one record per entry, compressed with zstd. Its
// records stand in the order of the layers and of the entries within each, so
// that a reader walks both side by side and keeps neither in memory.

// maxRecord bounds one line of a catalog: the longest path and link, xattrs.
const maxRecord = 4 << 20

// CatalogWriter writes catalog records.
type CatalogWriter struct {
	zstd *zstd.Encoder
	line []byte
}

// NewCatalogWriter starts a catalog in w. Close ends it; w stays open.
func NewCatalogWriter(w io.Writer) (*CatalogWriter, error) {
	z, err := NewZstdWriter(w)
	if err != nil {
		return nil, err
	}
	return &CatalogWriter{zstd: z}, nil
}

// Write adds one record.
func (c *CatalogWriter) Write(e Entry) (err error) {
	if c.line, err = appendRecord(c.line[:0], &e); err == nil {
		c.line = append(c.line, '\n')
		_, err = c.zstd.Write(c.line)
	}
	if err != nil {
		return fmt.Errorf("catalog: entry %q: %w", e.Path, err)
	}
	return nil
}

// Close writes what is buffered and ends the stream.
func (c *CatalogWriter) Close() error { return c.zstd.Close() }

// CatalogReader reads catalog records.
type CatalogReader struct {
	zstd  *zstd.Decoder
	lines *bufio.Scanner
	read  recordReader
	n     int
	last  Entry
}

// NewCatalogReader reads a catalog from r. Close releases it; r stays open.
func NewCatalogReader(r io.Reader) (*CatalogReader, error) {
	z, err := NewZstdReader(r)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(make([]byte, 64<<10), maxRecord)
	return &CatalogReader{zstd: z, lines: lines}, nil
}

// Next returns the next record, or io.EOF. A record that is no valid entry, or
// out of order, is an error.
func (c *CatalogReader) Next() (Entry, error) {
	if !c.lines.Scan() {
		err := c.lines.Err()
		if err == nil {
			err = Entry{}.follows(c.last)
		}
		if err != nil {
			return Entry{}, fmt.Errorf("catalog: record %d: %w", c.n+1, err)
		}
		return Entry{}, io.EOF
	}
	c.n++
	e, err := c.read.read(c.lines.Bytes())
	if err == nil {
		err = e.Validate()
	}
	if err == nil && (!e.Kind.HasEntries() || e.Kind.rank() < 0 || e.Part < 1 || before(e, c.last)) {
		err = fmt.Errorf("entry %q of kind %q, part %d: out of order", e.Path, e.Kind, e.Part)
	}
	if err == nil {
		err = e.follows(c.last)
	}
	if err == nil && e.Type == TypeHardlink && e.Link >= e.Path {
		err = fmt.Errorf("entry %q: hard link to the later %q", e.Path, e.Link)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("catalog: record %d: %w", c.n, err)
	}
	c.last = e
	return e, nil
}

// before reports whether e may not follow last: kinds in manifest order, parts
// in turn, paths strictly ascending within a kind, so that no path comes twice
// but in pieces.
func before(e, last Entry) bool {
	if last.Kind == "" {
		return false
	}
	a, b := e.Kind.rank(), last.Kind.rank()
	return a < b || (a == b && (e.Part < last.Part || e.Path < last.Path || (e.Path == last.Path && e.Piece.Number < 2)))
}

// Close releases the decoder.
func (c *CatalogReader) Close() { c.zstd.Close() }

// NewZstdWriter compresses to w. One worker and fixed parameters: same bytes
// in, same bytes out, whatever the machine.
func NewZstdWriter(w io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
}

// maxWindow bounds the memory a hostile stream can ask of the decoder.
const maxWindow = 32 << 20

// NewZstdReader decompresses r with bounded memory.
func NewZstdReader(r io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
}

// SameEntry reports how the record of an entry differs from what its layer says
// of it, nil if it does not. A layer knows no digests and no pieces.
func SameEntry(record, layer Entry) error {
	if sameStored(&record, &layer) {
		return nil
	}
	record.Path, record.Piece = record.StoredPath(), Piece{}
	for _, e := range []*Entry{&record, &layer} {
		e.Digest, e.Kind, e.Part = "", "", 0
	}
	ja, erra := json.Marshal(record)
	jb, errb := json.Marshal(layer)
	return errors.Join(erra, errb, fmt.Errorf("entry %q: catalog says %s, layer says %s", record.Path, ja, jb))
}

// sameStored compares what both a record and a layer say of an entry.
func sameStored(record, layer *Entry) bool {
	return record.StoredPath() == layer.Path && layer.Piece == (Piece{}) &&
		record.Type == layer.Type && record.Mode == layer.Mode && record.UID == layer.UID && record.GID == layer.GID &&
		record.User == layer.User && record.Group == layer.Group && record.MTime == layer.MTime &&
		record.Size == layer.Size && record.Link == layer.Link && record.Major == layer.Major &&
		record.Minor == layer.Minor && record.Sparse == layer.Sparse && maps.Equal(record.Xattrs, layer.Xattrs)
}
