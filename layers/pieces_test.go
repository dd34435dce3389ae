package layers

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
)

// TestPieces captures files larger than a part, small limits standing for large
// ones, among them such that are called like pieces.
func TestPieces(t *testing.T) {
	root := node(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	bulk := make([]byte, 500<<10)
	for i := range bulk {
		bulk[i] = byte(rnd.Uint32())
	}
	check(t, os.MkdirAll(root.Path("/install/custom/iso"), 0o755))
	put := func(name string, b []byte) string {
		p := "/install/custom/iso/" + name
		check(t, os.WriteFile(root.Path(p), b, 0o640|0o004))
		return p
	}
	long := strings.Repeat("n", 255)
	put("big.iso", bulk)
	put("big.iso.xcrate-part-0002", []byte("not a piece"))
	put(long, bulk[:300<<10])
	put(long[:254]+"m", bulk[:300<<10])
	put("just", bulk[:100<<10])
	put("key.xcrate-part-0001", []byte("another kind, and no piece"))
	check(t, os.Chmod(root.Path(put("key", bulk[:200<<10])), 0o600))
	check(t, os.Link(root.Path("/install/custom/iso/big.iso"), root.Path("/install/custom/iso/zlink")))
	check(t, os.WriteFile(root.Path("/install/custom/iso/holes"), nil, 0o644))
	check(t, os.Truncate(root.Path("/install/custom/iso/holes"), 1<<30))
	f, err := os.OpenFile(root.Path("/install/custom/iso/holes"), os.O_WRONLY, 0)
	check(t, err)
	for _, at := range []int64{0, 100 << 20, 700 << 20} {
		_, err = f.WriteAt(bulk[:80<<10], at)
		check(t, err)
	}
	check(t, f.Close())

	s := newStore()
	o := opts(t, root)
	o.limits = limits{part: 110 << 10, piece: 100 << 10}
	c := capture1(t, s, o)
	snap := s.snapshot(t, c)
	all := s.entries(t, snap)

	wantPieces(t, all, "install/custom/iso/big.iso", 5, bulk)
	wantPieces(t, all, "install/custom/iso/"+long, 3, bulk[:300<<10])
	wantPieces(t, all, "install/custom/iso/"+long[:254]+"m", 3, bulk[:300<<10])
	if e := all["install install/custom/iso/just#0"]; e.Size != 100<<10 {
		t.Errorf("a file of just one piece: %+v", e)
	}
	if e := all["install install/custom/iso/zlink#0"]; e.Type != artifact.TypeHardlink || e.Link != "install/custom/iso/big.iso" {
		t.Errorf("another name: %+v", e)
	}
	stored := map[string]bool{}
	for _, e := range all {
		if e.Kind.IsTree() && stored[e.StoredPath()] {
			t.Errorf("%q is stored twice", e.StoredPath())
		}
		stored[e.StoredPath()] = true
	}
	var holes int64
	for n := 1; n <= 3; n++ {
		e := all["install install/custom/iso/holes#"+string(rune('0'+n))]
		holes += e.Size
		if !e.Sparse || e.Piece.Count != 3 {
			t.Errorf("sparse piece %d: %+v", n, e)
		}
	}
	if holes != 1<<30 {
		t.Errorf("the pieces of 1 GiB have %d bytes", holes)
	}
	for _, l := range c.Layers {
		if l.Annotations[artifact.AnnotationKind] == string(artifact.KindInstall) && l.Size > 120<<10 {
			t.Errorf("layer of %d bytes", l.Size)
		}
	}

	one, eight := o, o
	one.Workers, eight.Workers = 1, 8
	if a, b := capture1(t, newStore(), one), capture1(t, newStore(), eight); a.Layers[len(a.Layers)-1].Digest != b.Layers[len(b.Layers)-1].Digest {
		t.Error("workers make other catalogs")
	}
}

// wantPieces checks the pieces of a file against its content.
func wantPieces(t *testing.T, all map[string]artifact.Entry, path string, count int, content []byte) {
	t.Helper()
	at := int64(0)
	for n := 1; n <= count; n++ {
		e, ok := all["install "+path+"#"+string(rune('0'+n))]
		if !ok || e.Piece.Count != count || e.Piece.Offset != at || e.Piece.Total != int64(len(content)) {
			t.Fatalf("%.60s: piece %d: %+v", path, n, e)
		}
		if want := artifact.DigestOf(content[at : at+e.Size]); e.Digest != want {
			t.Errorf("%.60s: piece %d has other bytes", path, n)
		}
		at += e.Size
	}
	if at != int64(len(content)) {
		t.Errorf("%.60s: %d bytes in pieces", path, at)
	}
}

// TestPieceOfOneChange changes one byte of a large file: one piece is new.
func TestPieceOfOneChange(t *testing.T) {
	root := node(t)
	p := root.Path("/install/custom/image")
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	check(t, os.WriteFile(p, content, 0o644))
	o := opts(t, root)
	o.limits = limits{part: 110 << 10, piece: 100 << 10}
	before := capture1(t, newStore(), o)
	content[500_000] = 'X'
	st, err := os.Stat(p)
	check(t, err)
	check(t, os.WriteFile(p, content, 0o644))
	check(t, os.Chtimes(p, st.ModTime(), st.ModTime()))
	after := capture1(t, newStore(), o)
	fresh := 0
	have := map[string]bool{}
	for _, l := range before.Layers {
		have[l.Digest.String()] = true
	}
	for _, l := range after.Layers {
		if !have[l.Digest.String()] && l.Annotations[artifact.AnnotationKind] == string(artifact.KindInstall) {
			fresh++
		}
	}
	if fresh != 1 {
		t.Errorf("%d new parts", fresh)
	}
}
