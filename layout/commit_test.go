package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
)

func TestCommitRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	one := save(t, dir, "one", "a")
	w := mustCreate(t, dir)
	two, err := write(t.Context(), w, "two")
	if err != nil {
		t.Fatal(err)
	}
	index := read(t, filepath.Join(dir, "index.json"))
	refuse := func(d ocispec.Descriptor, is error, text string, tags ...string) {
		t.Helper()
		err := w.Commit(t.Context(), d, tags...)
		if err == nil || is != nil && !errors.Is(err, is) || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %v with %q", err, is, text)
		}
		if !bytes.Equal(read(t, filepath.Join(dir, "index.json")), index) {
			t.Error("index.json changed")
		}
	}
	refuse(two, nil, `tag "a b"`, "ok", "a b")
	config := two
	config.MediaType = "application/x"
	refuse(config, nil, "not an OCI image manifest")
	missing := content.NewDescriptorFromBytes(ocispec.MediaTypeImageManifest, []byte("x"))
	refuse(missing, ErrMissing, missing.Digest.String())
	m, err := w.store.manifest(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parts(m) {
		good := read(t, blobPath(dir, d))
		put(t, blobPath(dir, d), string(good[1:]))
		refuse(two, ErrCorrupt, d.Digest.String(), "t")
		if err := os.Remove(blobPath(dir, d)); err != nil {
			t.Fatal(err)
		}
		refuse(two, ErrMissing, d.Digest.String(), "t")
		put(t, blobPath(dir, d), string(good))
	}
	if err := w.Commit(t.Context(), two, "t"); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, dir, "a", one)
	mustVerify(t, dir, "t", two)
}

// entries is what index.json lists, as "TAG=DIGEST", in its order.
func entries(t *testing.T, dir string) string {
	t.Helper()
	var idx ocispec.Index
	if err := json.Unmarshal(read(t, filepath.Join(dir, "index.json")), &idx); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, d := range idx.Manifests {
		list = append(list, d.Annotations[ocispec.AnnotationRefName]+"="+d.Annotations[ocispec.AnnotationTitle])
	}
	return strings.Join(list, " ")
}

func TestTags(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	for _, step := range []struct {
		name string
		tags []string
		want string
	}{
		{"one", nil, "=one"},
		{"one", nil, "=one"},
		{"one", []string{"v1", "latest", "v1"}, "latest=one v1=one"},
		{"two", []string{"latest", "v2"}, "latest=two v1=one v2=two"},
		{"two", nil, "latest=two v1=one v2=two"},
		{"three", []string{"v1", "v2", "latest"}, "latest=three v1=three v2=three =one =two"},
		{"one", []string{"latest"}, "latest=one v1=three v2=three =two"},
	} {
		desc := save(t, dir, step.name, step.tags...)
		got := entries(t, dir)
		// What has no tag is in the order of digests: as good as any other.
		if strings.Join(sortStrings(strings.Fields(got)), " ") != strings.Join(sortStrings(strings.Fields(step.want)), " ") ||
			!strings.HasPrefix(got, strings.SplitN(step.want, " =", 2)[0]) {
			t.Errorf("%v: %s, want %s", step, got, step.want)
		}
		mustVerify(t, dir, desc.Digest.String(), desc)
		for _, tag := range step.tags {
			mustVerify(t, dir, tag, desc)
		}
	}
}

// The bytes of index.json depend on what is in it, not on the order or the
// number of times it was put there.
func TestIndexStable(t *testing.T) {
	var first []byte
	for _, order := range []string{"abcd", "dcba", "bdacabcd"} {
		dir := filepath.Join(t.TempDir(), "d")
		for _, name := range order {
			save(t, dir, string(name), "v-"+string(name), "x-"+string(name))
			save(t, dir, string(name)+"0")
		}
		b := read(t, filepath.Join(dir, "index.json"))
		if first == nil {
			first = b
		}
		if !bytes.Equal(b, first) {
			t.Errorf("order %s:\n%s\nwant\n%s", order, b, first)
		}
	}
}

// What another tool wrote into index.json survives, field for field.
func TestForeignKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	save(t, dir, "one", "a")
	file := filepath.Join(dir, "index.json")
	entry := `{"digest":"` + someDigest + `","mediaType":"application/vnd.oci.image.index.v1+json","size":2,"x-big":12345678901234567890.10,` +
		`"annotations":{"org.opencontainers.image.ref.name":"b","z":"<&>"}}`
	idx := strings.Replace(string(read(t, file)), `"manifests":[`, `"x-top":{"n":1e400},"annotations":{"k":"v"},"manifests":[17,{"odd":true},`+entry+`,`, 1)
	put(t, file, idx)
	two := save(t, dir, "two", "b")
	var got struct {
		Top         json.RawMessage   `json:"x-top"`
		Annotations map[string]string `json:"annotations"`
		Manifests   []json.RawMessage `json:"manifests"`
	}
	b := read(t, file)
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if string(got.Top) != `{"n":1e400}` || got.Annotations["k"] != "v" || len(got.Manifests) != 5 {
		t.Errorf("index %s", b)
	}
	for _, want := range []string{`17`, `{"odd":true}`, `12345678901234567890.10`, `"annotations":{"z":"\u003c\u0026\u003e"}`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("index %s has no %s", b, want)
		}
	}
	mustVerify(t, dir, "b", two)
}

func TestIndexFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	one := save(t, dir, "one", "a")
	file := filepath.Join(dir, "index.json")
	pad := strings.Replace(string(read(t, file)), `"manifests"`, `"x":"`+strings.Repeat("x", maxJSON-2000)+`","manifests"`, 1)
	put(t, file, pad)
	w := mustCreate(t, dir)
	two, err := write(t.Context(), w, "two")
	if err != nil {
		t.Fatal(err)
	}
	tags := make([]string, 20)
	for i := range tags {
		tags[i] = fmt.Sprint("t", i)
	}
	if err := w.Commit(t.Context(), two, tags...); err == nil || !strings.Contains(err.Error(), "too many snapshots") {
		t.Errorf("error %v", err)
	}
	mustVerify(t, dir, "a", one)
}
