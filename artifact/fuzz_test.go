package artifact_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
)

func sampleSnapshot(f *testing.F, s store) *artifact.Snapshot {
	f.Helper()
	var snap *artifact.Snapshot
	same := func(all []artifact.Entry) []artifact.Entry { return all }
	// pack wants a test; what it makes is the same in each.
	ok := f.Failed()
	t := &testing.T{}
	snap, err := pack(t, s, same, same)
	if err != nil || ok || t.Failed() {
		f.Fatal(err)
	}
	return snap
}

// FuzzConfig: what is taken is valid, and says the same once it was written again.
func FuzzConfig(f *testing.F) {
	s := store{}
	snap := sampleSnapshot(f, s)
	f.Add(s[snap.Manifest.Config.Digest])
	f.Add([]byte(`{"format":1,"host":{"distro":{"id":"x"},"arch":"y"},"stack":{"name":"xcat"},"secrets":{"state":"sealed"}}`))
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := artifact.ParseConfig(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(c)
		check(t, err)
		if _, err := artifact.ParseConfig(again); err != nil {
			t.Errorf("written again it is refused: %v\n%s", err, again)
		}
	})
}

// FuzzManifest: of what is taken every reader can rely on order, numbers and algorithms.
func FuzzManifest(f *testing.F) {
	s := store{}
	snap := sampleSnapshot(f, s)
	f.Add(s[snap.Descriptor.Digest])
	f.Add([]byte(`{"schemaVersion":2,"artifactType":"` + artifact.TypeSnapshot + `","layers":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(b), Size: int64(len(b))}
		own := store{desc.Digest: b, snap.Manifest.Config.Digest: s[snap.Manifest.Config.Digest]}
		got, err := artifact.Load(t.Context(), own, desc)
		if err != nil {
			return
		}
		if len(got.Layers(artifact.KindCatalog)) != 1 {
			t.Error("not one catalog")
		}
		for _, l := range got.Manifest.Layers {
			if l.Digest.Validate() != nil || l.Digest.Algorithm() != digest.SHA256 || l.Size < 0 {
				t.Errorf("layer %+v", l)
			}
		}
	})
}

// FuzzCatalog: records come sorted, and each could be put in place.
func FuzzCatalog(f *testing.F) {
	s := store{}
	snap := sampleSnapshot(f, s)
	whole := s[snap.Layers(artifact.KindCatalog)[0].Digest]
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte("\x28\xb5\x2f\xfd\x00\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := artifact.NewCatalogReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		defer r.Close()
		var last artifact.Entry
		for n := 0; n < 10_000; n++ {
			e, err := r.Next()
			if err != nil {
				return
			}
			if err := e.Validate(); err != nil {
				t.Fatal(err)
			}
			if e.Kind == last.Kind && e.Part == last.Part && e.Path <= last.Path && e.Piece.Number < 2 {
				t.Fatalf("%q after %q", e.Path, last.Path)
			}
			last = e
		}
	})
}

// FuzzLayer: whatever the bytes, an entry that is handed out is one that may be, and the
// reader comes to an end.
func FuzzLayer(f *testing.F) {
	all := func(all []artifact.Entry) []artifact.Entry { return all }
	s := store{}
	same := &testing.T{}
	snap, err := pack(same, s, all, all)
	if err != nil {
		f.Fatal(err)
	}
	packed := s[snap.Layers(artifact.KindConfig)[0].Digest]
	f.Add(packed, true)
	z, err := artifact.NewZstdReader(bytes.NewReader(packed))
	if err != nil {
		f.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain, false)
	f.Add(bytes.Repeat([]byte{0}, 2048), false)
	f.Fuzz(func(t *testing.T, b []byte, compressed bool) {
		mediaType := artifact.TypeTar
		if compressed {
			mediaType = artifact.TypeTarZstd
		}
		own := store{}
		desc := artifact.LayerDescriptor(own.put(mediaType, b), artifact.KindConfig, 1, 1)
		l, err := artifact.OpenLayer(t.Context(), own, desc)
		if err != nil {
			return
		}
		defer func() { check(t, l.Close()) }()
		for {
			e, r, err := l.Next()
			if err != nil {
				if ferr := l.Finish(); errors.Is(err, io.EOF) && ferr != nil {
					t.Logf("after the end: %v", ferr)
				}
				return
			}
			if err := e.Validate(); err != nil {
				t.Fatal(err)
			}
			// A header may claim terabytes of zeros: the first of them are enough here.
			n, err := io.Copy(io.Discard, io.LimitReader(r, 1<<20))
			if err == nil && n > e.Size {
				t.Fatalf("entry %q: %d bytes of %d", e.Path, n, e.Size)
			}
			if e.Size > 1<<20 {
				return
			}
		}
	})
}
