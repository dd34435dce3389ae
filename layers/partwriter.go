package layers

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
)

// part is a layer that was written, or taken over from the base.
type part struct {
	desc    ocispec.Descriptor
	records section // of the catalog
	sum     artifact.KindSum
	reused  bool

	users, groups map[string]int  // who owns entries
	homes         map[string]bool // paths of credentials in it

	changed  []string           // files that were not the same before and after they were read
	diverted []item             // files that turned out to be secrets
	left     []artifact.LeftOut // files that could not be read
}

// partWriter writes the entries of one part and their records. It touches
// nothing the parts share but the spool, so several may be at work.
type partWriter struct {
	c       *capture
	ctx     context.Context
	kind    artifact.Kind
	n       int
	tar     *archive.Writer // nil for a part that is taken over
	buf     bytes.Buffer
	catalog *artifact.CatalogWriter
	part    part
}

func (c *capture) newPartWriter(ctx context.Context, k artifact.Kind, n int, w io.Writer) (_ *partWriter, err error) {
	p := &partWriter{c: c, ctx: ctx, kind: k, n: n, part: part{
		sum: artifact.KindSum{Kind: k}, users: map[string]int{}, groups: map[string]int{}, homes: map[string]bool{},
	}}
	if w != nil {
		p.tar = archive.NewWriter(w)
	}
	p.catalog, err = artifact.NewCatalogWriter(&p.buf)
	return p, err
}

// done takes e, which was written, into the catalog and the sums.
func (w *partWriter) done(e artifact.Entry) error {
	e.Kind, e.Part = w.kind, w.n
	if s := w.c.o.Seal.of(w.kind); s != nil {
		e.Digest = s.Digests.Of(e.Path, e.Digest)
	}
	p := &w.part
	p.sum.Entries++
	p.sum.Bytes += e.Size
	if e.Type == artifact.TypeFile && e.IsFirst() {
		p.sum.Files++
	}
	if e.User != "" {
		p.users[e.User] = e.UID
	}
	if e.Group != "" {
		p.groups[e.Group] = e.GID
	}
	if e.Type == artifact.TypeDir && w.c.credentials[e.Path] {
		p.homes[e.Path] = true
	}
	w.c.o.Progress.Add(e.Size)
	return w.catalog.Write(e)
}

// add writes an entry that is not a file of the host.
func (w *partWriter) add(e artifact.Entry, r io.Reader) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	e, err := w.tar.Add(e, r)
	if err != nil {
		return err
	}
	return w.done(e)
}

// addBytes writes content as file path.
func (w *partWriter) addBytes(path string, content []byte, mode uint32, mtime artifact.Time) error {
	return w.add(made(path, int64(len(content)), mode, mtime), bytes.NewReader(content))
}

// made returns the entry of a file that the snapshot itself brings: owned by
// root, with a time that says nothing of the clock.
func made(path string, size int64, mode uint32, mtime artifact.Time) artifact.Entry {
	return artifact.Entry{
		Path: path, Type: artifact.TypeFile, Mode: mode, Size: size,
		User: "root", Group: "root", MTime: mtime,
	}
}

// finish ends both streams.
func (w *partWriter) finish() (part, error) {
	if w.tar != nil {
		if err := w.tar.Close(); err != nil {
			return part{}, err
		}
	}
	if err := w.catalog.Close(); err != nil {
		return part{}, err
	}
	var err error
	w.part.records, err = w.c.spool.add(w.buf.Bytes())
	return w.part, err
}

// discard gives the part up.
func (w *partWriter) discard() error { return w.catalog.Close() }

// write writes part number n of kind k; fill adds the entries.
func (c *capture) write(ctx context.Context, k artifact.Kind, n int, mediaType string, fill func(*partWriter) error) (p part, err error) {
	sealed, err := c.sealing(k)
	if err != nil {
		return part{}, err
	}
	like, content := c.like(k, n), ""
	if sealed != nil {
		like, mediaType = ocispec.Descriptor{}, artifact.SealedType(mediaType)
	}
	var same ocispec.Descriptor
	desc, err := c.sink.PutBlobLike(ctx, mediaType, like, func(to io.Writer) (err error) {
		to, end, err := c.encode(to, mediaType, sealed)
		if err != nil {
			return err
		}
		defer func() { err = cmp.Or(err, end()) }() // after an error it only says the same again
		w, err := c.newPartWriter(ctx, k, n, to)
		if err != nil {
			return err
		}
		if err := fill(w); err != nil {
			return err
		}
		if p, err = w.finish(); err != nil || sealed == nil {
			return err
		}
		content = sealed.content(mediaType)
		var have bool
		if same, have, err = sealed.base(ctx, content); err == nil && have {
			err = errSame
		}
		return err
	})
	if errors.Is(err, errSame) {
		desc, err = same, nil
	}
	p.desc = desc
	if err == nil && sealed != nil {
		c.noteContent(desc, content)
	}
	if err == nil && c.o.Written != nil {
		c.o.Written(k, n, desc)
	}
	return p, err
}

// like is the blob that part n of kind k may be: that of an export that did not end, or
// that of the base, where no boundary before it has moved.
func (c *capture) like(k artifact.Kind, n int) ocispec.Descriptor {
	if c.o.Like != nil {
		if desc := c.o.Like(k, n); c.sink.Has(desc) {
			return desc
		}
	}
	if c.o.Base == nil {
		return ocispec.Descriptor{}
	}
	if layers := c.o.Base.Snapshot.Layers(k); n <= len(layers) {
		return layers[n-1]
	}
	return ocispec.Descriptor{}
}

// tarBuffer gathers headers and small files of a part that is not compressed.
const tarBuffer = 256 << 10

// encode returns where the tar stream of a layer goes, and what ends it.
func (c *capture) encode(to io.Writer, mediaType string, sealed *sealing) (_ io.Writer, end func() error, err error) {
	var ends []func() error
	if sealed != nil {
		w, err := sealed.Encrypt(to)
		if err != nil {
			return nil, nil, err
		}
		to, ends = w, append(ends, w.Close)
		mediaType, _ = artifact.OpenedType(mediaType)
	}
	if mediaType == artifact.TypeTarZstd {
		z, err := c.o.Compression.writer(to)
		if err != nil {
			return nil, nil, err
		}
		to, ends = z, append(ends, z.Close)
	} else {
		b := bufio.NewWriterSize(to, tarBuffer)
		to, ends = b, append(ends, b.Flush)
	}
	if sealed != nil {
		to = io.MultiWriter(to, sealed.sum)
	}
	return to, func() error {
		for _, end := range slices.Backward(ends) {
			if err := end(); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
