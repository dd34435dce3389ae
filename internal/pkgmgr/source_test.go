package pkgmgr

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/host"
)

func open(t *testing.T, where string, o SourceOptions) Source {
	t.Helper()
	if o.TempDir == "" {
		o.TempDir = t.TempDir()
	}
	s, err := OpenSource(t.Context(), where, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(o.TempDir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	return s
}

func listedBy(t *testing.T, s Source) Listing {
	t.Helper()
	l, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func offered(l Listing) []string {
	all := []string{}
	for _, o := range l.Offers {
		all = append(all, o.NEVRA())
	}
	return all
}

func wantNEVRAs(t *testing.T, l Listing, want ...string) {
	t.Helper()
	if got := offered(l); !slices.Equal(got, want) {
		t.Errorf("offers %q, want %q", got, want)
	}
}

// fetched brings every offer and compares it with the file it was made from.
func fetched(t *testing.T, s Source, l Listing, dir string) {
	t.Helper()
	for _, o := range l.Offers {
		p, err := s.Fetch(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		f, err := p.Open()
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		_, err = got.ReadFrom(f)
		_ = f.Close()
		want, rerr := os.ReadFile(filepath.Join(dir, p.File))
		if err != nil || rerr != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: %d bytes, want %d (%v, %v)", o.Where, got.Len(), len(want), err, rerr)
		}
		if p.NEVRA() != o.NEVRA() || p.Size != int64(len(want)) || p.HeaderEnd == 0 {
			t.Errorf("%s: fetched %+v", o.Where, p)
		}
	}
}

// wantError compares an error with what must and must not be in it.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, w := range words {
		if not, ok := strings.CutPrefix(w, "!"); ok {
			if strings.Contains(err.Error(), not) {
				t.Errorf("error %q: %q in it", err, not)
			}
		} else if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q: want %q in it", err, w)
		}
	}
}

func TestSourceDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []string{"1.10", "1.9"} {
		pack(t, dir, packed{RPMMetaData: meta("a", v, "1")})
	}
	write(t, filepath.Join(dir, "x.src.rpm"), nil)
	s := open(t, dir, SourceOptions{Narrow: "rh9/x86_64"})
	l := listedBy(t, s)
	wantNEVRAs(t, l, "a-1.9-1.noarch", "a-1.10-1.noarch")
	if len(l.LeftOut) != 1 || l.LeftOut[0].Path != filepath.Join(dir, "x.src.rpm") {
		t.Errorf("left out %v", l.LeftOut)
	}
	fetched(t, s, l, dir)

	pack(t, filepath.Join(dir, "rh9/x86_64"), packed{RPMMetaData: meta("b", "1", "1")})
	wantNEVRAs(t, listedBy(t, open(t, dir, SourceOptions{Narrow: "rh9/x86_64"})), "b-1-1.noarch")
}

// TestSourceTarball takes tarballs as tar makes them, whatever their name.
func TestSourceTarball(t *testing.T) {
	need(t, "tar", "gzip", "bzip2", "xz", "zstd")
	dir := t.TempDir()
	flat := t.TempDir()
	pack(t, flat, packed{RPMMetaData: meta("a", "1", "1"), files: map[string]string{"/etc/a": "a"}})
	pack(t, flat, packed{RPMMetaData: meta("b", "2", "1")})
	for _, p := range []string{"a-1-1.noarch.rpm", "b-2-1.noarch.rpm"} {
		b, err := os.ReadFile(filepath.Join(flat, p))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "xcat-dep/rh9/x86_64", p), b)
	}
	pack(t, filepath.Join(dir, "xcat-dep/rh8/x86_64"), packed{RPMMetaData: meta("a", "1", "1"), files: map[string]string{"/etc/a": "other"}})
	pack(t, filepath.Join(dir, "xcat-core"), packed{RPMMetaData: meta("core", "1", "1")})
	write(t, filepath.Join(dir, "xcat-core/SRPMS/core.rpm"), []byte("source"))
	write(t, filepath.Join(dir, "xcat-core/mklocalrepo.sh"), []byte("#!/bin/sh\n"))
	for _, z := range []string{"", "--gzip", "--bzip2", "--xz", "--zstd"} {
		t.Run("tar"+z, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "packages")
			command(t, "tar", append([]string{"-C", dir, "-cf", file, "xcat-dep", "xcat-core"}, strings.Fields(z)...)...)
			s := open(t, file, SourceOptions{Narrow: "rh9/x86_64"})
			l := listedBy(t, s)
			wantNEVRAs(t, l, "a-1-1.noarch", "b-2-1.noarch", "core-1-1.noarch")
			if want := file + ":xcat-dep/rh9/x86_64/a-1-1.noarch.rpm"; l.Offers[0].Where != want {
				t.Errorf("offered from %s, want %s", l.Offers[0].Where, want)
			}
			left := fmt.Sprint(l.LeftOut)
			if len(l.LeftOut) != 2 || !strings.Contains(left, "xcat-core/SRPMS/core.rpm") || !strings.Contains(left, "1 rpms for other systems") {
				t.Errorf("left out %s", left)
			}
			l.Offers = l.Offers[:2]
			fetched(t, s, l, flat)
			_, err := open(t, file, SourceOptions{}).List(t.Context())
			wantError(t, err, "tarball "+file, "a-1-1.noarch", "differ")
		})
	}
}

func tarOf(t *testing.T, entries ...tar.Header) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	rpm, err := os.ReadFile(pack(t, t.TempDir(), packed{RPMMetaData: meta("a", "1", "1")}))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range entries {
		h.Mode = 0o644
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(rpm))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			_, _ = w.Write(rpm)
		}
	}
	_ = w.Close()
	file := filepath.Join(t.TempDir(), "x.tar")
	write(t, file, b.Bytes())
	return file
}

// TestSourceTarballHostile has names and links that want to get out.
func TestSourceTarballHostile(t *testing.T) {
	outside := t.TempDir()
	file := tarOf(t,
		tar.Header{Name: "dir", Typeflag: tar.TypeSymlink, Linkname: outside},
		tar.Header{Name: "l.rpm", Typeflag: tar.TypeSymlink, Linkname: outside},
		tar.Header{Name: "h.rpm", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"},
		tar.Header{Name: "dir/a.rpm", Typeflag: tar.TypeReg},
		tar.Header{Name: "../../../../../.." + outside + "/b.rpm", Typeflag: tar.TypeReg},
		tar.Header{Name: outside + "/c.rpm", Typeflag: tar.TypeReg},
	)
	l := listedBy(t, open(t, file, SourceOptions{}))
	wantNEVRAs(t, l, "a-1-1.noarch")
	if len(l.LeftOut) != 2 || l.LeftOut[0].What != "link to "+outside || l.LeftOut[1].What != "link to /etc/passwd" {
		t.Errorf("left out %v", l.LeftOut)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("a tarball wrote outside: %v, %v", left, err)
	}
}

func TestSourceTarballErrors(t *testing.T) {
	whole, err := os.ReadFile(tarOf(t, tar.Header{Name: "a.rpm", Typeflag: tar.TypeReg}))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, file string
		want       []string
	}{
		{"device", tarOf(t, tar.Header{Name: "a.rpm", Typeflag: tar.TypeChar}), []string{`"a.rpm"`, "type"}},
		{"below", tarOf(t, tar.Header{Name: "a.rpm", Typeflag: tar.TypeReg}, tar.Header{Name: "a.rpm/b.rpm", Typeflag: tar.TypeReg}), []string{`"a.rpm/b.rpm"`}},
		{"above", tarOf(t, tar.Header{Name: "a.rpm/b.rpm", Typeflag: tar.TypeReg}, tar.Header{Name: "a.rpm", Typeflag: tar.TypeReg}), []string{`"a.rpm"`, "not empty"}},
		{"truncated", "", []string{`"a.rpm"`, "EOF"}},
		{"text", "", []string{"neither a tarball nor a .repo file"}},
		{"empty", "", []string{"neither a tarball nor a .repo file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.file == "" {
				tt.file = filepath.Join(t.TempDir(), "file")
				write(t, tt.file, map[string][]byte{"truncated": whole[:700], "text": []byte("some text\n")}[tt.name])
			}
			temp := t.TempDir()
			_, err := OpenSource(t.Context(), tt.file, SourceOptions{TempDir: temp})
			wantError(t, err, append(tt.want, "tarball "+tt.file)...)
			if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	_, err = OpenSource(t.Context(), filepath.Join(t.TempDir(), "absent"), SourceOptions{})
	wantError(t, err, "absent", "no such file")
}

// TestBounded reads exactly the limit, and not a byte more.
func TestBounded(t *testing.T) {
	for n, ok := range map[int]bool{0: true, 9: true, 10: true, 11: false, 5000: false} {
		var out bytes.Buffer
		_, err := out.ReadFrom(newBounded(bytes.NewReader(make([]byte, n)), 10))
		if (err == nil) != ok || out.Len() != min(n, 10) {
			t.Errorf("%d bytes: %d read, %v", n, out.Len(), err)
		}
	}
}

func TestTempDirIsPrivate(t *testing.T) {
	dir, remove, err := host.TempDirIn(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(dir)
	if err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", st, err)
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
}
