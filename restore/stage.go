package restore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/progress"
)

// stager unpacks what a plan needs into the work directories.
type stager struct {
	work     *work
	fetcher  content.Fetcher
	snapshot *artifact.Snapshot
	progress progress.Sink
}

// stage gives every change that has content of its own a slot. It reads every
// layer that holds one to its end: when it returns nil, the blobs behind all
// that was staged are verified. changes are in catalog order.
func (s *stager) stage(ctx context.Context, changes []change) error {
	for len(changes) > 0 {
		k, part := changes[0].entry.Kind, changes[0].entry.Part
		n := 0
		for n < len(changes) && changes[n].entry.Kind == k && changes[n].entry.Part == part {
			n++
		}
		if err := s.layer(ctx, k, part, changes[:n]); err != nil {
			return fmt.Errorf("kind %s, part %d: %w", k, part, err)
		}
		changes = changes[n:]
	}
	return s.work.sync()
}

func (s *stager) layer(ctx context.Context, k artifact.Kind, part int, changes []change) (err error) {
	l, err := artifact.OpenLayer(ctx, s.fetcher, s.snapshot.Layers(k)[part-1])
	if err != nil {
		return err
	}
	defer l.End(ctx, &err)
	for i := range changes {
		if err := s.entry(ctx, l, &changes[i]); err != nil {
			return err
		}
	}
	return nil
}

// entry reads on to the entry of c and stages it.
func (s *stager) entry(ctx context.Context, l *artifact.LayerReader, c *change) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, r, err := l.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("entry %q: in the catalog, not in the layer", c.entry.Path)
		}
		if err != nil {
			return err
		}
		if e.Path != c.entry.Path {
			continue
		}
		if err := artifact.SameEntry(c.entry, e); err != nil {
			return err
		}
		if e.Type == artifact.TypeDir || e.Type == artifact.TypeHardlink {
			return nil
		}
		d, err := s.work.beside(c.path)
		if err != nil {
			return err
		}
		c.slot = s.work.slot()
		if err := archive.Create(d.Dir, c.slot, c.entry, io.TeeReader(r, counter{s.progress})); err != nil {
			return err
		}
		return nil
	}
}

// counter tells a progress sink of what passes through.
type counter struct{ to progress.Sink }

func (c counter) Write(p []byte) (int, error) {
	c.to.Add(int64(len(p)))
	return len(p), nil
}
