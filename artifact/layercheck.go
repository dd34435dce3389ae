package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
)

// copyBuffer is large enough for BLAKE3 to work on many chunks at once, and
// small enough to stay in a core's cache.
const copyBuffer = 64 << 10

// layerCheck is the verification of one layer, and what came of it.
type layerCheck struct {
	desc        ocispec.Descriptor
	part, parts int
	key         DigestKey
	sealed      bool // and nobody has the key: the blob is checked, not what is in it
	records     records
	got         span
	sum         KindSum // of this part; Parts and Stored are not counted
	err         error
}

// newLayerCheck begins the check of a layer of a manifest that Load checked.
func newLayerCheck(desc ocispec.Descriptor, key DigestKey) *layerCheck {
	k, part, parts, _ := layerPart(desc)
	_, sealed := OpenedType(desc.MediaType)
	return &layerCheck{desc: desc, part: part, parts: parts, key: key, sealed: sealed, records: newRecords(), sum: KindSum{Kind: k}}
}

// holds says what is in the layer, for people.
func (c *layerCheck) holds() string {
	switch c.sum.Kind {
	case KindCatalog:
		return "the list of all files"
	case KindTool:
		return "the xcrate program"
	default:
		return c.got.String()
	}
}

// drain checks a blob that is no tar stream.
func (c *layerCheck) drain(ctx context.Context, f content.Fetcher) {
	r, err := f.Fetch(ctx, c.desc)
	if err != nil {
		c.err = err
		return
	}
	_, err = io.Copy(io.Discard, r)
	c.err = errors.Join(err, r.Close())
}

// check checks a tar layer. It takes all its records, whatever happens.
func (c *layerCheck) check(ctx context.Context, v *verifier) {
	if c.sealed {
		c.drain(ctx, v.f)
		for e := c.records.next(); e != nil; e = c.records.next() {
			v.seen(c.sum.Kind, e.Path, e.Size)
			c.count(*e)
		}
		return
	}
	c.err = c.entries(ctx, v)
	// Records that no entry met: needed to say what the layer holds.
	for e := c.records.next(); e != nil; e = c.records.next() {
		if c.err == nil {
			c.err = fmt.Errorf("entry %q: in the catalog, not in the layer", e.Path)
		}
		c.got.add(e.Path)
	}
}

// entries reads a tar layer side by side with its records.
func (c *layerCheck) entries(ctx context.Context, v *verifier) (err error) {
	l, err := OpenLayer(ctx, v.f, c.desc)
	if err != nil {
		return err
	}
	defer func() {
		if ferr := l.Finish(); ferr != nil && ctx.Err() == nil {
			err = ferr // a damaged blob explains whatever came before
			if c.got.n > 0 {
				err = fmt.Errorf("%w (readable up to %q)", ferr, c.got.last)
			}
		}
		err = errors.Join(err, l.Close())
	}()
	content := contentReader{digester: NewDigester(), buf: make([]byte, copyBuffer)}
	for {
		e, r, err := l.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after entry %q: %w", c.got.last, err)
		}
		n, err := c.entry(e, r, &content)
		if err != nil {
			return err
		}
		v.seen(c.sum.Kind, e.Path, n)
		c.got.add(e.Path)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// entry compares one entry and its content with the next record, and returns
// the bytes of the content.
func (c *layerCheck) entry(e Entry, r io.Reader, content *contentReader) (int64, error) {
	want := c.records.next()
	if want == nil && !c.records.broken {
		return 0, fmt.Errorf("entry %q: in the layer, not in the catalog", e.Path)
	}
	if want != nil {
		if err := SameEntry(*want, e); err != nil {
			return 0, err
		}
	}
	n, digest, err := content.read(r)
	if err != nil {
		return 0, fmt.Errorf("entry %q: %w", e.Path, err)
	}
	if e.Type == TypeFile && want != nil && !c.key.Matches(*want, digest) {
		return 0, fmt.Errorf("entry %q: content has digest %s, catalog says %s", e.Path, digest, want.Digest)
	}
	c.sum.Entries++
	c.sum.Bytes += n
	if e.Type == TypeFile && (want == nil || want.IsFirst()) {
		c.sum.Files++
	}
	return n, nil
}

// count counts what a record says is in a sealed layer.
func (c *layerCheck) count(e Entry) {
	c.got.add(e.Path)
	c.sum.Entries++
	c.sum.Bytes += e.Size
	if e.Type == TypeFile && e.IsFirst() {
		c.sum.Files++
	}
}

// contentReader reads contents, one after the other, for their digests.
type contentReader struct {
	digester *Digester
	buf      []byte
}

func (c *contentReader) read(r io.Reader) (n int64, digest string, err error) {
	c.digester.Reset()
	n, err = io.CopyBuffer(c.digester, r, c.buf)
	return n, c.digester.Sum(), err
}

// span is the first and last path and the number of entries of a layer.
type span struct {
	first, last string
	n           int
}

func (s *span) add(path string) {
	if s.n == 0 {
		s.first = path
	}
	s.last = path
	s.n++
}

func (s *span) String() string {
	switch s.n {
	case 0:
		return "contents unknown"
	case 1:
		return fmt.Sprintf("1 entry: %q", s.first)
	}
	return fmt.Sprintf("%d entries, %q to %q", s.n, s.first, s.last)
}
