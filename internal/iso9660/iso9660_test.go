package iso9660

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// blob is a name as those of a layout's blobs are.
func blob(i int) string { return fmt.Sprintf("blobs/sha256/%064x", i*7919) }

// sample is what a snapshot looks like, with n blobs.
func sample(n int) map[string][]byte {
	files := map[string][]byte{
		"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`), "index.json": []byte("{}"), "RESTORE.sh": []byte("#!/bin/sh\nexit 0\n"),
		"README.txt": nil, "xcatimport": bytes.Repeat([]byte("program"), 3000), "a/b/c/d/e/f/g/h/deep": []byte("deep"),
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		b := make([]byte, r.IntN(5000))
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		files[blob(i)] = b
	}
	return files
}

func options() Options {
	return Options{Label: "XC_01234567_1", Created: time.Unix(1_700_000_000, 0), Application: "XCRATE", Set: "XC_01234567", Number: 1, Of: 2}
}

func filesOf(content map[string][]byte) []File {
	var files []File
	for name, b := range content {
		mode := fs.FileMode(0o444)
		if name == "RESTORE.sh" || name == "xcatimport" {
			mode = 0o555
		}
		files = append(files, File{Path: name, Size: int64(len(b)), Mode: mode, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }})
	}
	return files
}

// imageOf is the image of content, of the size it was said to have.
func imageOf(t testing.TB, content map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(t.Context(), &b, filesOf(content), options()); err != nil {
		t.Fatal(err)
	}
	if size, err := Size(filesOf(content), options()); err != nil || size != int64(b.Len()) {
		t.Fatalf("%d bytes, Size says %d, %v", b.Len(), size, err)
	}
	return b.Bytes()
}

// same compares what fsys holds with content.
func same(t *testing.T, fsys fs.FS, content map[string][]byte) {
	t.Helper()
	got := map[string]bool{}
	if err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			got[name] = true
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for name, want := range content {
		b, err := fs.ReadFile(fsys, name)
		if err != nil || !bytes.Equal(b, want) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(b), len(want), err)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("other files: %v", got)
	}
}

func TestRoundTrip(t *testing.T) {
	content := sample(200)
	b := imageOf(t, content)
	if !bytes.Equal(b, imageOf(t, content)) {
		t.Error("a second image of the same files has other bytes")
	}
	i, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if i.Label() != "XC_01234567_1" {
		t.Errorf("label %q", i.Label())
	}
	same(t, i, content)
	var names []string
	for name := range content {
		names = append(names, name)
	}
	if err := fstest.TestFS(i, names...); err != nil {
		t.Error(err)
	}
	info, err := fs.Stat(i, "RESTORE.sh")
	if err != nil || info.Mode() != 0o555 || !info.ModTime().Equal(options().Created) {
		t.Errorf("%v %v, %v", info.Mode(), info.ModTime(), err)
	}
}

func need(t *testing.T, program, install string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") == "true" || os.Getenv("XCRATE_TEST_ALL") == "1" {
		t.Fatalf("no %s: apt-get install %s", program, install)
	}
	t.Skipf("no %s: apt-get install %s", program, install)
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func saved(t *testing.T, b []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.iso")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Programs of others read what Write writes.
func TestReadByOthers(t *testing.T) {
	content := sample(300)
	file := saved(t, imageOf(t, content))
	t.Run("xorriso", func(t *testing.T) {
		need(t, "xorriso", "xorriso")
		to := filepath.Join(t.TempDir(), "to")
		out := run(t, "xorriso", "-abort_on", "WARNING", "-osirrox", "on", "-indev", file, "-extract", "/", to)
		if !strings.Contains(out, "XC_01234567_1") {
			t.Errorf("no label in:\n%s", out)
		}
		run(t, "chmod", "-R", "u+w", to)
		same(t, os.DirFS(to), content)
		if info, err := os.Stat(filepath.Join(to, "xcatimport")); err != nil || info.Mode().Perm()&0o111 != 0o111 {
			t.Errorf("xcatimport: %v, %v", info.Mode(), err)
		}
	})
	t.Run("7z", func(t *testing.T) {
		need(t, "7z", "p7zip-full")
		to := filepath.Join(t.TempDir(), "to")
		run(t, "7z", "x", "-o"+to, file)
		same(t, os.DirFS(to), content)
	})
	t.Run("isoinfo", func(t *testing.T) {
		need(t, "isoinfo", "genisoimage")
		out := run(t, "isoinfo", "-d", "-i", file)
		for _, want := range []string{"Volume id: XC_01234567_1", "Joliet with UCS level 3 found", "Rock Ridge signatures version 1 found"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in:\n%s", want, out)
			}
		}
		for _, how := range []string{"-R", "-J"} {
			if out := run(t, "isoinfo", how, "-f", "-i", file); strings.Count(out, "/blobs/sha256/0") != 300 || !strings.Contains(out, "/"+blob(299)+"\n") {
				t.Errorf("isoinfo %s:\n%s", how, out)
			}
		}
	})
}

// Images of other programs are read, with whatever names they have.
func TestReadOthers(t *testing.T) {
	content := sample(50)
	// More than eight levels are moved elsewhere by genisoimage; a layout has three.
	delete(content, "a/b/c/d/e/f/g/h/deep")
	dir := t.TempDir()
	for name, b := range content {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, how := range []string{"xorriso -as mkisofs -R -J -joliet-long", "xorriso -as mkisofs -R", "genisoimage -quiet -R", "genisoimage -quiet -J -joliet-long", "genisoimage -quiet -R -J -joliet-long -iso-level 3"} {
		t.Run(strings.ReplaceAll(how, " ", ""), func(t *testing.T) {
			args := strings.Fields(how)
			need(t, args[0], args[0])
			file := filepath.Join(t.TempDir(), "image.iso")
			run(t, append(args, "-o", file, dir)...)
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			i, err := Open(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			same(t, i, content)
		})
	}
}

func TestManyFiles(t *testing.T) {
	content := map[string][]byte{}
	for i := range 10_000 {
		content[blob(i)] = []byte{byte(i)}
	}
	b := imageOf(t, content)
	i, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	same(t, i, content)
}

// zeroes is a file of n zero bytes.
func zeroes(n int64) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(zero{}, n)), nil }
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// sparse is a file of which only what is not zero is kept, in memory.
type sparse struct {
	kept map[int64][]byte // by sector
	size int64
}

func (s *sparse) Write(p []byte) (int, error) {
	for at := 0; at < len(p); at += sector {
		one := p[at:min(len(p), at+sector)]
		if s.size%sector != 0 || len(one) != sector {
			return 0, errors.New("the test has whole sectors only")
		}
		if !bytes.Equal(one, make([]byte, sector)) {
			s.kept[s.size/sector] = bytes.Clone(one)
		}
		s.size += sector
	}
	return len(p), nil
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = 0
		if one := s.kept[(off+int64(i))/sector]; one != nil {
			p[i] = one[(off+int64(i))%sector]
		}
	}
	return len(p), nil
}

// A file of more than 4 GiB has several records, and memory does not grow with it.
func TestLargeFile(t *testing.T) {
	const n = 4<<30 + 12345
	at := int64(4 << 30)
	marked := func() (io.ReadCloser, error) { //nolint:unparam // File wants it
		return io.NopCloser(io.MultiReader(io.LimitReader(zero{}, at), strings.NewReader("mark"), io.LimitReader(zero{}, n-at-4))), nil
	}
	image := &sparse{kept: map[int64][]byte{}}
	pr, pw := io.Pipe()
	go func() {
		// Sectors come whole only through a buffer of whole sectors.
		_ = pw.CloseWithError(Write(t.Context(), pw, []File{{Path: "big", Size: n, Mode: 0o444, Open: marked}, {Path: "z", Size: 5000, Open: zeroes(5000)}}, options()))
	}()
	buf := make([]byte, 1<<20)
	for {
		got, err := io.ReadFull(pr, buf)
		if got > 0 {
			if _, err := image.Write(buf[:got]); err != nil {
				t.Fatal(err)
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	i, err := Open(image, image.size)
	if err != nil {
		t.Fatal(err)
	}
	f, err := i.Open("big")
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil || info.Size() != n {
		t.Fatalf("size %d, %v", info.Size(), err)
	}
	b := make([]byte, 4)
	if _, err := f.(io.ReaderAt).ReadAt(b, at); err != nil || string(b) != "mark" {
		t.Errorf("at 4 GiB: %q, %v", b, err)
	}
}

func TestWriteErrors(t *testing.T) {
	open := zeroes(10)
	for name, test := range map[string]struct {
		files []File
		want  string
	}{
		"twice":     {[]File{{Path: "a", Open: open}, {Path: "a", Open: open}}, "taken"},
		"dir_file":  {[]File{{Path: "a/b", Open: open}, {Path: "a", Open: open}}, "taken"},
		"file_dir":  {[]File{{Path: "a", Open: open}, {Path: "a/b", Open: open}}, "is a file"},
		"absolute":  {[]File{{Path: "/a", Open: open}}, "relative"},
		"up":        {[]File{{Path: "a/../../b", Open: open}}, "relative"},
		"newline":   {[]File{{Path: "a\nb", Open: open}}, "printable"},
		"long_name": {[]File{{Path: strings.Repeat("a", 65), Open: open}}, "at most 64"},
		"negative":  {[]File{{Path: "a", Size: -1, Open: open}}, "size -1"},
		"short":     {[]File{{Path: "a", Size: 11, Open: open}}, `file "a": 10 bytes of 11`},
		"long":      {[]File{{Path: "a", Size: 9, Open: open}}, `file "a": longer`},
		"no_open":   {[]File{{Path: "a", Size: 9, Open: func() (io.ReadCloser, error) { return nil, errors.New("gone") }}}, `file "a": gone`},
	} {
		if err := Write(t.Context(), io.Discard, test.files, options()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	for _, label := range []string{"", "lower", "A-B", strings.Repeat("A", 17)} {
		o := options()
		o.Label = label
		if _, err := Size(nil, o); err == nil {
			t.Errorf("label %q is taken", label)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Write(ctx, io.Discard, []File{{Path: "a", Size: 10, Open: open}}, options()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func BenchmarkWrite(b *testing.B) {
	const n = 256 << 20
	files := []File{{Path: "blob", Size: n, Open: zeroes(n)}}
	b.SetBytes(n)
	b.ReportAllocs()
	for b.Loop() {
		if err := Write(b.Context(), io.Discard, files, options()); err != nil {
			b.Fatal(err)
		}
	}
}
