package layout

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
)

// about puts a referrer of desc with that content.
func about(t *testing.T, w *Writer, desc ocispec.Descriptor, text string) (referrer, blob ocispec.Descriptor) {
	t.Helper()
	blob, err := w.PutBytes(t.Context(), "application/x-"+text, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	referrer, err = artifact.PackReferrer(t.Context(), w, desc, blob, text, time.Unix(1e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	return referrer, blob
}

// TestCommitWith: a snapshot and what refers to it are seen at once, or not at all.
func TestCommitWith(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	other := save(t, dir, "other", "a")
	w := mustCreate(t, dir)
	one, err := write(t.Context(), w, "one")
	if err != nil {
		t.Fatal(err)
	}
	good, blob := about(t, w, one, "signature")
	index := read(t, filepath.Join(dir, "index.json"))
	content := read(t, blobPath(dir, blob))
	if err := os.Remove(blobPath(dir, blob)); err != nil {
		t.Fatal(err)
	}
	if err := w.CommitWith(t.Context(), []ocispec.Descriptor{good}, one, "one"); !errors.Is(err, ErrMissing) {
		t.Errorf("a referrer that is not whole: %v", err)
	}
	if !bytes.Equal(read(t, filepath.Join(dir, "index.json")), index) {
		t.Error("index.json changed")
	}
	put(t, blobPath(dir, blob), string(content))
	second, _ := about(t, w, one, "list")
	if err := errors.Join(w.CommitWith(t.Context(), []ocispec.Descriptor{good, second}, one, "one"), w.Close()); err != nil {
		t.Fatal(err)
	}
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	found, err := l.Referrers(t.Context(), one, "")
	if err != nil || len(found) != 2 {
		t.Fatalf("%+v, %v", found, err)
	}
	for _, r := range found {
		if r.Manifest.ArtifactType != r.Descriptor.ArtifactType || r.Descriptor.Annotations[artifact.AnnotationSubject] != one.Digest.String() {
			t.Errorf("%+v", r)
		}
	}
	if found, err := l.Referrers(t.Context(), other, ""); err != nil || len(found) != 0 {
		t.Errorf("of another: %+v, %v", found, err)
	}
	if found, err := l.Referrers(t.Context(), one, "application/x-list"); err != nil || len(found) != 1 || found[0].Descriptor.Digest != second.Digest {
		t.Errorf("of one type: %+v, %v", found, err)
	}
	if got, err := l.Resolve(t.Context(), "one"); err != nil || got.Digest != one.Digest {
		t.Errorf("%v, %v", got, err)
	}
	all, err := l.Snapshots(t.Context())
	if err != nil || len(all) != 4 {
		t.Fatalf("%+v, %v", all, err)
	}
	subjects := 0
	for _, s := range all {
		if s.Subject == one.Digest && s.Foreign {
			subjects++
		}
	}
	if subjects != 2 {
		t.Errorf("%d of them say what they are about", subjects)
	}
	if left := unreferenced(t, dir); len(left) > 0 {
		t.Errorf("nothing refers to %q", left)
	}
}

// TestReferrersOfOthers: an entry of another tool says nothing of a subject, and is opened;
// one whose annotation lies is believed no more than its manifest.
func TestReferrersOfOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	one, two := save(t, dir, "one", "one"), save(t, dir, "two", "two")
	w := mustCreate(t, dir)
	bare, _ := about(t, w, one, "bare")
	bare.Annotations, bare.ArtifactType = nil, ""
	liar, _ := about(t, w, one, "liar")
	liar.Annotations = map[string]string{artifact.AnnotationSubject: two.Digest.String()}
	if err := errors.Join(w.Commit(t.Context(), bare), w.Commit(t.Context(), liar), w.Close()); err != nil {
		t.Fatal(err)
	}
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for name, c := range map[string]struct {
		of   ocispec.Descriptor
		want int
	}{"one": {one, 1}, "two": {two, 0}} {
		if found, err := l.Referrers(t.Context(), c.of, ""); err != nil || len(found) != c.want {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}
