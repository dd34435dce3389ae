package restore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
)

const pieceSize = 256 << 10

// bigContent is what the file in pieces holds: data, a piece of nothing but
// zeros, and a short last piece.
func bigContent() []byte {
	b := make([]byte, 2*pieceSize+5000)
	for i := range b {
		if i < pieceSize || i >= 2*pieceSize {
			b[i] = byte(i%251 + 1)
		}
	}
	return b
}

// pieceParts are the parts of a kind that holds one file in three pieces, each
// with neighbours, and a hard link to it.
func pieceParts() [][]file {
	big := bigContent()
	link := reg("install/big-link", "", 0o4750)
	link.entry.Type, link.entry.Link, link.entry.Size = artifact.TypeHardlink, "install/big", 0
	parts := [][]file{{dir("install", 0o755), reg("install/a", "a", 0o644)}, nil, {}, {link, dir("install/many", 0o755)}}
	for i := range 3 {
		part := big[i*pieceSize : min((i+1)*pieceSize, len(big))]
		f := reg("install/big", string(part), 0o4750)
		f.entry.Sparse = i == 1
		f.entry.Xattrs = map[string]string{"user.note": "big"}
		f.entry.UID, f.entry.GID = 12, 34
		f.entry.Piece = artifact.Piece{
			Number: i + 1, Count: 3, Offset: int64(i * pieceSize), Total: int64(len(big)),
			Stored: "install/" + artifact.PieceName("big", i+1, 0),
		}
		parts[i] = append(parts[i], f)
	}
	for i := range 700 { // more than a batch
		parts[3] = append(parts[3], reg(fmt.Sprintf("install/many/%03d", i), strings.Repeat("m", i), 0o640))
	}
	return parts
}

// pieced packs parts as the install kind.
func pieced(t *testing.T, m memory, parts [][]file) *artifact.Snapshot {
	t.Helper()
	config := artifact.Config{
		Format: 1, Created: time.Unix(1e9, 0), Stack: artifact.Stack{Name: "xcat"},
		Host: artifact.Host{Name: "mn", Arch: hostArch(t), Distro: artifact.Distro{ID: "rocky", Version: "9.6"}},
	}
	var layers []ocispec.Descriptor
	var all []artifact.Entry
	for i, files := range parts {
		entries, desc := layerPart(t, m, artifact.KindInstall, i+1, len(parts), files)
		all, layers = append(all, entries...), append(layers, desc)
	}
	total := sum(artifact.KindInstall, all)
	total.Parts = len(parts)
	config.Kinds = []artifact.KindSum{total}
	return pack(t, m, config, layers, all)
}

func pieceFixture(t *testing.T) fixture {
	t.Helper()
	needRoot(t)
	m := memory{}
	return fixture{m, pieced(t, m, pieceParts())}
}

func (f fixture) apply(t *testing.T, root string, workers int) *Result {
	t.Helper()
	o := f.options(t, root)
	o.Workers = workers
	result, err := Apply(t.Context(), f.m, f.s, o, yes)
	check(t, err)
	return result
}

// TestPieces restores a file in pieces with one worker and with eight.
func TestPieces(t *testing.T) {
	f := pieceFixture(t)
	one, eight := t.TempDir(), t.TempDir()
	result := f.apply(t, one, 1)
	f.apply(t, eight, 8)
	diff(t, "workers", treeOf(t, one), treeOf(t, eight))
	if p := result.Plan.Files[0]; p.New != 705 || p.Changed+p.Same != 0 {
		t.Errorf("a file in pieces is not one file: %+v", p)
	}
	var listed []Change
	check(t, result.Plan.Changes(t.Context(), func(c Change) error { listed = append(listed, c); return nil }))
	if len(listed) != 705 || listed[2] != (Change{State: "new", Path: "/install/big"}) || listed[3].Path != "/install/big-link" {
		t.Errorf("%d changes, %v", len(listed), listed[:4])
	}
	assertBig(t, eight)
	if again := f.apply(t, eight, 8); again != nil {
		t.Errorf("second import: %+v", again.Plan.Files)
	}
}

// TestMediumPulled takes the medium away as soon as the host begins to change:
// the import needs nothing of it any more.
func TestMediumPulled(t *testing.T) {
	f := pieceFixture(t)
	want, got := t.TempDir(), t.TempDir()
	f.apply(t, want, 2)
	o := f.options(t, got)
	o.fault = func() error { clear(f.m); return nil }
	if result, err := Apply(t.Context(), f.m, f.s, o, yes); err != nil || result == nil {
		t.Fatal(err)
	}
	if len(f.m) > 0 {
		t.Error("the medium was still there")
	}
	diff(t, "restored", treeOf(t, want), treeOf(t, got))
}

// assertBig looks at the file in pieces: content, attributes, holes, names.
func assertBig(t *testing.T, root string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(root, "install/big"))
	check(t, err)
	if !bytes.Equal(got, bigContent()) {
		t.Error("the pieces do not make the file")
	}
	var a, b unix.Stat_t
	check(t, unix.Stat(filepath.Join(root, "install/big"), &a))
	check(t, unix.Stat(filepath.Join(root, "install/big-link"), &b))
	if a.Ino != b.Ino || a.Mode&0o7777 != 0o4750 || a.Uid != 12 || a.Gid != 34 || a.Mtim.Sec != 1e9 || a.Mtim.Nsec != 7 {
		t.Errorf("attributes: %+v, %+v", a, b)
	}
	if a.Blocks*512 >= a.Size {
		t.Errorf("%d blocks for %d bytes: the hole is filled", a.Blocks, a.Size)
	}
	note := make([]byte, 8)
	if n, err := unix.Getxattr(filepath.Join(root, "install/big"), "user.note", note); err != nil || string(note[:max(n, 0)]) != "big" {
		t.Errorf("xattr: %q, %v", note[:max(n, 0)], err)
	}
}

// TestChangedPieces changes the file on the host in each of its pieces, keeping
// its size and time, and then its size: it is replaced whole, with its link.
func TestChangedPieces(t *testing.T) {
	f, root := pieceFixture(t), t.TempDir()
	f.apply(t, root, 0)
	big := filepath.Join(root, "install/big")
	ts := []unix.Timespec{{Sec: 1e9}, {Sec: 1e9, Nsec: 7}}
	for _, at := range []int64{0, pieceSize - 1, pieceSize, 2*pieceSize - 1, 2 * pieceSize, 2*pieceSize + 5000} {
		w, err := os.OpenFile(big, os.O_RDWR, 0)
		check(t, err)
		_, err = w.WriteAt([]byte{0xff}, at)
		check(t, errors.Join(err, w.Close()))
		check(t, os.Chmod(big, 0o750|os.ModeSetuid))
		check(t, unix.UtimesNanoAt(unix.AT_FDCWD, big, ts, 0))
		changed, err := os.ReadFile(big)
		check(t, err)
		result := f.apply(t, root, 0)
		if result == nil || result.Plan.Files[0].Changed != 2 || result.Plan.Files[0].Bytes != 2*pieceSize+5000 {
			t.Fatalf("changed at %d: %+v", at, result)
		}
		assertBig(t, root)
		kept, err := filepath.Glob(filepath.Join(result.Kept, "0*"))
		check(t, err)
		if len(kept) != 2 {
			t.Errorf("kept %v", kept)
		}
		for _, k := range kept {
			if b, err := os.ReadFile(k); err != nil || !bytes.Equal(b, changed) {
				t.Errorf("%s is not what was replaced: %d bytes, %v", k, len(b), err)
			}
		}
		if again := f.apply(t, root, 0); again != nil {
			t.Errorf("second import: %+v", again.Plan.Files)
		}
	}
}

// TestBadPieces damages each piece in turn, or leaves it out of its layer: an
// import fails and changes nothing. After a crash there the next one cleans up.
func TestBadPieces(t *testing.T) {
	for i := range 3 {
		for _, what := range []string{"damaged", "wrong", "missing"} {
			t.Run(fmt.Sprintf("%s %d", what, i+1), func(t *testing.T) {
				f, root := pieceFixture(t), t.TempDir()
				check(t, os.MkdirAll(filepath.Join(root, "install"), 0o755))
				check(t, os.WriteFile(filepath.Join(root, "install/big"), []byte("mine"), 0o600))
				before := treeOf(t, root)
				good := f
				l := f.s.Layers(artifact.KindInstall)[i]
				blob := f.m[l.Digest]
				switch what {
				case "damaged":
					f.m[l.Digest] = bytes.Clone(blob)
					f.m[l.Digest][len(blob)/2] ^= 1
				case "wrong":
					f.s = otherLayers(t, f.m, func(parts [][]file) { // the catalog has another digest
						last := &parts[i][len(parts[i])-1]
						last.content = last.content[1:] + "!"
						last.entry.Sparse = false
					})
				case "missing":
					f.s = otherLayers(t, f.m, func(parts [][]file) { parts[i] = parts[i][:len(parts[i])-1] })
				}
				if result, err := Apply(t.Context(), f.m, f.s, f.options(t, root), yes); err == nil {
					t.Fatalf("it was taken: %+v", result)
				}
				diff(t, what, before, treeOf(t, root))
				crash(t, f, f.options(t, root))
				f.m[l.Digest], f.s = blob, good.s
				f.takeBack(t, f.options(t, root))
				f.apply(t, root, 0)
				assertBig(t, root)
			})
		}
	}
}

// otherLayers packs layers that change made other than the catalog says.
func otherLayers(t *testing.T, m memory, change func([][]file)) *artifact.Snapshot {
	t.Helper()
	parts := pieceParts()
	change(parts)
	var layers []ocispec.Descriptor
	var all []artifact.Entry
	for i, files := range parts {
		_, desc := layerPart(t, m, artifact.KindInstall, i+1, len(parts), files)
		right, _ := layerPart(t, m, artifact.KindInstall, i+1, len(parts), pieceParts()[i])
		all, layers = append(all, right...), append(layers, desc)
	}
	s := pieced(t, m, pieceParts())
	return pack(t, m, s.Config, layers, all)
}

// TestPiecesEveryStep lets steps around the file in pieces fail, then crash.
func TestPiecesEveryStep(t *testing.T) {
	f := pieceFixture(t)
	for n := range 6 {
		root := t.TempDir()
		check(t, os.MkdirAll(filepath.Join(root, "install"), 0o700))
		check(t, os.WriteFile(filepath.Join(root, "install/big"), bytes.Repeat([]byte("mine"), n), 0o600))
		before := treeOf(t, root)
		for _, fail := range []func(o Options){
			func(o Options) {
				if _, err := Apply(t.Context(), f.m, f.s, o, yes); err == nil {
					t.Error("no fault")
				}
			},
			func(o Options) {
				crash(t, f, o)
				f.takeBack(t, f.options(t, root))
			},
		} {
			o, left := f.options(t, root), n
			o.fault = func() error {
				if left--; left < 0 {
					return io.ErrNoProgress
				}
				return nil
			}
			fail(o)
			diff(t, fmt.Sprintf("step %d", n), before, treeOf(t, root))
		}
	}
}

// TestManyDirectories makes more directories than are remembered, in a tree the
// host has by a symlink too, and fails at the end: all of it is put back.
func TestManyDirectories(t *testing.T) {
	needRoot(t)
	files := []file{dir("data/install", 0o755), dir("data/install/x", 0o700), reg("data/install/x/a", "a", 0o600), dir("install", 0o755), dir("install/x", 0o700)}
	for i := range maxTouched + 10 {
		files = append(files, dir(fmt.Sprintf("install/x/%05d", i), 0o711), reg(fmt.Sprintf("install/x/%05d/f", i), "f", 0o600))
	}
	m := memory{}
	f, root := fixture{m, pieced(t, m, [][]file{files})}, t.TempDir()
	check(t, os.MkdirAll(filepath.Join(root, "data/install"), 0o750))
	check(t, os.Symlink("data/install", filepath.Join(root, "install")))
	before := treeOf(t, root)
	o, steps := f.options(t, root), 0
	o.fault = func() error { steps++; return nil }
	_, err := Apply(t.Context(), f.m, f.s, o, yes)
	check(t, err)
	if again := f.apply(t, root, 0); again != nil {
		t.Errorf("second import: %+v", again.Plan.Files)
	}
	check(t, os.RemoveAll(filepath.Join(root, "data/install")))
	check(t, os.RemoveAll(filepath.Join(root, "var")))
	check(t, os.MkdirAll(filepath.Join(root, "data/install"), 0o750))
	ts := []unix.Timespec{{Sec: before["data/install"].Sec, Nsec: int64(before["data/install"].Nsec)}, {Sec: before["data/install"].Sec, Nsec: int64(before["data/install"].Nsec)}}
	check(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(root, "data/install"), ts, 0))
	before = treeOf(t, root)
	o.fault = func() error {
		if steps--; steps == 0 {
			return io.ErrNoProgress
		}
		return nil
	}
	if _, err := Apply(t.Context(), f.m, f.s, o, yes); err == nil {
		t.Error("no fault")
	}
	diff(t, "last step failed", before, treeOf(t, root))
}
