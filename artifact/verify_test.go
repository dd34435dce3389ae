package artifact_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
)

// packParts makes a snapshot of kind install with as many parts and, in each, as
// many files of size bytes. Every second part is plain tar.
func packParts(t testing.TB, s store, parts, files, size int) *artifact.Snapshot {
	t.Helper()
	var cat bytes.Buffer
	records, err := artifact.NewCatalogWriter(&cat)
	must(t, err)
	text := []byte(strings.Repeat("a line of text that may be packed well\n", size/39+1)[:size])
	d := artifact.NewDigester()
	_, _ = d.Write(text)
	var layers []ocispec.Descriptor
	for part := range parts {
		var b bytes.Buffer
		out, mediaType, end := io.Writer(&b), artifact.TypeTar, func() error { return nil }
		if part%2 == 0 {
			z, err := artifact.NewZstdWriter(&b)
			must(t, err)
			out, mediaType, end = z, artifact.TypeTarZstd, z.Close
		}
		tw := tar.NewWriter(out)
		for i := range files {
			e := artifact.Entry{
				Kind: artifact.KindInstall, Part: part + 1, Path: fmt.Sprintf("install/%03d/%06d", part, i), Type: artifact.TypeFile, Mode: 0o644,
				Size: int64(size), User: "root", Group: "root", MTime: artifact.Time{Sec: 1.7e9, Nsec: 5}, Digest: d.Sum(),
			}
			must(t, records.Write(e))
			h, err := e.Header()
			must(t, err)
			must(t, tw.WriteHeader(h))
			_, err = tw.Write(text)
			must(t, err)
		}
		must(t, tw.Close())
		must(t, end())
		layers = append(layers, artifact.LayerDescriptor(s.put(mediaType, b.Bytes()), artifact.KindInstall, part+1, parts))
	}
	must(t, records.Close())
	layers = append(layers, artifact.LayerDescriptor(s.put(artifact.TypeCatalog, cat.Bytes()), artifact.KindCatalog, 1, 1))
	n := int64(parts * files)
	desc, err := artifact.Pack(t.Context(), s, artifact.Config{
		Format: 1, Created: time.Unix(1.7e9, 0), Host: artifact.Host{Name: "mn", Arch: "x86_64", Distro: artifact.Distro{ID: "rocky"}},
		Stack: artifact.Stack{Name: "xcat"}, Kinds: []artifact.KindSum{{Kind: artifact.KindInstall, Parts: parts, Entries: n, Files: n, Bytes: n * int64(size)}},
	}, layers)
	must(t, err)
	snap, err := artifact.Load(t.Context(), s, desc)
	must(t, err)
	return snap
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestVerifySideBySide damages some of many parts. The report names them in the
// order of the manifest and is the same with one core and with eight.
func TestVerifySideBySide(t *testing.T) {
	s := store{}
	snap := packParts(t, s, 20, 600, 100)
	layers := snap.Layers(artifact.KindInstall)
	s[layers[3].Digest][1000] ^= 1
	delete(s, layers[4].Digest)
	s[layers[12].Digest] = s[layers[12].Digest][:5000]
	s[layers[19].Digest][len(s[layers[19].Digest])-1] ^= 1
	var reports []artifact.Report
	for _, cores := range []int{1, 8} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
		report, err := artifact.Verify(t.Context(), s, snap)
		must(t, err)
		reports = append(reports, report)
	}
	if fmt.Sprint(reports[0]) != fmt.Sprint(reports[1]) {
		t.Errorf("one core reports %v\neight report %v", reports[0], reports[1])
	}
	var parts []int
	for _, p := range reports[0].Problems {
		parts = append(parts, p.Part)
		if want := fmt.Sprintf(`600 entries, "install/%03d/000000" to "install/%03d/000599"`, p.Part-1, p.Part-1); p.Holds != want {
			t.Errorf("part %d holds %s, want %s", p.Part, p.Holds, want)
		}
	}
	if !reflect.DeepEqual(parts, []int{4, 5, 13, 20}) {
		t.Errorf("problems in parts %v: %v", parts, reports[0].Problems)
	}
}

// TestVerifyBrokenCatalog ends the catalog in the middle: that is the only
// problem, layers are not blamed for records that cannot be read.
func TestVerifyBrokenCatalog(t *testing.T) {
	s := store{}
	snap := packParts(t, s, 6, 600, 10)
	catalog := snap.Layers(artifact.KindCatalog)[0].Digest
	s[catalog] = s[catalog][:len(s[catalog])/2]
	report, err := artifact.Verify(t.Context(), s, snap)
	must(t, err)
	if len(report.Problems) != 1 || report.Problems[0].Kind != artifact.KindCatalog || report.Entries != 3600 {
		t.Errorf("%d entries, problems: %v", report.Entries, report.Problems)
	}
}

// TestVerifyManyRecords has more records in a part than may be on their way; then
// it cannot be read, and nothing waits for ever.
func TestVerifyManyRecords(t *testing.T) {
	s := store{}
	snap := packParts(t, s, 1, 66_000, 0)
	report, err := artifact.Verify(t.Context(), s, snap)
	must(t, err)
	if len(report.Problems) != 0 || report.Entries != 66_000 {
		t.Fatalf("%d entries, problems: %v", report.Entries, report.Problems)
	}
	delete(s, snap.Manifest.Layers[0].Digest)
	report, err = artifact.Verify(t.Context(), s, snap)
	must(t, err)
	if len(report.Problems) != 1 || report.Entries != 0 || !strings.HasPrefix(report.Problems[0].Holds, "66000 entries") {
		t.Errorf("%d entries, problems: %v", report.Entries, report.Problems)
	}
}

// cancelling ends a context at the n-th read.
type cancelling struct {
	store
	left   *atomic.Int64
	cancel context.CancelFunc
}

func (c cancelling) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	r, err := c.store.Fetch(ctx, desc)
	return cancellingReader{r, c}, err
}

type cancellingReader struct {
	io.ReadCloser
	c cancelling
}

func (r cancellingReader) Read(p []byte) (int, error) {
	if r.c.left.Add(-1) == 0 {
		r.c.cancel()
	}
	return r.ReadCloser.Read(p[:min(len(p), 1000)])
}

// TestVerifyInterrupted ends the context at ever later reads, until Verify is
// done before.
func TestVerifyInterrupted(t *testing.T) {
	s := store{}
	snap := packParts(t, s, 4, 2000, 1)
	for n := int64(1); ; n *= 2 {
		ctx, cancel := context.WithCancel(t.Context())
		left := &atomic.Int64{}
		left.Store(n)
		_, err := artifact.Verify(ctx, cancelling{s, left, cancel}, snap)
		cancel()
		if left.Load() > 0 {
			must(t, err)
			if n < 1000 {
				t.Errorf("only %d reads", n)
			}
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("ended at read %d: %v", n, err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for name, size := range map[string]struct{ parts, files, size int }{
		"small files": {8, 4000, 1000}, "large files": {8, 40, 1 << 20},
	} {
		b.Run(name, func(b *testing.B) {
			s := store{}
			snap := packParts(b, s, size.parts, size.files, size.size)
			b.SetBytes(int64(size.parts * size.files * size.size))
			for b.Loop() {
				report, err := artifact.Verify(b.Context(), s, snap)
				if err != nil || len(report.Problems) > 0 {
					b.Fatal(err, report.Problems)
				}
			}
		})
	}
}
