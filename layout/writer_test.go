package layout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
)

func mustCreate(t *testing.T, dir string) *Writer {
	t.Helper()
	w, err := Create(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// mustBe fails unless the tree below dir is want.
func mustBe(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := tree(t, dir)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %.80q, want %.80q", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, there := want[name]; !there {
			t.Errorf("%s is new", name)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	tests := map[string]struct {
		files map[string]string // name to content, a directory if it ends in /
		is    error
	}{
		"parent_missing": {nil, fs.ErrNotExist},
		"file":           {map[string]string{"d": "x"}, syscall.ENOTDIR},
		"parent_file":    {map[string]string{".": "x"}, syscall.ENOTDIR},
		"foreign_index":  {map[string]string{"d/": "", "d/index.json": "<html>"}, ErrNoLayout},
		"foreign_blobs":  {map[string]string{"d/": "", "d/blobs/": ""}, ErrNoLayout},
		"version":        {map[string]string{"d/": "", "d/oci-layout": `{"imageLayoutVersion":"3"}`}, ErrVersion},
		"odd_layout":     {map[string]string{"d/": "", "d/oci-layout": `{"odd`}, ErrIndex},
		"part_layout":    {map[string]string{"d/": "", "d/oci-layout": `{"ima`, "d/index.json": "{}"}, ErrIndex},
		"broken_index":   {map[string]string{"d/": "", "d/oci-layout": layoutFile, "d/index.json": "{"}, ErrIndex},
		"lost_index":     {map[string]string{"d/": "", "d/oci-layout": layoutFile, "d/blobs/": "", "d/blobs/sha256/": "", "d/blobs/sha256/x": ""}, ErrIndex},
		"temp_a_file":    {map[string]string{"d/": "", tmp("d"): "x"}, syscall.ENOTDIR},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			top := filepath.Join(t.TempDir(), "top")
			for _, name := range sorted(test.files) {
				if err := os.MkdirAll(top, 0o700); err != nil && name != "." {
					t.Fatal(err)
				}
				if strings.HasSuffix(name, "/") {
					if err := os.Mkdir(filepath.Join(top, name), 0o700); err != nil {
						t.Fatal(err)
					}
					continue
				}
				if name == "." {
					if err := os.Remove(top); err != nil {
						t.Fatal(err)
					}
				}
				put(t, filepath.Join(top, name), test.files[name])
			}
			dir := filepath.Join(top, "d")
			before := tree(t, filepath.Dir(top))
			_, err := Create(dir, Options{})
			if !errors.Is(err, test.is) || strings.Count(err.Error(), "layout "+dir) > 1 || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %v, want %v and the path once", err, test.is)
			}
			mustBe(t, filepath.Dir(top), before)
		})
	}
}

func tmp(dir string) string { return dir + "/" + tmpDir }

func sorted(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	return sortStrings(names)
}

// Whatever the umask, what is made is its owner's alone.
func TestModes(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o777} {
		t.Run(fmt.Sprintf("%03o", mask), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			old := syscall.Umask(mask)
			defer syscall.Umask(old)
			save(t, dir, "one", "a")
			for name, what := range tree(t, dir) {
				want := "-rw-------"
				if what[0] == 'd' {
					want = "drwx------"
				}
				if !strings.HasPrefix(what, want) {
					t.Errorf("%s: %.10s, want %s", name, what, want)
				}
			}
		})
	}
}

// A new layout is valid from the moment Create returns, and nothing but a
// layout is left in the directory after Close.
func TestCreate(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "RESTORE.sh"), "echo")
	w := mustCreate(t, dir+"/")
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := l.Snapshots(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for name := range tree(t, dir) {
		names = append(names, name)
	}
	if got := strings.Join(sortStrings(names), " "); got != ". RESTORE.sh blobs blobs/sha256 index.json oci-layout" {
		t.Errorf("layout of %s", got)
	}
	if got := string(read(t, filepath.Join(dir, "oci-layout"))); got != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout %s", got)
	}
	if _, err := w.PutBytes(t.Context(), "x/y", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("put after close: %v", err)
	}
	if err := w.Commit(t.Context(), ocispec.Descriptor{}); !errors.Is(err, ErrClosed) {
		t.Errorf("commit after close: %v", err)
	}
}

func TestPutBlob(t *testing.T) {
	type stored struct {
		size  int64
		fresh bool
	}
	var seen []stored
	dir := filepath.Join(t.TempDir(), "d")
	w, err := Create(dir, Options{Stored: func(d ocispec.Descriptor, fresh bool) { seen = append(seen, stored{d.Size, fresh}) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	desc, err := w.PutBlob(t.Context(), "x/y", func(to io.Writer) error {
		for part := range bytes.SplitAfterSeq(big, []byte("f0")) {
			if _, err := to.Write(part); err != nil {
				return err
			}
		}
		return nil
	})
	want := content.NewDescriptorFromBytes("x/y", big)
	if err != nil || desc.Digest != want.Digest || desc.Size != want.Size || desc.MediaType != "x/y" {
		t.Fatalf("%+v, %v; want %+v", desc, err, want)
	}
	if !bytes.Equal(read(t, blobPath(dir, desc)), big) {
		t.Error("the blob has other bytes")
	}
	empty, err := w.PutBytes(t.Context(), "x/y", nil)
	if err != nil || empty.Size != 0 || len(read(t, blobPath(dir, empty))) != 0 {
		t.Errorf("%+v, %v", empty, err)
	}
	again := func() {
		t.Helper()
		if d, err := w.PutBytes(t.Context(), "x/y", big); err != nil || d.Digest != desc.Digest {
			t.Fatalf("%+v, %v", d, err)
		}
		if !bytes.Equal(read(t, blobPath(dir, desc)), big) {
			t.Error("the blob was not mended")
		}
	}
	again()
	damage(t, blobPath(dir, desc)) // the same size, another content
	again()
	put(t, blobPath(dir, desc), "") // as a power cut leaves what was not synced
	again()
	n := int64(len(big))
	if got := fmt.Sprint(seen); got != fmt.Sprint([]stored{{n, true}, {0, true}, {n, false}, {n, true}, {n, true}}) {
		t.Errorf("stored %s", got)
	}
}

func TestPutBlobErrors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	w := mustCreate(t, dir)
	before := tree(t, dir)
	boom := errors.New("table \"hosts\": row 41")
	_, err := w.PutBlob(t.Context(), "x/y", func(to io.Writer) error {
		_, _ = io.WriteString(to, "half")
		return boom
	})
	if !errors.Is(err, boom) || err.Error() != boom.Error() {
		t.Errorf("error %v, want %v as it is", err, boom)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = w.PutBlob(ctx, "x/y", func(to io.Writer) error {
		for i := range 10 {
			if i == 5 {
				cancel()
			}
			if _, err := io.WriteString(to, "x"); err != nil {
				return nil // a writer that loses the error
			}
		}
		return errors.New("it went on")
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	_, err = w.PutBlob(ctx, "x/y", func(io.Writer) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	mustBe(t, dir, before)
}

func TestPush(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	w := mustCreate(t, dir)
	body := []byte("0123456789")
	good := content.NewDescriptorFromBytes("x/y", body)
	bad := map[string]func(d *ocispec.Descriptor){
		"digest":    func(d *ocispec.Descriptor) { d.Digest = someDigest },
		"size":      func(d *ocispec.Descriptor) { d.Size = 9 },
		"less":      func(d *ocispec.Descriptor) { d.Size = 11 },
		"negative":  func(d *ocispec.Descriptor) { d.Size = -1 },
		"algorithm": func(d *ocispec.Descriptor) { d.Digest = "sha512:" + digest.Digest(strings.Repeat("a", 128)) },
		"traversal": func(d *ocispec.Descriptor) { d.Digest = "sha256:../../../x" },
	}
	before := tree(t, dir)
	for name, change := range bad {
		d := good
		change(&d)
		err := w.Push(t.Context(), d, bytes.NewReader(body))
		if err == nil || !strings.Contains(err.Error(), d.Digest.String()) {
			t.Errorf("%s: error %v", name, err)
		}
		if checkDigest(d.Digest) == nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: error %v is not ErrCorrupt", name, err)
		}
	}
	mustBe(t, dir, before)
	for range 2 {
		if err := w.Push(t.Context(), good, bytes.NewReader(body)); err != nil {
			t.Error(err)
		}
	}
	if !bytes.Equal(read(t, blobPath(dir, good)), body) {
		t.Error("the blob has other bytes")
	}
}

func TestConcurrentPuts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	w := mustCreate(t, dir)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 10 {
				body := fmt.Sprintf("%d %d", i%4, j) // each from two goroutines
				if d, err := w.PutBytes(t.Context(), "x/y", []byte(body)); err != nil || d.Digest != digest.FromString(body) {
					t.Errorf("%+v, %v", d, err)
				}
			}
		})
	}
	all.Wait()
	if names, err := w.store.names(blobsDir); err != nil || len(names) != 40 {
		t.Errorf("%d blobs, %v", len(names), err)
	}
	if names := temporary(t, w.store.dir); len(names) != 0 {
		t.Errorf("temporary files %v", names)
	}
}

func sortStrings(s []string) []string {
	slices.Sort(s)
	return s
}
