package layout

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// FuzzIndex: whatever another tool, or a stranger, wrote there: nothing that is kept is
// lost when it is written again, and what is listed is sound or says why it is not.
func FuzzIndex(f *testing.F) {
	idx := newIndex()
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: 1}
	if err := idx.set(desc, []string{"one", "latest"}); err != nil {
		f.Fatal(err)
	}
	b, err := idx.marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"sha256:0","size":-1},{},null,7,{"annotations":{"a":"b"}}],"x":[{}]}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		idx, err := parseIndex(b)
		if err != nil {
			return
		}
		for _, e := range idx.entries {
			if e.err == nil && (e.desc.Size < 0 || e.desc.Digest == "") {
				t.Errorf("entry %s", e.raw)
			}
		}
		before := len(idx.entries)
		again, err := idx.marshal()
		if err != nil {
			return
		}
		second, err := parseIndex(again)
		if err != nil || len(second.entries) != before {
			t.Fatalf("%d entries, then %v\n%s", before, err, again)
		}
		if third, err := second.marshal(); err != nil || !bytes.Equal(again, third) {
			t.Errorf("%v: written twice it is not the same:\n%s\n%s", err, again, third)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, ocispec.ImageLayoutFile), []byte(layoutFile), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ocispec.ImageIndexFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(dir)
		if err != nil {
			return
		}
		defer func() { _ = l.Close() }()
		all, err := l.Snapshots(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all { // there is no blob
			if s.Err == nil && !s.Foreign {
				t.Errorf("a snapshot without a manifest: %+v", s)
			}
		}
	})
}

// FuzzVolumes: a table that is taken has numbers and digests that can be used.
func FuzzVolumes(f *testing.F) {
	d := digest.FromString("x")
	f.Add([]byte(`{"format":1,"snapshot":"` + d.String() + `","number":1,"volumes":[{"label":"XC_1","blobs":[{"digest":"` + d.String() + `","size":1}]}]}`))
	f.Add([]byte(`{"format":1,"number":0,"volumes":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := parseVolumes(b)
		if err != nil {
			return
		}
		if table.Number < 1 || table.Number > len(table.Volumes) || checkDigest(table.Snapshot) != nil || !table.same(table) {
			t.Errorf("%+v", table)
		}
		for i := range table.Volumes {
			if table.name(i+1) == "" || !table.Have(i+1, nil) && len(table.Volumes[i].Blobs) == 0 {
				t.Errorf("volume %d of %+v", i+1, table)
			}
		}
	})
}
