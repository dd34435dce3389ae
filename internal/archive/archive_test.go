package archive_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
)

type noNames struct{}

func (noNames) User(int) string  { return "" }
func (noNames) Group(int) string { return "" }

// pack writes everything in dir as one layer and returns the entries.
func pack(t *testing.T, dir string, w io.Writer) []artifact.Entry {
	t.Helper()
	root, err := host.OpenRoot(dir)
	check(t, err)
	defer root.Close()
	var all []artifact.Entry
	aw := archive.NewWriter(w)
	first := map[host.Inode]string{}
	for _, p := range walk(t, dir) {
		d, name, err := root.OpenParent(p)
		check(t, err)
		e, st, err := archive.Stat(d, name, p, noNames{})
		check(t, err)
		e.Kind, e.Part = artifact.KindConfig, 1
		known, again := first[st.Inode()]
		switch {
		case e.Type == artifact.TypeFile && again:
			e.Type, e.Link, e.Size = artifact.TypeHardlink, known, 0
			e, err = aw.Add(e, nil)
		case e.Type == artifact.TypeFile:
			first[st.Inode()] = p
			e, err = addFile(t, aw, d, name, e, st)
		default:
			e, err = aw.Add(e, nil)
		}
		check(t, err)
		check(t, d.Close())
		all = append(all, e)
	}
	check(t, aw.Close())
	return all
}

// takeAny looks at nothing.
func takeAny([]byte) error { return nil }

// addFile opens and writes a file that nobody touches.
func addFile(t *testing.T, w *archive.Writer, d *host.Dir, name string, e artifact.Entry, st host.Stat) (artifact.Entry, error) {
	t.Helper()
	opened, now, f, err := archive.Open(d, name, e.Path, noNames{})
	check(t, err)
	opened.Kind, opened.Part = e.Kind, e.Part
	if !reflect.DeepEqual(opened, e) || now.Ctim != st.Ctim {
		t.Errorf("%q: opened %+v, was %+v", e.Path, opened, e)
	}
	got, changed, err := w.AddFile(f, e, st, takeAny)
	if changed {
		t.Errorf("%q changed, though nobody touched it", e.Path)
	}
	return got, errors.Join(err, f.Close())
}

func owner(e artifact.Entry) archive.Owner {
	return archive.Owner{UID: e.UID, GID: e.GID, AsIs: os.Geteuid() != 0}
}

// unpack restores a layer into dir.
func unpack(t *testing.T, dir string, all []artifact.Entry, r io.Reader) {
	t.Helper()
	root, err := host.OpenRoot(dir)
	check(t, err)
	defer root.Close()
	tr := tar.NewReader(r)
	var maker archive.Maker
	for _, want := range all {
		h, err := tr.Next()
		check(t, err)
		e, err := artifact.EntryFromHeader(h)
		check(t, err)
		check(t, artifact.SameEntry(want, e))
		d, name, err := root.OpenParent(e.Path)
		check(t, err)
		if e.Type == artifact.TypeHardlink {
			from, old, err := root.OpenParent(e.Link)
			check(t, err)
			check(t, from.Link(old, d, name))
			check(t, from.Close())
		} else {
			_, err := maker.Create(d, name, want, owner(want), tr)
			check(t, err)
		}
		check(t, d.Close())
	}
	for i := len(all) - 1; i >= 0; i-- {
		e := all[i]
		if e.Type != artifact.TypeDir { // the others have theirs from Create
			continue
		}
		d, name, err := root.OpenParent(e.Path)
		check(t, err)
		lost, err := archive.SetAttributes(d, name, e, owner(e))
		check(t, err)
		if len(lost) > 0 {
			t.Logf("%q: attributes not taken: %v", e.Path, lost)
		}
		check(t, d.Close())
	}
	if _, err := tr.Next(); err != io.EOF {
		t.Errorf("after the last entry: %v", err)
	}
}

func walk(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	check(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if p != dir {
			all = append(all, strings.TrimPrefix(p, dir+"/"))
		}
		return err
	}))
	sort.Strings(all)
	return all
}

// describe is everything that has to be equal about a path.
func describe(t *testing.T, dir string) map[string]string {
	t.Helper()
	root, err := host.OpenRoot(dir)
	check(t, err)
	defer root.Close()
	tree, names := map[string]string{}, map[uint64]string{}
	for _, p := range walk(t, dir) {
		d, name, err := root.OpenParent(p)
		check(t, err)
		e, st, err := archive.Stat(d, name, p, noNames{})
		check(t, err)
		check(t, d.Close())
		line := fmt.Sprintf("%+v", e)
		if e.Type == artifact.TypeFile {
			if names[st.Ino] == "" {
				names[st.Ino] = p
			}
			b, err := os.ReadFile(filepath.Join(dir, p))
			check(t, err)
			hole := st.Blocks*512 < st.Size-4096
			line += fmt.Sprintf(" same file as %q, hole %v, content %x", names[st.Ino], hole, b)
		}
		tree[p] = line
	}
	return tree
}

func TestRoundTrip(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) {
			from, to := t.TempDir(), t.TempDir()
			randomTree(t, from, seed)
			var layer bytes.Buffer
			all := pack(t, from, &layer)
			unpack(t, to, all, bytes.NewReader(layer.Bytes()))
			want, got := describe(t, from), describe(t, to)
			if !reflect.DeepEqual(want, got) {
				for p := range want {
					if want[p] != got[p] {
						t.Errorf("%q:\n was %.300s\n is  %.300s", p, want[p], got[p])
					}
				}
			}
			var again bytes.Buffer
			pack(t, to, &again)
			if !bytes.Equal(layer.Bytes(), again.Bytes()) {
				t.Error("the restored tree makes another layer")
			}
		})
	}
}

// TestGNUTar lets GNU tar restore a layer: a snapshot can be read by hand.
func TestGNUTar(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: owners and devices")
	}
	from, to := t.TempDir(), t.TempDir()
	randomTree(t, from, 99)
	var layer bytes.Buffer
	pack(t, from, &layer)
	cmd := exec.Command("tar", "-x", "-p", "--same-owner", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", to)
	cmd.Stdin = &layer
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	want, got := describe(t, from), describe(t, to)
	for p := range want {
		if want[p] != got[p] {
			t.Errorf("%q:\n was %.300s\n is  %.300s", p, want[p], got[p])
		}
	}
}

// TestHugeSparse stores a file of 5 GiB, more than 32 bits count, with little in it.
func TestHugeSparse(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	f, err := os.Create(filepath.Join(from, "huge"))
	check(t, err)
	for _, at := range []int64{0, 3 << 30, 5<<30 - 3} {
		_, err := f.WriteAt([]byte("end"), at)
		check(t, err)
	}
	check(t, f.Close())
	var layer bytes.Buffer
	all := pack(t, from, &layer)
	if layer.Len() > 64<<10 {
		t.Errorf("layer has %d bytes", layer.Len())
	}
	unpack(t, to, all, &layer)
	var st syscall.Stat_t
	check(t, syscall.Stat(filepath.Join(to, "huge"), &st))
	if st.Size != 5<<30 || st.Blocks > 1000 {
		t.Errorf("restored with %d bytes in %d blocks", st.Size, st.Blocks)
	}
	g, err := os.Open(filepath.Join(to, "huge"))
	check(t, err)
	defer g.Close()
	for _, at := range []int64{0, 3 << 30, 5<<30 - 3} {
		b := make([]byte, 3)
		if _, err := g.ReadAt(b, at); err != nil || string(b) != "end" {
			t.Errorf("at %d: %q, %v", at, b, err)
		}
	}
}

// TestChangingFile writes to a file all the while it is read.
func TestChangingFile(t *testing.T) {
	dir := t.TempDir()
	p := filepath.Join(dir, "log")
	check(t, os.WriteFile(p, bytes.Repeat([]byte("x"), 2<<20), 0o600))
	root, err := host.OpenRoot(dir)
	check(t, err)
	defer root.Close()
	d, name, err := root.OpenParent("log")
	check(t, err)
	defer d.Close()
	e, st, err := archive.Stat(d, name, "log", noNames{})
	check(t, err)
	for _, size := range []int64{1 << 20, 3 << 20} { // it shrinks, it grows
		check(t, os.Truncate(p, size))
		check(t, os.Chtimes(p, time.Unix(1, 0), time.Unix(size, 0)))
		var layer bytes.Buffer
		w := archive.NewWriter(&layer)
		f, _, err := d.OpenFile(name)
		check(t, err)
		got, changed, err := w.AddFile(f, e, st, takeAny)
		check(t, err)
		check(t, f.Close())
		check(t, w.Close())
		if !changed || got.Size != 2<<20 {
			t.Errorf("file of %d bytes, then %d: changed %v, stored %d", e.Size, size, changed, got.Size)
		}
		h, err := tar.NewReader(&layer).Next()
		if err != nil || h.Size != 2<<20 {
			t.Errorf("layer: %v, %v", h, err)
		}
	}
}

// TestDamagedContent hands Create a content that is not the catalog's.
func TestDamagedContent(t *testing.T) {
	root, err := host.OpenRoot(t.TempDir())
	check(t, err)
	defer root.Close()
	d, err := root.OpenDir("/")
	check(t, err)
	defer d.Close()
	sum := artifact.NewDigester()
	_, _ = sum.Write([]byte("good"))
	e := artifact.Entry{Path: "f", Type: artifact.TypeFile, Size: 4, Digest: sum.Sum()}
	for i, content := range []string{"goof", "goo", "goods", ""} {
		if _, err := new(archive.Maker).Create(d, fmt.Sprint(i), e, owner(e), strings.NewReader(content)); err == nil {
			t.Errorf("%q was taken for %q", content, "good")
		}
	}
	if _, err := new(archive.Maker).Create(d, "ok", e, owner(e), strings.NewReader("good")); err != nil {
		t.Error(err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
