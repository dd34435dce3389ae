package restore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/progress"
)

// stager unpacks what a plan needs into the work directories.
type stager struct {
	places
	work     *work
	fetcher  content.Fetcher
	snapshot *artifact.Snapshot
	owners   *owners
	workers  int
	progress progress.Sink
	lost     *losses
}

// job is an entry to be staged, and its record's number.
type job struct {
	number int
	entry  artifact.Entry
}

// ahead is how many entries of a part may wait for it to be read, so that the
// next part can begin: more than most parts have.
const ahead = 8192

// stage gives every entry for which wanted is true, and that has content of its
// own, a slot with its attributes; a file in pieces gets them from the commit.
// Parts are read side by side, each that holds such an entry to its end: when
// stage returns nil, the blobs behind all that was staged are verified.
func (s *stager) stage(ctx context.Context, f *files, wanted func(n int, st state) bool) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.workers + 1)
	g.Go(func() error { return s.deal(ctx, g, f, wanted) })
	if err := g.Wait(); err != nil {
		return err
	}
	return s.work.sync()
}

// deal walks the catalog and hands each part's entries to a goroutine of g.
func (s *stager) deal(ctx context.Context, g *errgroup.Group, f *files, wanted func(n int, st state) bool) error {
	var jobs chan job
	end := func() {
		if jobs != nil {
			close(jobs)
		}
	}
	defer func() { end() }()
	var last artifact.Entry
	beside := besides{work: s.work}
	return f.each(ctx, func(n int, st state, e artifact.Entry) error {
		if !wanted(n, st) {
			return nil
		}
		if e.Kind != last.Kind || e.Part != last.Part {
			end()
			next := make(chan job, ahead)
			jobs, last = next, e
			g.Go(func() error {
				if err := s.layer(ctx, e.Kind, e.Part, next); err != nil {
					return fmt.Errorf("kind %s, part %d: %w", e.Kind, e.Part, err)
				}
				return nil
			})
		}
		if e.Piece.Number == 1 { // before any part that holds one of its pieces begins
			d, err := beside.of(s.target(e))
			if err != nil {
				return err
			}
			if err := archive.MakeWhole(d.Dir, stagedSlot(n, e), e); err != nil {
				return err
			}
		}
		select {
		case jobs <- job{n, e}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func (s *stager) layer(ctx context.Context, k artifact.Kind, part int, jobs <-chan job) (err error) {
	layers := s.snapshot.Layers(k)
	if part > len(layers) {
		return fmt.Errorf("in the catalog, not in the manifest, which lists %d", len(layers))
	}
	l, err := artifact.OpenLayer(ctx, s.fetcher, layers[part-1])
	if err != nil {
		return err
	}
	defer l.End(ctx, &err)
	u := unpacker{stager: s, layer: l, beside: besides{work: s.work}, maker: archive.Maker{Key: s.snapshot.Key}}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case j, more := <-jobs:
			if !more {
				return nil
			}
			if err := u.entry(ctx, j); err != nil {
				return err
			}
		}
	}
}

// unpacker stages entries of one layer.
type unpacker struct {
	*stager
	layer  *artifact.LayerReader
	beside besides
	maker  archive.Maker
}

// entry reads on to the entry of j and stages it.
func (u *unpacker) entry(ctx context.Context, j job) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, r, err := u.layer.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("entry %q: in the catalog, not in the layer", j.entry.StoredPath())
		}
		if err != nil {
			return err
		}
		if e.Path != j.entry.StoredPath() {
			continue
		}
		if err := artifact.SameEntry(j.entry, e); err != nil {
			return err
		}
		if !hasSlot(e) {
			return nil
		}
		return u.unpack(j, io.TeeReader(r, counter{u.progress}))
	}
}

func (u *unpacker) unpack(j job, r io.Reader) error {
	p, slot := u.target(j.entry), stagedSlot(j.number, j.entry)
	d, err := u.beside.of(p)
	if err != nil {
		return err
	}
	if j.entry.Piece.Number > 0 {
		return u.maker.WritePiece(d.Dir, slot, j.entry, r)
	}
	lost, err := u.maker.Create(d.Dir, slot, j.entry, u.owners.of(j.entry), r)
	u.lost.add(p, lost)
	return err
}

// counter tells a progress sink of what passes through.
type counter struct{ to progress.Sink }

func (c counter) Write(p []byte) (int, error) {
	c.to.Add(int64(len(p)))
	return len(p), nil
}
