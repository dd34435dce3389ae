package layers

import (
	"cmp"
	"context"
	"slices"

	"github.com/xcrate/xcrate/artifact"
)

// sampledSpans is of how many parts the content is looked at to estimate what the others
// take: the largest ones.
const sampledSpans = 8

// room asks for space for spans that are not written yet, before the first of them is.
func (t *treeSet) room(ctx context.Context, spans []*span, written map[*span]part) error {
	if t.c.o.Room == nil {
		return nil
	}
	var todo []*span
	bytes, had := map[artifact.Kind]int64{}, map[artifact.Kind]int64{}
	for _, s := range spans {
		if p, ok := written[s]; ok {
			had[s.kind] += p.sum.Bytes
		} else {
			bytes[s.kind] += s.bytes()
			todo = append(todo, s)
		}
	}
	ratio, err := t.c.shrinks(ctx, todo)
	if err != nil {
		return err
	}
	var need int64
	for k, n := range bytes {
		need += int64(ratio * float64(t.c.growth(k, n, had[k])))
	}
	return t.c.o.Room(need, len(todo))
}

// shrinks estimates how much smaller the content of spans gets, as a factor.
func (c *capture) shrinks(ctx context.Context, spans []*span) (float64, error) {
	if c.o.Compression.mode == "none" {
		return 1, nil
	}
	z, err := c.o.Compression.writer(nil)
	if err != nil {
		return 0, err
	}
	spans = slices.SortedStableFunc(slices.Values(spans), func(a, b *span) int { return cmp.Compare(b.bytes(), a.bytes()) })
	var before, after float64
	for _, s := range spans[:min(len(spans), sampledSpans)] {
		sample, err := c.sample(ctx, s)
		if err != nil {
			return 0, err
		}
		if len(sample) > 0 {
			weight := float64(s.bytes()) / float64(len(sample))
			before += float64(len(sample)) * weight
			after += float64(len(z.EncodeAll(sample, nil))) * weight
		}
	}
	if before == 0 {
		return 1, nil
	}
	return after / before, nil
}

// growth is how many bytes of content kind k has more than in the base: n that are to be
// written, beside had that are taken over. As many as the base has count as unchanged,
// and take no space: an export that would fit is not refused for what it does not write.
func (c *capture) growth(k artifact.Kind, n, had int64) int64 {
	var sum artifact.KindSum
	if c.o.Base != nil {
		sum, _ = c.o.Base.Snapshot.Config.Kind(k)
	}
	return max(n-max(sum.Bytes-had, 0), 0)
}
