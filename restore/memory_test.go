package restore

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
)

// manyRecords is a snapshot whose catalog lists n files in directories of 100.
// Its one layer is not looked at by a plan, and not there.
func manyRecords(t testing.TB, n int) fixture {
	t.Helper()
	var all []artifact.Entry
	for i := range n {
		e := artifact.Entry{Kind: artifact.KindInstall, Part: 1, Type: artifact.TypeFile, Mode: 0o644, Size: 100, Digest: fmt.Sprintf("blake3:%064d", i)}
		e.Path = fmt.Sprintf("install/custom/some/depth/directory-%06d/file-with-a-name-%02d", i/100, i%100)
		all = append(all, e)
	}
	config := artifact.Config{
		Format: 1, Created: time.Unix(1e9, 0), Stack: artifact.Stack{Name: "xcat"}, Kinds: []artifact.KindSum{sum(artifact.KindInstall, all)},
		Host: artifact.Host{Name: "mn", Arch: hostArch(t), Distro: artifact.Distro{ID: "rocky", Version: "9.6"}},
	}
	m := memory{}
	layers := []ocispec.Descriptor{put(m, artifact.TypeTar, artifact.KindInstall, 1, 1, nil)}
	return fixture{m, pack(t, m, config, layers, all)}
}

// TestPlanIsSmall counts what a plan keeps for each entry: a state, and nothing
// that grows with names.
func TestPlanIsSmall(t *testing.T) {
	const n = 50_000
	f := manyRecords(t, n)
	o := f.options(t, t.TempDir())
	before := heap()
	p, err := newPlanner(t.Context(), f.m, f.s, o)
	check(t, err)
	if p.plan.Files[0].New != n {
		t.Fatalf("%+v", p.plan.Files)
	}
	if grown := heap() - before; grown > 8*n {
		t.Errorf("the plan of %d files takes %d bytes", n, grown)
	}
	runtime.KeepAlive(p)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkPlan plans the import of 100,000 files, all new.
func BenchmarkPlan(b *testing.B) {
	const n = 100_000
	f := manyRecords(b, n)
	o := f.options(b, b.TempDir())
	b.ReportAllocs()
	for b.Loop() {
		before := heap()
		p, err := newPlanner(b.Context(), f.m, f.s, o)
		check(b, err)
		b.ReportMetric(float64(heap()-before)/n, "kept-B/file")
		runtime.KeepAlive(p)
	}
}
