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
				if other != test.is && errors.Is(err, other) {
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
		{true, nil, []string{"alpine"}}, {true, nil, nil},
		{false, ErrIndex, nil}, {false, ErrIndex, nil}, {false, ErrIndex, nil},
		{false, nil, []string{"a", "b"}}, {false, ErrCorrupt, []string{"bad"}}, {false, ErrMissing, nil},
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

// damage flips one bit in the middle of a file.
func damage(t *testing.T, path string) {
	t.Helper()
	b := read(t, path)
	b[len(b)/2] ^= 1
	put(t, path, string(b))
}

func TestFetchDamage(t *testing.T) {
	tests := map[string]struct {
		harm func(b []byte) []byte
		is   error
	}{
		"sound":     {harm: func(b []byte) []byte { return b }},
		"flip":      {func(b []byte) []byte { b[7] ^= 0x10; return b }, ErrCorrupt},
		"last_flip": {func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, ErrCorrupt},
		"short":     {func(b []byte) []byte { return b[:len(b)-1] }, ErrCorrupt},
		"empty":     {func([]byte) []byte { return nil }, ErrCorrupt},
		"long":      {func(b []byte) []byte { return append(b, 0) }, ErrCorrupt},
		"missing":   {func([]byte) []byte { return []byte("unlink") }, ErrMissing},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			desc := save(t, dir, "one", "a")
			l, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			m, err := l.store.manifest(t.Context(), desc)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range append(parts(m), desc) {
				good := read(t, blobPath(dir, d))
				if harmed := test.harm(slices.Clone(good)); string(harmed) != "unlink" {
					put(t, blobPath(dir, d), string(harmed))
				} else if err := os.Remove(blobPath(dir, d)); err != nil {
					t.Fatal(err)
				}
				b, err := fetchAll(l, d)
				if len(b) > int(d.Size) {
					t.Errorf("%d bytes handed out of a blob of %d", len(b), d.Size)
				}
				_, verr := verify(dir, "a")
				for _, err := range []error{err, verr} {
					if !errors.Is(err, test.is) || err != nil && !strings.Contains(err.Error(), d.Digest.String()) {
						t.Errorf("error %v, want %v that names %s", err, test.is, d.Digest)
					}
				}
				if test.is == ErrMissing && (!errors.Is(err, errdef.ErrNotFound) || !strings.Contains(err.Error(), blobPath(dir, d))) {
					t.Errorf("error %v does not name the path", err)
				}
				put(t, blobPath(dir, d), string(good))
			}
		})
	}
}

// Every flipped bit and every cut of index.json is found, or does no harm: what
// the tag then leads to is verified and the same.
func TestIndexDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	desc := save(t, dir, "one", "a")
	file := filepath.Join(dir, "index.json")
	good := read(t, file)
	harmless := 0
	try := func(b []byte) {
		t.Helper()
		put(t, file, string(b))
		got, err := verify(dir, "a")
		if err == nil && got.Digest != desc.Digest {
			t.Fatalf("index %s: resolves to %s", b, got.Digest)
		}
		if err == nil {
			harmless++
		} else if !errors.Is(err, ErrIndex) && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrMissing) && !errors.Is(err, ErrCorrupt) &&
			!strings.Contains(err.Error(), dir) {
			t.Errorf("error %v names nothing", err)
		}
		// Writing must not make it worse.
		w, err := Create(dir, Options{})
		if err != nil {
			return
		}
		if err := w.Abort(); err != nil {
			t.Errorf("abort: %v", err)
		}
		if string(read(t, file)) != string(b) {
			t.Errorf("index %s changed", b)
		}
	}
	for i := range good {
		for bit := range 8 {
			b := slices.Clone(good)
			b[i] ^= 1 << bit
			try(b)
		}
		try(good[:i])
	}
	if harmless == 0 || harmless > len(good)*6 {
		t.Errorf("%d of %d harms did none: the test tests nothing", harmless, len(good)*9)
	}
	put(t, file, string(good))
	mustVerify(t, dir, "a", desc)
}

// What a symlink puts in a blob's place, or behind a directory, is not read.
func TestSymlinks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	desc := save(t, dir, "one", "a")
	outside := t.TempDir()
	blob := blobPath(dir, desc)
	moved := filepath.Join(outside, "blob")
	if err := os.WriteFile(moved, read(t, blob), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(moved, blob); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(dir, "a"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("symlinked blob: %v", err)
	}
	// Putting the blob again mends it, and leaves alone what the link led to.
	save(t, dir, "one", "a")
	mustVerify(t, dir, "a", desc)
	if info, err := os.Lstat(moved); err != nil || info.Mode().Perm() != 0o600 || info.Size() != desc.Size {
		t.Errorf("link target: %v, %v", info, err)
	}
	if err := os.Rename(filepath.Join(dir, "blobs"), filepath.Join(outside, "blobs")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "blobs"), filepath.Join(dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(dir, "a"); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("symlinked directory: %v", err)
	}
	before := tree(t, outside)
	if _, err := Create(dir, Options{}); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("writing through a symlinked directory: %v", err)
	}
	if after := tree(t, outside); len(after) != len(before) {
		t.Errorf("written outside: %v", after)
	}
}

// Reading needs no right to write: a DVD, a write-protected stick.
func TestReadOnlyMedium(t *testing.T) {
	dir := mount(t, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
	desc := save(t, dir, "one", "a")
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, dir, "a", desc)
	if _, err := Create(dir, Options{}); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), dir) {
		t.Errorf("create: %v", err)
	}
	if _, err := Create(filepath.Join(dir, "sub"), Options{}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("create below: %v", err)
	}
}

func TestFree(t *testing.T) {
	dir := mount(t, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
	free, err := Free(dir)
	if err != nil || free == 0 || free > 1<<20 {
		t.Fatalf("%d bytes, %v", free, err)
	}
	put(t, filepath.Join(dir, "f"), strings.Repeat("x", 256<<10))
	for _, place := range []string{dir, filepath.Join(dir, "new")} {
		less, err := Free(place)
		if err != nil || free-less != 256<<10 {
			t.Errorf("%s: %d bytes, %v; %d before", place, less, err, free)
		}
	}
	if _, err := Free(filepath.Join(dir, "no", "such")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
