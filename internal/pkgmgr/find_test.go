package pkgmgr

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/rpmpack"
)

func meta(name, version, release string) rpmpack.RPMMetaData {
	return rpmpack.RPMMetaData{Name: name, Version: version, Release: release, Epoch: rpmpack.NoEpoch}
}

func TestFind(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	b := pack(t, filepath.Join(dir, "z/deep/deeper"), packed{RPMMetaData: meta("b", "1", "1")})
	a := pack(t, filepath.Join(dir, "y"), packed{RPMMetaData: meta("a", "1", "1")})
	content, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "x", "a-1-1.noarch.rpm"), content)
	write(t, filepath.Join(dir, "odd-name.rpm"), content)
	write(t, filepath.Join(dir, "SRPMS/broken.rpm"), nil)
	write(t, filepath.Join(dir, "c-1-1.src.rpm"), nil)
	write(t, filepath.Join(dir, "c-1-1_2-1.noarch.drpm"), nil)
	write(t, filepath.Join(dir, "repodata/repomd.xml"), nil)
	out := pack(t, outside, packed{RPMMetaData: meta("out", "1", "1")})
	for link, target := range map[string]string{
		"inside.rpm": b, "relative": "z", "outside.rpm": out, "outdir": outside, "dangling": "nowhere", "loop": ".",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	found := find(t, dir)
	var got []string
	for _, p := range found.Packages {
		got = append(got, p.NEVRA()+" "+p.From)
	}
	want := []string{"a-1-1.noarch " + filepath.Join(dir, "x/a-1-1.noarch.rpm"), "b-1-1.noarch " + b}
	if !slices.Equal(got, want) {
		t.Errorf("packages %q, want %q", got, want)
	}
	var left []string
	for _, l := range found.LeftOut {
		left = append(left, strings.TrimPrefix(l.Path, dir+"/"))
	}
	wantLeft := []string{"SRPMS", "c-1-1.src.rpm", "c-1-1_2-1.noarch.drpm", "outdir", "outside.rpm"}
	if !slices.Equal(left, wantLeft) {
		t.Errorf("left out %q, want %q", left, wantLeft)
	}
}

// TestFindInRoot looks into a root whose own links are the root's, not this
// machine's.
func TestFindInRoot(t *testing.T) {
	dir := t.TempDir()
	pack(t, filepath.Join(dir, "data/xcat"), packed{RPMMetaData: meta("a", "1", "1")})
	if err := os.Symlink("/data", filepath.Join(dir, "install")); err != nil {
		t.Fatal(err)
	}
	found, err := Find(t.Context(), openRoot(t, dir), "/install/xcat", FindOptions{})
	if err != nil || len(found.Packages) != 1 {
		t.Fatalf("%d packages, %v", len(found.Packages), err)
	}
	if got, want := found.Packages[0].From, "/data/xcat/a-1-1.noarch.rpm"; got != want {
		t.Errorf("found at %s, want %s", got, want)
	}
	f, err := found.Packages[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Size() != found.Packages[0].Size {
		t.Errorf("%v, %v: want %d bytes", st, err, found.Packages[0].Size)
	}
}

func TestFindErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, dir string)
		want []string
	}{
		{"differ", func(t *testing.T, dir string) {
			pack(t, filepath.Join(dir, "one"), packed{RPMMetaData: meta("a", "1", "1")})
			pack(t, filepath.Join(dir, "two"), packed{RPMMetaData: meta("a", "1", "1"), files: map[string]string{"/x": "y"}})
		}, []string{"package a-1-1.noarch:", "one/a-1-1.noarch.rpm", "two/a-1-1.noarch.rpm"}},
		{"epochs", func(t *testing.T, dir string) {
			pack(t, filepath.Join(dir, "one"), packed{RPMMetaData: meta("a", "1", "1")})
			two := meta("a", "1", "1")
			two.Epoch = 4
			pack(t, filepath.Join(dir, "two"), packed{RPMMetaData: two})
		}, []string{"a-4:1-1.noarch", "one/a-1-1.noarch.rpm", "two/a-1-1.noarch.rpm"}},
		{"empty", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "e.rpm"), nil) }, []string{"e.rpm", "truncated"}},
		{"fifo", func(t *testing.T, dir string) { command(t, "mkfifo", filepath.Join(dir, "f.rpm")) }, nil},
		{"dangling", func(t *testing.T, dir string) {
			if err := os.Symlink("nowhere", filepath.Join(dir, "d.rpm")); err != nil {
				t.Fatal(err)
			}
		}, []string{"d.rpm", "no such file"}},
		{"absent", func(t *testing.T, dir string) {
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
		}, []string{"no such file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.make(t, dir)
			_, err := Find(t.Context(), openRoot(t, "/"), dir, FindOptions{})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range append(tt.want, dir) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
		})
	}
}
