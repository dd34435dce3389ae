package layers

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/xcrate/xcrate/artifact"
)

// Compression says how the parts of trees are compressed. The zero value lets
// each part's content decide.
type Compression struct {
	mode  string // "" for auto, "none", "zstd"
	level int    // 1 to 4, 0 for 1
}

// ParseCompression reads "auto", "none", "zstd" or "zstd:LEVEL" with a level
// from 1, the fastest, to 4, the smallest.
func ParseCompression(s string) (Compression, error) {
	mode, level, given := strings.Cut(s, ":")
	switch {
	case s == "auto":
		return Compression{}, nil
	case s == "none":
		return Compression{mode: mode}, nil
	case s == "zstd":
		return Compression{mode: mode}, nil
	case mode == "zstd" && given:
		if n, err := strconv.Atoi(level); err == nil && n >= 1 && n <= 4 {
			return Compression{mode: mode, level: n}, nil
		}
	}
	return Compression{}, fmt.Errorf("compression %q: is auto, none, zstd or zstd:1 to zstd:4", s)
}

// String returns what ParseCompression reads.
func (c Compression) String() string {
	switch {
	case c.mode == "":
		return "auto"
	case c.level == 0:
		return c.mode
	}
	return fmt.Sprintf("%s:%d", c.mode, c.level)
}

// writer compresses to w. One encoder worker: same bytes in, same bytes out.
func (c Compression) writer(w io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.EncoderLevel(max(c.level, 1))))
}

const (
	samples     = 16
	sampleBytes = 64 << 10
)

// mediaType decides whether a part is compressed: if nothing else was asked
// for, it must shrink by a tenth, going by a sample of its bytes. Archives, images and
// packages do not; reading them back is then bound by nothing but the disk.
func (c *capture) mediaType(ctx context.Context, s *span) (string, error) {
	switch c.o.Compression.mode {
	case "none":
		return artifact.TypeTar, nil
	case "zstd":
		return artifact.TypeTarZstd, nil
	}
	sample, err := c.sample(ctx, s)
	if err != nil {
		return "", err
	}
	if len(sample) <= sampleBytes {
		return artifact.TypeTarZstd, nil
	}
	z, err := c.o.Compression.writer(nil)
	if err != nil {
		return "", err
	}
	if worthwhile(s.bytes(), int64(len(s.items)), float64(len(z.EncodeAll(sample, nil)))/float64(len(sample))) {
		return artifact.TypeTarZstd, nil
	}
	return artifact.TypeTar, nil
}

// worthwhile reports whether a part of so many bytes of content, which shrink to
// that ratio, in so many entries becomes smaller by a tenth: of many small files
// the tar headers are the most, and they shrink to nearly nothing.
func worthwhile(content, entries int64, ratio float64) bool {
	const header = 1536 // of the entry, of its extended header, and that
	headers := float64(entries * header)
	return ratio*float64(content)+headers/20 < 0.9*(float64(content)+headers)
}

// sample reads from the files in which equally spaced bytes of the part lie, so
// that large files count for more.
func (c *capture) sample(ctx context.Context, s *span) ([]byte, error) {
	if s.piece != nil {
		return c.samplePiece(s.items[0].path(), s.piece.entry), nil
	}
	var total int64
	for _, it := range s.items {
		total += it.size
	}
	sample := make([]byte, 0, (samples+1)*sampleBytes)
	end, next := int64(0), int64(0)
	for _, it := range s.items {
		end += it.size
		if it.size == 0 || next >= end {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sample = c.readAt(sample, it.path(), 0)
		for next < end {
			next += max(total/samples, 1)
		}
	}
	return sample, nil
}

// samplePiece reads at equally spaced places of a piece.
func (c *capture) samplePiece(p string, e artifact.Entry) []byte {
	sample := make([]byte, 0, samples*sampleBytes)
	for i := range int64(samples) {
		sample = c.readAt(sample, p, e.Piece.Offset+e.Size/samples*i)
	}
	return sample
}

// readAt appends bytes of a file from off on, none where they cannot be read:
// what is wrong with it will be said when it is written.
func (c *capture) readAt(to []byte, p string, off int64) []byte {
	d, name, err := c.o.Root.OpenParent(p)
	if err != nil {
		return to
	}
	defer func() { _ = d.Close() }()
	f, _, err := d.OpenFile(name)
	if err != nil {
		return to
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, sampleBytes)
	n, _ := f.ReadAt(buf, off)
	return append(to, buf[:n]...)
}
