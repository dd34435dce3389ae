package layout

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/xcrate/xcrate/artifact"
)

func TestOpenErrors(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		is    error
		text  string
	}{
		"missing":         {is: fs.ErrNotExist, text: "no such file"},
		"file":            {files: map[string]string{"": "x"}, is: syscall.ENOTDIR, text: "not a directory"},
		"no_layout":       {files: map[string]string{"readme": "x"}, is: ErrNoLayout, text: "no file oci-layout"},
		"version":         {files: map[string]string{"oci-layout": `{"imageLayoutVersion":"2.0.0"}`}, is: ErrVersion, text: `"2.0.0"`},
		"no_version":      {files: map[string]string{"oci-layout": `{}`}, is: ErrVersion, text: `""`},
		"empty_layout":    {files: map[string]string{"oci-layout": ""}, is: ErrIndex, text: "oci-layout"},
		"long_layout":     {files: map[string]string{"oci-layout": strings.Repeat(" ", 5000)}, is: ErrIndex, text: "oci-layout"},
		"no_index":        {files: map[string]string{"oci-layout": layoutFile}, is: ErrIndex, text: "index.json"},
		"empty_index":     {files: map[string]string{"oci-layout": layoutFile, "index.json": ""}, is: ErrIndex, text: "index.json"},
		"broken_index":    {files: map[string]string{"oci-layout": layoutFile, "index.json": `{"schemaVersion":2,"manif`}, is: ErrIndex, text: "index.json"},
		"null_index":      {files: map[string]string{"oci-layout": layoutFile, "index.json": `null`}, is: ErrIndex, text: "schemaVersion"},
		"index_version":   {files: map[string]string{"oci-layout": layoutFile, "index.json": `{"schemaVersion":1,"manifests":[]}`}, is: ErrIndex, text: "schemaVersion 1"},
		"index_no_list":   {files: map[string]string{"oci-layout": layoutFile, "index.json": `{"schemaVersion":2}`}, is: ErrIndex, text: "manifests"},
		"index_odd_list":  {files: map[string]string{"oci-layout": layoutFile, "index.json": `{"schemaVersion":2,"manifests":{}}`}, is: ErrIndex, text: "manifests"},
		"index_too_large": {files: map[string]string{"oci-layout": layoutFile, "index.json": strings.Repeat(" ", maxJSON+1)}, is: ErrIndex, text: "more than 4194304"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			for file, content := range test.files {
				if file != "" {
					if err := os.MkdirAll(dir, 0o700); err != nil {
						t.Fatal(err)
					}
				}
				put(t, filepath.Join(dir, file), content)
			}
			_, err := Open(dir)
			if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.text) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("error %v, want %v with %q and the path", err, test.is, test.text)
			}
			for _, other := range []error{fs.ErrNotExist, syscall.ENOTDIR, ErrNoLayout, ErrVersion, ErrIndex} {
				if !errors.Is(other, test.is) && errors.Is(err, other) {
					t.Errorf("error %v is %v too", err, other)
				}
			}
		})
	}
}

// Opening a FIFO or a directory in a file's place must neither wait nor pass.
func TestOpenOddFiles(t *testing.T) {
	for _, name := range []string{"oci-layout", "index.json"} {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "oci-layout"), layoutFile)
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is a FIFO: %v", name, err)
		}
		if _, err := Create(dir, Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is a FIFO: create: %v", name, err)
		}
	}
}

func TestResolve(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	one := save(t, dir, "one")
	check := func(name string, want ocispec.Descriptor) {
		t.Helper()
		l, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := l.Resolve(t.Context(), name)
		if err != nil || got.Digest != want.Digest || got.Size != want.Size || got.Platform.OSVersion != "9.6" ||
			got.ArtifactType != artifact.TypeSnapshot || got.Annotations[ocispec.AnnotationRefName] != "" {
			t.Errorf("%q: %+v, %v; want %s", name, got, err, want.Digest)
		}
	}
	refuse := func(name string, is error, text ...string) {
		t.Helper()
		_, err := verify(dir, name)
		for _, s := range append(text, dir) {
			if err == nil || is != nil && !errors.Is(err, is) || !strings.Contains(err.Error(), s) {
				t.Errorf("%q: error %v, want %v with %q", name, err, is, s)
			}
		}
	}
	check("", one) // the only one, without any tag
	check(one.Digest.String(), one)
	refuse("v1", ErrNotFound, `tag "v1"`, "nothing in the layout has a tag")
	two := save(t, dir, "two", "v2")
	check("v2", two)
	refuse("", nil, "2 snapshots", "tags: v2")
	refuse("v1", errdef.ErrNotFound, `tag "v1"`, "tags: v2")
	refuse(someDigest, ErrNotFound, someDigest)
	refuse("sha256:12", nil, `"sha256:12"`)
	save(t, dir, "one", "v1", "latest")
	check("", one)
	save(t, dir, "two", "latest")
	check("", two)
	check("v1", one)
}

func TestResolveEmpty(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(dir, ""); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "layout is empty") {
		t.Errorf("error %v", err)
	}
}

// Entries of others are listed as foreign, damaged ones with their error, and
// neither hides a sound one.
func TestSnapshots(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	one := save(t, dir, "one", "b", "a")
	bad := save(t, dir, "bad", "bad")
	gone := save(t, dir, "gone")
	idx := string(read(t, filepath.Join(dir, "index.json")))
	foreign := `{"mediaType":"` + ocispec.MediaTypeImageIndex + `","digest":"` + someDigest + `","size":2,"annotations":{"org.opencontainers.image.ref.name":"alpine"}},` +
		`{"mediaType":"x/y","digest":"sha512:` + strings.Repeat("a", 128) + `","size":1},{"digest":"sha256:zz"},7,null,`
	idx = strings.Replace(idx, `"manifests":[`, `"manifests":[`+foreign, 1)
	put(t, filepath.Join(dir, "index.json"), idx)
	damage(t, blobPath(dir, bad))
	if err := os.Remove(blobPath(dir, gone)); err != nil {
		t.Fatal(err)
	}
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	list, err := l.Snapshots(t.Context())
	if err != nil || len(list) != 8 {
		t.Fatalf("%d snapshots, %v: %+v", len(list), err, list)
	}
	for i, want := range []struct {
		foreign bool
		is      error
		tags    []string
	}{
		{true, nil, []string{"alpine"}},
		{true, nil, nil},
		{false, ErrIndex, nil},
		{false, ErrIndex, nil},
		{false, ErrIndex, nil},
		{false, nil, []string{"a", "b"}},
		{false, ErrCorrupt, []string{"bad"}},
		{false, ErrMissing, nil},
	} {
		s := list[i]
		if s.Foreign != want.foreign || !errors.Is(s.Err, want.is) || (s.Err != nil) != (want.is != nil) || !slices.Equal(s.Tags, want.tags) {
			t.Errorf("%d: %+v, want %+v", i, s, want)
		}
	}
	s := list[5]
	if s.Descriptor.Digest != one.Digest || s.Created.Format("2006-01-02 15:04:05") != "2026-11-22 01:02:03" || s.Annotations[ocispec.AnnotationTitle] != "one" {
		t.Errorf("%+v", s)
	}
	if list[6].Err == nil || !strings.Contains(list[6].Err.Error(), bad.Digest.String()) || !strings.Contains(list[7].Err.Error(), blobPath(dir, gone)) {
		t.Errorf("errors %v and %v name no blob", list[6].Err, list[7].Err)
	}
	mustVerify(t, dir, "a", one)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Snapshots(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// One tag on two manifests is nothing to guess about.
func TestResolveTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	save(t, dir, "one", "a")
	save(t, dir, "two", "b")
	file := filepath.Join(dir, "index.json")
	put(t, file, strings.Replace(string(read(t, file)), `ref.name":"b"`, `ref.name":"a"`, 1))
	if _, err := verify(dir, "a"); !errors.Is(err, ErrIndex) || !strings.Contains(err.Error(), "two manifests") {
		t.Errorf("error %v", err)
	}
}

// A directory that is an ordinary container image: the caller finds out what.
func TestResolveForeign(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	save(t, dir, "one")
	file := filepath.Join(dir, "index.json")
	put(t, file, strings.ReplaceAll(string(read(t, file)), ocispec.MediaTypeImageManifest, "application/x"))
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := l.Resolve(t.Context(), ""); err != nil || d.MediaType != "application/x" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestFree(t *testing.T) {
	dir := mount(t, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
	free, err := Free(dir)
	if err != nil || free == 0 || free > 1<<20 {
		t.Fatalf("%d bytes, %v", free, err)
	}
	put(t, filepath.Join(dir, "f"), strings.Repeat("x", 256<<10))
	for _, place := range []string{dir, filepath.Join(dir, "new"), filepath.Join(dir, "no", "such")} {
		less, err := Free(place)
		if err != nil || free-less != 256<<10 {
			t.Errorf("%s: %d bytes, %v; %d before", place, less, err, free)
		}
	}
	if _, err := Free(filepath.Join(dir, "f", "such")); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("error %v", err)
	}
}
