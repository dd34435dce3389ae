package layers

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/zeebo/blake3"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
)

// Base is an earlier snapshot, whose parts are taken over where all files of a
// part are as they were then.
type Base struct {
	Snapshot *artifact.Snapshot
	Fetcher  content.Fetcher
	// Known says what the system told of the files of a part when it was written.
	Known Known
	// Contents names what is in sealed layers.
	Contents Known
}

// Known maps layers to the keys of their files, in hex. Capture returns one for
// the next capture of the same host. It is no part of a snapshot.
type Known map[digest.Digest]string

// key sums up what decides the bytes of a part: the paths of its files, all the
// system tells of each but the content, and how it is written.
type key [32]byte

// writerVersion changes when the same files become other bytes.
const writerVersion = "1"

// sum computes the key of s; false if the times of a file in it prove nothing.
func (s *span) sum(c Compression, seal *Seal) bool {
	h := blake3.New()
	b := fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d\x00", writerVersion, s.kind, c, len(s.items))
	if id := seal.id(s.kind); id != "" {
		b = fmt.Appendf(b, "%s\x00", id)
	}
	if s.piece != nil {
		b = fmt.Appendf(b, "%+v\x00", s.piece.entry.Piece)
	}
	_, _ = h.Write(b) // a hash never fails
	settled := true
	for _, it := range s.items {
		b = append(append(append(b[:0], it.dir.path...), '/'), it.name...)
		b = binary.LittleEndian.AppendUint64(append(b, 0), it.stamp)
		_, _ = h.Write(b)
		settled = settled && !it.fresh
	}
	h.Sum(s.key[:0])
	return settled
}

// reuse takes parts over from the base. It reads the base's catalog once, and
// none of the host's files. What it returns is by span.
func (c *capture) reuse(ctx context.Context, spans []*span) (map[*span]part, error) {
	taken := map[*span]part{}
	if c.o.Base == nil {
		return taken, nil
	}
	r := reuser{c: c, ctx: ctx, from: map[partID]*span{}, layer: map[*span]ocispec.Descriptor{}, taken: taken}
	if err := r.match(spans); err != nil || len(r.from) == 0 {
		return taken, err
	}
	err := c.o.Base.Snapshot.Catalog(ctx, c.o.Base.Fetcher, func(e artifact.Entry) error {
		r.err = r.record(e)
		return r.err
	})
	if err != nil && r.err == nil && ctx.Err() == nil {
		return nil, fmt.Errorf("%w: %w", errBase, err)
	}
	if err != nil {
		return nil, err
	}
	return taken, r.end()
}

// errBase is wrapped when the base cannot be read.
var errBase = errors.New("base snapshot")

// partID names a part of the base.
type partID struct {
	kind artifact.Kind
	n    int
}

// reuser walks the base's catalog and the spans that match its parts side by
// side.
type reuser struct {
	c     *capture
	ctx   context.Context
	from  map[partID]*span
	layer map[*span]ocispec.Descriptor
	taken map[*span]part

	at   partID
	into *span // nil while the part is not wanted
	w    *partWriter
	left []item // of into, not met yet
	err  error  // of record
}

// match finds the parts of the base that hold what a span holds.
func (r *reuser) match(spans []*span) error {
	known := map[string]digest.Digest{}
	for layer, k := range r.c.o.Base.Known {
		known[k] = layer
	}
	layers := map[digest.Digest]partID{}
	descs := map[digest.Digest]ocispec.Descriptor{}
	for _, k := range artifact.TreeKinds() {
		for i, desc := range r.c.o.Base.Snapshot.Layers(k) {
			layers[desc.Digest], descs[desc.Digest] = partID{k, i + 1}, desc
		}
	}
	for _, s := range spans {
		if !s.sum(r.c.o.Compression, r.c.o.Seal) {
			continue
		}
		id, ok := layers[known[hex.EncodeToString(s.key[:])]]
		if !ok || id.kind != s.kind || r.from[id] != nil {
			continue
		}
		desc := descs[known[hex.EncodeToString(s.key[:])]]
		have, err := r.c.bring(r.ctx, desc)
		if err != nil {
			return err
		}
		if have {
			r.from[id], r.layer[s] = s, desc
		}
	}
	return nil
}

// bring makes sure that the sink has the blob of desc. One that is damaged in
// the base is left: the part is written anew.
func (c *capture) bring(ctx context.Context, desc ocispec.Descriptor) (have bool, err error) {
	if c.sink.Has(desc) {
		return true, nil
	}
	blob, err := c.o.Base.Fetcher.Fetch(ctx, desc)
	if err != nil {
		return false, ctx.Err()
	}
	defer func() { _ = blob.Close() }()
	damaged := &failing{r: blob}
	err = c.sink.Push(ctx, desc, damaged)
	if damaged.err != nil {
		return false, ctx.Err()
	}
	return err == nil, err
}

// failing remembers that reading failed.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// record takes the next record of the base's catalog.
func (r *reuser) record(e artifact.Entry) error {
	if id := (partID{e.Kind, e.Part}); id != r.at {
		if err := r.end(); err != nil {
			return err
		}
		r.at, r.into = id, r.from[id]
		if r.into != nil {
			var err error
			if r.w, err = r.c.newPartWriter(r.ctx, r.into.kind, r.into.n, nil); err != nil {
				return err
			}
			r.left = r.into.items
		}
	}
	if r.into == nil {
		return nil
	}
	// Items without a record were found to be secrets when they were written.
	for len(r.left) > 0 && r.left[0].rel() < e.Path {
		r.w.part.diverted = append(r.w.part.diverted, r.left[0])
		r.left = r.left[1:]
	}
	if len(r.left) == 0 || r.left[0].rel() != e.Path || !r.fits(e) {
		r.into = nil // the cache lies: the part is read and written
		return r.w.discard()
	}
	r.left = r.left[1:]
	return r.w.done(e)
}

// fits compares the little that is still known of the item with its record.
func (r *reuser) fits(e artifact.Entry) bool {
	it := r.left[0]
	if p := r.into.piece; p != nil {
		return e.Piece == p.entry.Piece && e.Size == p.entry.Size
	}
	return it.file == (e.Type == artifact.TypeFile || e.Type == artifact.TypeHardlink) &&
		(e.Type != artifact.TypeFile || e.Sparse || e.Size == it.size)
}

// end finishes the part the last record belonged to.
func (r *reuser) end() error {
	if r.into == nil {
		return nil
	}
	s := r.into
	r.into = nil
	r.w.part.diverted = append(r.w.part.diverted, r.left...)
	p, err := r.w.finish()
	if err != nil {
		return err
	}
	p.desc = ocispec.Descriptor{MediaType: r.layer[s].MediaType, Digest: r.layer[s].Digest, Size: r.layer[s].Size}
	p.reused = true
	if content := r.c.o.Base.Contents[p.desc.Digest]; content != "" {
		r.c.noteContent(p.desc, content)
	}
	r.taken[s] = p
	return nil
}
