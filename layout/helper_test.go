package layout

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
)

// The interfaces of oras-go that the two ends are used through.
var (
	_ content.Fetcher  = (*Layout)(nil)
	_ content.Resolver = (*Layout)(nil)
	_ content.Pusher   = (*Writer)(nil)
)

// tarOf is a tar stream with one file.
func tarOf(name, body string) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(body)), Format: tar.FormatPAX}
	if err := w.WriteHeader(h); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, body); err != nil {
		return nil, err
	}
	return b.Bytes(), w.Close()
}

// write stores a small snapshot that name makes its own, with one layer that
// all have in common, and returns its manifest's descriptor.
func write(ctx context.Context, w *Writer, name string) (ocispec.Descriptor, error) {
	var layers []ocispec.Descriptor
	for _, body := range []string{"the same in all", name} {
		b, err := tarOf("etc/"+body, body)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		l, err := w.PutBytes(ctx, artifact.TypeTar, b)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		layers = append(layers, l)
	}
	config, err := w.PutBytes(ctx, artifact.TypeConfig, []byte(`{"host":"`+name+`"}`))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := oras.PackManifest(ctx, w, oras.PackManifestVersion1_1, artifact.TypeSnapshot, oras.PackManifestOptions{
		ConfigDescriptor:    &config,
		Layers:              layers,
		ManifestAnnotations: map[string]string{ocispec.AnnotationCreated: "2026-11-22T01:02:03Z", ocispec.AnnotationTitle: name},
	})
	desc.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64", OSVersion: "9.6"}
	return desc, err
}

// save writes a snapshot through a Writer of its own.
func save(t *testing.T, dir, name string, tags ...string) ocispec.Descriptor {
	t.Helper()
	w, err := Create(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	desc, err := write(t.Context(), w, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), desc, tags...); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return desc
}

// verify opens dir, resolves name and reads every blob to its end.
func verify(dir, name string) (desc ocispec.Descriptor, err error) {
	l, err := Open(dir)
	if err != nil {
		return desc, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	ctx := context.Background()
	if desc, err = l.Resolve(ctx, name); err != nil {
		return desc, err
	}
	var m ocispec.Manifest
	b, err := fetchAll(l, desc)
	if err != nil {
		return desc, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return desc, err
	}
	for _, d := range parts(m) {
		if _, err := fetchAll(l, d); err != nil {
			return desc, err
		}
	}
	return desc, nil
}

func fetchAll(l *Layout, desc ocispec.Descriptor) (b []byte, err error) {
	r, err := l.Fetch(context.Background(), desc)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return io.ReadAll(r)
}

func mustVerify(t *testing.T, dir, name string, want ocispec.Descriptor) {
	t.Helper()
	got, err := verify(dir, name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if got.Digest != want.Digest {
		t.Fatalf("%s is %s, want %s", name, got.Digest, want.Digest)
	}
}

// tree lists what is below dir: path, mode, size or link target, content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		all[rel] = info.Mode().String()
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all[rel] += fmt.Sprintf(" %x", b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func blobPath(dir string, desc ocispec.Descriptor) string {
	return filepath.Join(dir, blobName(desc.Digest))
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// unavailable skips the test, or fails it where everything must run.
func unavailable(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("XCRATE_TEST_ALL") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// mount mounts what args say on a new directory.
func mount(t *testing.T, args ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		unavailable(t, "mount: run the tests as root")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", append(args, dir)...).CombinedOutput(); err != nil {
		unavailable(t, "mount %v: %v: %s; needs CAP_SYS_ADMIN", args, err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", dir, err, out)
		}
	})
	return dir
}

// temporary lists the temporary files of the layout at dir, but for the list of blobs
// that no index leads to yet.
func temporary(t *testing.T, dir string) []string {
	t.Helper()
	all, err := os.ReadDir(filepath.Join(dir, tmpDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		if e.Name() != addedFile {
			names = append(names, e.Name())
		}
	}
	return names
}

// unreferenced lists the blobs that the index does not lead to.
func unreferenced(t *testing.T, dir string) []string {
	t.Helper()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	all, err := l.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, one := range all {
		m, err := l.store.manifest(t.Context(), one.Descriptor)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range Blobs(one.Descriptor, m) {
			used[d.Digest.Encoded()] = true
		}
	}
	names, err := l.store.names(blobsDir)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return used[name] })
}
