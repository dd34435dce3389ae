package layers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// files makes n sorted items of random sizes around mean.
func files(n int, mean int64, seed uint64) []item {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var dirs []*folder
	for i := range 500 {
		dirs = append(dirs, &folder{fmt.Sprintf("/install/d%03d", i)})
	}
	items := make([]item, n)
	for i := range items {
		items[i] = item{dir: dirs[i%500], name: fmt.Sprintf("f%08x", rnd.Uint32()), size: rnd.Int64N(2 * mean), file: true}
	}
	slices.SortFunc(items, item.compare)
	return items
}

// cut cuts items as a capture does, where no file has to be cut.
func cut(items []item) []*span {
	spans, err := cutter{limits: limits{maxPart, maxPart}, divide: func(item) ([]piece, error) { return nil, nil }}.cut("install", items)
	if err != nil {
		panic(err)
	}
	return spans
}

// keys names each part by what is in it.
func keys(parts []*span) map[string]bool {
	set := map[string]bool{}
	for _, p := range parts {
		var b strings.Builder
		for _, it := range p.items {
			fmt.Fprintf(&b, "%s %d\n", it.path(), it.size)
		}
		set[b.String()] = true
	}
	return set
}

func fresh(before, after []*span) int {
	old, n := keys(before), 0
	for k := range keys(after) {
		if !old[k] {
			n++
		}
	}
	return n
}

// TestOneChangeOnePart changes one file of 50,000 at a time, and counts the
// parts that are not the same.
func TestOneChangeOnePart(t *testing.T) {
	items := files(50_000, 100<<10, 7) // about 5 GiB
	before := cut(items)
	if len(before) < 40 || len(before) > 300 {
		t.Fatalf("%d parts", len(before))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		at := rnd.IntN(len(items))
		changed := slices.Clone(items)
		changed[at].size += 1000
		if n := fresh(before, cut(changed)); n < 1 || n > 2 {
			t.Errorf("a file that grew made %d new parts", n)
		}
		removed := slices.Delete(slices.Clone(items), at, at+1)
		if n := fresh(before, cut(removed)); n > 1 {
			t.Errorf("a file that went made %d new parts", n)
		}
		added := slices.Insert(slices.Clone(items), at, item{dir: items[at].dir, name: items[at].name + "~", size: 5})
		slices.SortFunc(added, item.compare)
		if n := fresh(before, cut(added)); n > 2 {
			t.Errorf("a file that came made %d new parts", n)
		}
	}
}

func TestCut(t *testing.T) {
	for name, c := range map[string]struct {
		items    []item
		min, max int
	}{
		"one-file":    {files(1, 10, 1), 1, 1},
		"small":       {files(5000, 1000, 1), 1, 1},
		"just-over":   {files(1000, 80<<10, 1), 1, 8},
		"large-files": {files(100, 500<<20, 1), 20, 100},
		"a-million":   {files(1_000_000, 100<<10, 1), 400, maxParts},
	} {
		t.Run(name, func(t *testing.T) {
			parts := cut(c.items)
			if len(parts) < c.min || len(parts) > c.max {
				t.Errorf("%d parts", len(parts))
			}
			var all []item
			for _, p := range parts {
				if len(p.items) == 0 {
					t.Error("an empty part")
				}
				all = append(all, p.items...)
				var size int64
				for _, it := range p.items {
					size += it.stored()
				}
				if len(p.items) > 1 && size > maxPart {
					t.Errorf("a part of %d bytes", size)
				}
			}
			if !slices.Equal(all, c.items) {
				t.Error("the parts are not the whole")
			}
		})
	}
}
