package layers

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// trees writes the tree kinds from what the scan found, each in parts. Secrets
// come last, because other parts find some of them.
func (c *capture) trees(ctx context.Context, found *scanner) error {
	t := &treeSet{c: c, found: found, first: map[artifact.Kind]map[host.Inode]string{}, given: map[string]bool{}}
	var total int64
	for _, items := range found.items {
		for _, it := range items {
			total += it.size
		}
	}
	c.o.Progress.Phase("writing", total)
	var others []artifact.Kind
	for _, k := range artifact.TreeKinds() {
		if k != artifact.KindSecrets {
			others = append(others, k)
		}
	}
	if err := t.write(ctx, others...); err != nil {
		return err
	}
	found.items[artifact.KindSecrets] = append(found.items[artifact.KindSecrets], t.diverted...)
	slices.SortFunc(found.items[artifact.KindSecrets], item.compare)
	if c.hider != nil {
		c.leaveSecrets(found.items[artifact.KindSecrets])
		c.result.Known = nil // another export of the same files must read them
		return nil
	}
	return t.write(ctx, artifact.KindSecrets)
}

// treeSet writes kinds of trees.
type treeSet struct {
	c     *capture
	found *scanner
	// first is, of every file with several names in a kind, the first. The
	// others become hard links to it.
	first    map[artifact.Kind]map[host.Inode]string
	parts    int             // so far
	given    map[string]bool // names of pieces
	diverted []item
}

// write writes the parts of kinds side by side.
func (t *treeSet) write(ctx context.Context, kinds ...artifact.Kind) error {
	spans, err := t.cut(kinds)
	if err != nil {
		return err
	}
	written, err := t.c.takeOver(ctx, spans)
	if err != nil {
		return err
	}
	if err := t.room(ctx, spans, written); err != nil {
		return err
	}
	if err := t.writeSpans(ctx, spans, written); err != nil {
		return err
	}
	if err := t.dropHalves(ctx, spans, written); err != nil {
		return err
	}
	for _, k := range kinds {
		var parts []part
		entries := int64(0)
		for _, s := range spans {
			if s.kind == k {
				parts = append(parts, written[s])
				entries += written[s].sum.Entries
			}
		}
		if entries > 0 {
			t.c.keep(k, parts)
		}
	}
	t.note(spans, written)
	return nil
}

// cut divides the items of kinds.
func (t *treeSet) cut(kinds []artifact.Kind) ([]*span, error) {
	var all []*span
	for _, k := range kinds {
		items := t.found.items[k]
		t.first[k] = map[host.Inode]string{}
		for i, it := range items {
			if it.link == 0 {
				continue
			}
			if inode := t.found.inode(it); t.first[k][inode] == "" {
				t.first[k][inode] = it.path()
			} else {
				items[i].size = 0 // a name, no content
			}
		}
		spans, err := cutter{limits: t.c.o.limits, divide: t.divide}.cut(k, items)
		if err != nil {
			return nil, fmt.Errorf("kind %s: %w", k, err)
		}
		all = append(all, spans...)
	}
	if t.parts += len(all); t.parts > artifact.MaxParts {
		return nil, fmt.Errorf("%d parts of up to 1 GiB: a snapshot has at most %d", t.parts, artifact.MaxParts)
	}
	return all, nil
}

// divide cuts a file into pieces, whose names no other file has, of whatever
// kind: by hand all kinds are unpacked into one directory.
func (t *treeSet) divide(it item) ([]piece, error) {
	pieces, err := t.c.divide(it, func(p string) bool {
		if t.given[p] {
			return true
		}
		for _, items := range t.found.items {
			if _, found := slices.BinarySearchFunc(items, p, func(it item, p string) int { return strings.Compare(it.rel(), p) }); found {
				return true
			}
		}
		return false
	})
	for _, p := range pieces {
		t.given[p.entry.Piece.Stored] = true
	}
	return pieces, err
}

// takeOver takes unchanged parts from the base. A base that cannot be read is
// not worth failing for.
func (c *capture) takeOver(ctx context.Context, spans []*span) (map[*span]part, error) {
	taken, err := c.reuse(ctx, spans)
	if errors.Is(err, errBase) {
		c.warn("nothing was taken over: %v", err)
		c.o.Base = nil
		return map[*span]part{}, nil
	}
	return taken, err
}

// writeSpans writes the spans that are not written yet, the largest first, so
// that no worker is left alone with one at the end.
func (t *treeSet) writeSpans(ctx context.Context, spans []*span, written map[*span]part) error {
	var todo []*span
	for _, s := range spans {
		if _, ok := written[s]; !ok {
			todo = append(todo, s)
		}
	}
	slices.SortStableFunc(todo, func(a, b *span) int { return cmp.Compare(b.bytes(), a.bytes()) })
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(t.c.o.Workers)
	for _, s := range todo {
		g.Go(func() error {
			p, err := t.writeSpan(ctx, s)
			if err != nil {
				return fmt.Errorf("kind %s: %w", s.kind, err)
			}
			mu.Lock()
			defer mu.Unlock()
			written[s] = p
			return nil
		})
	}
	return g.Wait()
}

func (s *span) bytes() (n int64) {
	if s.piece != nil {
		return s.piece.entry.Size
	}
	for _, it := range s.items {
		n += it.size
	}
	return n
}

// writeSpan writes one part but for the items of without. A file that turns out
// to be unreadable when half of it is written is left out too, and the part
// begun again.
func (t *treeSet) writeSpan(ctx context.Context, s *span, without ...artifact.LeftOut) (part, error) {
	mediaType, err := t.c.mediaType(ctx, s)
	if err != nil {
		return part{}, err
	}
	for {
		p, err := t.c.write(ctx, s.kind, s.n, mediaType, func(w *partWriter) error {
			tw := treeWriter{c: t.c, w: w, first: t.first[s.kind], found: t.found, piece: s.piece, without: without}
			defer tw.close()
			for _, it := range s.items {
				if err := tw.add(it); err != nil {
					return err
				}
			}
			return nil
		})
		var broken *brokenError
		if !errors.As(err, &broken) {
			p.left = append(p.left, without...)
			return p, err
		}
		without = append(without, broken.left)
	}
}

// dropHalves sees to it that nothing refers to what could not be read: the other
// pieces of a file of which one could not go too, and its other names.
func (t *treeSet) dropHalves(ctx context.Context, spans []*span, written map[*span]part) error {
	for again := true; again; {
		again = false
		gone := map[string]bool{}
		for _, s := range spans {
			for _, l := range written[s].left {
				gone[l.Path] = true
			}
		}
		if len(gone) == 0 {
			return nil
		}
		for _, s := range spans {
			without := t.halves(s, gone, written[s].left)
			if len(without) == len(written[s].left) {
				continue
			}
			p, err := t.writeSpan(ctx, s, without...)
			if err != nil {
				return err
			}
			written[s], again = p, true
		}
	}
	return nil
}

// halves returns left and what of s has to go with it because paths are gone.
func (t *treeSet) halves(s *span, gone map[string]bool, left []artifact.LeftOut) []artifact.LeftOut {
	what := whatUnreadable
	if t.c.hider != nil {
		what = whatSecret
	}
	for _, it := range s.items {
		p, first := it.path(), t.first[s.kind][t.found.inode(it)]
		switch {
		case slices.ContainsFunc(left, func(l artifact.LeftOut) bool { return l.Path == p }):
		case gone[p]:
			left = append(left, artifact.LeftOut{Path: p, What: what, Reason: "a piece of it could not be read"})
		case it.link > 0 && gone[first]:
			left = append(left, artifact.LeftOut{Path: p, What: what, Reason: "another name of " + first})
		}
	}
	return left
}

// note remembers what the next capture needs, and what the secrets do.
func (t *treeSet) note(spans []*span, written map[*span]part) {
	c := t.c
	if c.result.Known == nil {
		c.result.Known = Known{}
	}
	for _, s := range spans {
		p := written[s]
		t.diverted = append(t.diverted, p.diverted...)
		// What was read may not be what the key says where something went wrong.
		if s.sum(c.o.Compression, c.o.Seal) && len(p.changed) == 0 && len(p.left) == 0 {
			c.result.Known[p.desc.Digest] = hex.EncodeToString(s.key[:])
		}
	}
}
