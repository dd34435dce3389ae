package restore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/xcrate/xcrate/artifact"
)

// watched are the records of a few files whose content checks look at, noted while
// the catalog is read for the plan.
type watched map[string]*artifact.Entry

// watch returns a watched for the entries with these host paths.
func watch(paths ...string) watched {
	w := watched{}
	for _, p := range paths {
		w[p[1:]] = nil
	}
	return w
}

func (c *checked) note(e artifact.Entry) {
	if _, ok := c.watched[e.Path]; ok && e.Type == artifact.TypeFile && e.Piece.Count == 0 {
		c.watched[e.Path] = &e
	}
}

// of returns the record of the file with this host path, nil if there is none.
func (w watched) of(p string) *artifact.Entry { return w[p[1:]] }

// readEntries returns the contents of files of the snapshot by path, none over
// limit bytes. Each part that holds one is read once, and verified to its end.
func (p *planner) readEntries(ctx context.Context, limit int64, all ...artifact.Entry) (map[string][]byte, error) {
	type part struct {
		kind   artifact.Kind
		number int
	}
	parts, order := map[part]map[string]artifact.Entry{}, []part{}
	for _, e := range all {
		if e.Size > limit {
			return nil, fmt.Errorf("entry %q: %d bytes, at most %d", e.Path, e.Size, limit)
		}
		at := part{e.Kind, e.Part}
		if parts[at] == nil {
			parts[at] = map[string]artifact.Entry{}
			order = append(order, at)
		}
		parts[at][e.Path] = e
	}
	contents := map[string][]byte{}
	for _, at := range order {
		if err := p.readPart(ctx, at.kind, at.number, limit, parts[at], contents); err != nil {
			return nil, err
		}
	}
	return contents, nil
}

// readPart reads the files wanted from one part.
func (p *planner) readPart(ctx context.Context, k artifact.Kind, number int, limit int64, wanted map[string]artifact.Entry, to map[string][]byte) (err error) {
	layers := p.snapshot.Layers(k)
	if number < 1 || number > len(layers) {
		return fmt.Errorf("kind %s, part %d: in the catalog, not in the manifest", k, number)
	}
	l, err := artifact.OpenLayer(ctx, p.fetcher, layers[number-1])
	if err != nil {
		return err
	}
	defer l.End(ctx, &err)
	for left := len(wanted); left > 0; {
		e, r, err := l.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("kind %s, part %d: %d entries are in the catalog, not in the layer", k, number, left)
		}
		if err != nil {
			return err
		}
		want, ok := wanted[e.Path]
		if !ok {
			continue
		}
		if err := artifact.SameEntry(want, e); err != nil {
			return fmt.Errorf("kind %s, part %d: %w", k, number, err)
		}
		if to[e.Path], err = io.ReadAll(io.LimitReader(r, limit)); err != nil {
			return err
		}
		left--
	}
	return nil
}
