package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/progress"
)

// made is a layout with a snapshot of several parts of 600 kB.
func made(t *testing.T, name string, parts int) (dir string, desc ocispec.Descriptor, m ocispec.Manifest) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "src")
	w, err := Create(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var layers []ocispec.Descriptor
	put := func(kind artifact.Kind, mediaType string, b []byte) {
		d, err := w.PutBytes(t.Context(), mediaType, b)
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, artifact.LayerDescriptor(d, kind, 1, 1))
	}
	for i := range parts {
		body, _ := big(600_000 + i)
		copy(body, name)
		put(artifact.KindInstall, artifact.TypeTar, body)
	}
	put(artifact.KindCatalog, artifact.TypeCatalog, []byte("catalog "+name))
	put(artifact.KindTool, artifact.TypeTool, []byte("program "+name))
	config, err := w.PutBytes(t.Context(), artifact.TypeConfig, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	m = ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifact.TypeSnapshot, Config: config, Layers: layers}
	m.SchemaVersion = 2
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if desc, err = w.PutBytes(t.Context(), ocispec.MediaTypeImageManifest, b); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Commit(t.Context(), desc, "v1"), w.Close()); err != nil {
		t.Fatal(err)
	}
	return dir, desc, m
}

// mib is a volume that holds its structure and two or so of the parts of made.
const mib = 1 << 20

func pack(t *testing.T, src, dest string, desc ocispec.Descriptor, m ocispec.Manifest, o PackOptions) []Packed {
	t.Helper()
	l, err := Open(src)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	o.Tags, o.Created, o.Progress = []string{"v1"}, time.Unix(1e9, 0), progress.None()
	o.Companions = []Companion{{Name: "RESTORE.sh", Mode: 0o555, Content: []byte("#!/bin/sh\n")}, {Name: "README.txt", Mode: 0o444, Content: []byte("read me\n")}}
	list, err := Pack(t.Context(), l, desc, m, dest, o)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// whole reads every blob of the snapshot through l.
func whole(t *testing.T, l *Layout, desc ocispec.Descriptor, m ocispec.Manifest) error {
	t.Helper()
	for _, d := range Blobs(desc, m) {
		if _, err := fetchAll(l, d); err != nil {
			return err
		}
	}
	return nil
}

func TestVolumes(t *testing.T) {
	src, desc, m := made(t, "c7", 7)
	for _, image := range []bool{false, true} {
		t.Run(fmt.Sprintf("image=%v", image), func(t *testing.T) {
			dest := filepath.Join(t.TempDir(), "c7.iso")
			list := pack(t, src, dest, desc, m, PackOptions{Capacity: 3 * mib, Image: image})
			var paths []string
			for i, v := range list {
				paths = append(paths, v.Path)
				if want := VolumeLabel(desc.Digest, i+1); v.Label != want || v.Size > 3*mib {
					t.Errorf("%+v, want label %s", v, want)
				}
				if rest, _ := filepath.Glob(v.Path + "*" + unfinished); len(rest) > 0 {
					t.Errorf("left behind: %v", rest)
				}
			}
			if len(paths) < 3 {
				t.Fatalf("volumes %v", paths)
			}
			// From any of them, the others beside it.
			for _, path := range paths {
				l, err := Open(path)
				if err != nil {
					t.Fatal(err)
				}
				got, err := l.Resolve(t.Context(), "v1")
				if err != nil || got.Digest != desc.Digest {
					t.Errorf("%s: %v, %v", path, got, err)
				}
				if len(l.Missing()) > 0 {
					t.Errorf("%s: missing %v", path, l.Missing())
				}
				if err := errors.Join(whole(t, l, desc, m), l.Close()); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
			elsewhere(t, paths, desc, m)
		})
	}
}

// elsewhere takes the volumes apart, so that names tell nothing.
func elsewhere(t *testing.T, paths []string, desc ocispec.Descriptor, m ocispec.Manifest) {
	t.Helper()
	var moved []string
	for i, path := range paths {
		to := filepath.Join(t.TempDir(), string(rune('a'+i))+filepath.Ext(path))
		if err := os.Rename(path, to); err != nil {
			t.Fatal(err)
		}
		moved = append(moved, to)
	}
	slices.Reverse(moved)
	l, err := Open(moved[0], moved[2:]...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	n := len(paths) - 1 // the second from the end is not here
	if got := l.Missing(); len(got) != 1 || got[0].Number != n || got[0].Label != VolumeLabel(desc.Digest, n) {
		t.Errorf("missing %v", got)
	}
	err = whole(t, l, desc, m)
	if !errors.Is(err, ErrMissing) || !errors.Is(err, ErrVolume) || !strings.Contains(err.Error(), fmt.Sprintf("volume %d of %d", n, len(paths))) {
		t.Errorf("without volume %d: %v", n, err)
	}
	if err := l.AddVolume(moved[1]); err != nil {
		t.Fatal(err)
	}
	if err := whole(t, l, desc, m); err != nil || len(l.Missing()) > 0 {
		t.Errorf("with all: %v, missing %v", err, l.Missing())
	}
}

// A directory of volumes is opened as what they are together.
func TestOpenVolumesDirectory(t *testing.T) {
	src, desc, m := made(t, "c7", 5)
	dest := filepath.Join(t.TempDir(), "discs")
	list := pack(t, src, dest, desc, m, PackOptions{Capacity: 3 * mib})
	l, err := Open(dest)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(whole(t, l, desc, m), l.Close()); err != nil {
		t.Error(err)
	}
	// Nothing can be added to one of them, nor volumes beside them.
	if _, err := Create(list[0].Path, Options{}); !errors.Is(err, ErrVolume) {
		t.Errorf("Create: %v", err)
	}
	from, err := Open(src)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	if _, err := Pack(t.Context(), from, desc, m, dest, PackOptions{Capacity: 3 * mib, Progress: progress.None()}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Pack: %v", err)
	}
}

// The same snapshot is spread the same way, to the same bytes.
func TestPackIsReproducible(t *testing.T) {
	src, desc, m := made(t, "c7", 5)
	for _, image := range []bool{false, true} {
		var digests [2][]string
		for i := range digests {
			dest := filepath.Join(t.TempDir(), "d.iso")
			for _, v := range pack(t, src, dest, desc, m, PackOptions{Capacity: 3 * mib, Image: image}) {
				digests[i] = append(digests[i], treeDigest(t, v.Path))
			}
		}
		if !slices.Equal(digests[0], digests[1]) {
			t.Errorf("image %v: %v", image, digests)
		}
	}
}

func treeDigest(t *testing.T, path string) string {
	t.Helper()
	var all strings.Builder
	if err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			fmt.Fprintf(&all, "%s %q\n", strings.TrimPrefix(name, path), read(t, name))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return string(digest.FromString(all.String()))
}

// Volumes of another snapshot, or of another spreading, are never mixed in.
func TestVolumesOfOthers(t *testing.T) {
	src, desc, m := made(t, "c7", 5)
	otherSrc, otherDesc, otherM := made(t, "c8", 5)
	dir := t.TempDir()
	ours := pack(t, src, filepath.Join(dir, "ours"), desc, m, PackOptions{Capacity: 3 * mib})
	others := pack(t, otherSrc, filepath.Join(dir, "others"), otherDesc, otherM, PackOptions{Capacity: 3 * mib})
	narrower := pack(t, src, filepath.Join(dir, "narrower"), desc, m, PackOptions{Capacity: 2*mib + mib/2})
	for name, path := range map[string]string{"snapshot": others[1].Path, "otherwise": narrower[1].Path, "several": src} {
		_, err := Open(ours[0].Path, path)
		if !errors.Is(err, ErrVolume) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// By their names alone they would be ours.
	if err := os.RemoveAll(ours[1].Path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(others[1].Path, ours[1].Path); err != nil {
		t.Fatal(err)
	}
	l, err := Open(ours[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if got := l.Missing(); len(got) != 1 || got[0].Number != 2 {
		t.Errorf("missing %v", got)
	}
}

func TestPackTooSmall(t *testing.T) {
	src, desc, m := made(t, "c7", 2)
	l, err := Open(src)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dest := filepath.Join(t.TempDir(), "d.iso")
	for _, capacity := range []int64{1000, mib + 300_000} {
		if _, err := Pack(t.Context(), l, desc, m, dest, PackOptions{Capacity: capacity, Image: true, Progress: progress.None()}); !errors.Is(err, ErrTooSmall) {
			t.Errorf("capacity %d: %v", capacity, err)
		}
	}
	if names, _ := os.ReadDir(filepath.Dir(dest)); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

// A blob that is damaged on its way leaves no volume.
func TestPackDamaged(t *testing.T) {
	src, desc, m := made(t, "c7", 5)
	bad := m.Layers[3]
	b := read(t, blobPath(src, bad))
	b[1000] ^= 1
	put(t, blobPath(src, bad), string(b))
	l, err := Open(src)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, image := range []bool{false, true} {
		dir := t.TempDir()
		_, err := Pack(t.Context(), l, desc, m, filepath.Join(dir, "d.iso"), PackOptions{Capacity: 3 * mib, Image: image, Created: time.Unix(1e9, 0), Progress: progress.None()})
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), string(bad.Digest)) {
			t.Errorf("image %v: %v", image, err)
		}
		if names, _ := os.ReadDir(dir); len(names) > 0 {
			t.Errorf("left behind: %v", names)
		}
	}
}
