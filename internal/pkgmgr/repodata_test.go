package pkgmgr

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writeRepo writes the metadata of pkgs to dir.
func writeRepo(t *testing.T, dir string, pkgs []Package) {
	t.Helper()
	if err := WriteRepodata(pkgs, into(t, dir)); err != nil {
		t.Fatal(err)
	}
}

func into(t *testing.T, dir string) func(string, func(io.Writer) error) error {
	return func(name string, content func(io.Writer) error) error {
		var b bytes.Buffer
		if err := content(&b); err != nil {
			return err
		}
		write(t, filepath.Join(dir, name), b.Bytes())
		return nil
	}
}

// readList returns the elements of one list of the repository in dir as lines:
// element, attributes sorted, text. Lines of a package stay together, and are
// sorted by package.
func readList(t *testing.T, dir, kind string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "repodata", "*-"+kind+".xml.gz"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s lists in %s: %q, %v", kind, dir, files, err)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	type node struct {
		XMLName  xml.Name
		Attrs    []xml.Attr `xml:",any,attr"`
		Text     string     `xml:",chardata"`
		Children []*node    `xml:",any"`
	}
	var root node
	if err := xml.NewDecoder(zr).Decode(&root); err != nil {
		t.Fatalf("%s: %v", files[0], err)
	}
	var lines func(indent string, n *node) string
	lines = func(indent string, n *node) string {
		var attrs []string
		for _, a := range n.Attrs {
			if n.XMLName.Local == "time" && a.Name.Local == "file" {
				continue // ours is the build time on purpose
			}
			attrs = append(attrs, fmt.Sprintf("%s=%q", a.Name.Local, a.Value))
		}
		slices.Sort(attrs)
		s := fmt.Sprintf("%s%s:%s %s %q\n", indent, n.XMLName.Space, n.XMLName.Local, strings.Join(attrs, " "), strings.TrimSpace(n.Text))
		var children []string
		for _, c := range n.Children {
			children = append(children, lines(indent+"  ", c))
		}
		if n.XMLName.Local == "requires" {
			slices.Sort(children) // createrepo_c moves libc's to the end; order means nothing
		}
		return s + strings.Join(children, "")
	}
	var all []string
	for _, c := range root.Children {
		all = append(all, lines("", c))
	}
	slices.Sort(all)
	return all
}

func TestWriteRepodataAsCreaterepo(t *testing.T) {
	need(t, "createrepo_c", "rpmbuild")
	dir := t.TempDir()
	packStack(t, dir)
	rpmbuild(t, dir, fullSpec)
	pkgs := find(t, dir).Packages
	if len(pkgs) != 6 {
		t.Fatalf("%d packages, want 6", len(pkgs))
	}
	ours, theirs := t.TempDir(), t.TempDir()
	writeRepo(t, ours, pkgs)
	command(t, "createrepo_c", "-q", "--compatibility", "--excludes", "*.src.rpm", "-o", theirs, dir)
	for _, kind := range []string{"primary", "filelists", "other"} {
		t.Run(kind, func(t *testing.T) {
			got, want := readList(t, ours, kind), readList(t, theirs, kind)
			if len(got) != 6 || len(want) != 6 {
				t.Fatalf("%d and %d packages, want 6", len(got), len(want))
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("ours:\n%s\ncreaterepo_c:\n%s", got[i], want[i])
				}
			}
		})
	}
}

func TestWriteRepodataIsDeterministic(t *testing.T) {
	dir := t.TempDir()
	packStack(t, dir)
	pkgs := find(t, dir).Packages
	a, b := t.TempDir(), t.TempDir()
	writeRepo(t, a, pkgs)
	slices.Reverse(pkgs)
	writeRepo(t, b, pkgs)
	command(t, "diff", "-r", a, b)
	repomd, err := os.ReadFile(filepath.Join(a, "repodata/repomd.xml"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("<revision>%d</revision>", built.Unix()); !bytes.Contains(repomd, []byte(want)) {
		t.Errorf("repomd.xml has no %s:\n%s", want, repomd)
	}
}

// TestPrimaryHasRequiredFiles has a package that requires a file of another in a
// place where few do: zypper looks for it in the primary list only.
func TestPrimaryHasRequiredFiles(t *testing.T) {
	dir := t.TempDir()
	needy := meta("needy", "1", "1")
	needy.Requires = needs(t, "/usr/share/data/file", "/usr/share/needy/own")
	pack(t, dir, packed{RPMMetaData: needy, files: map[string]string{"/usr/share/needy/own": ""}})
	pack(t, dir, packed{RPMMetaData: meta("owner", "1", "1"), files: map[string]string{"/usr/share/data/file": "", "/usr/share/data/other": ""}})
	writeRepo(t, dir, find(t, dir).Packages)
	got := strings.Join(readList(t, dir, "primary"), "")
	if !strings.Contains(got, ":file  \"/usr/share/data/file\"") || strings.Contains(got, ":file  \"/usr/share/data/other") || strings.Contains(got, ":file  \"/usr/share/needy/own") {
		t.Errorf("primary list:\n%s", got)
	}
}

func TestWriteRepodataErrors(t *testing.T) {
	t.Run("changed", func(t *testing.T) {
		dir := t.TempDir()
		packStack(t, dir)
		pkgs := find(t, dir).Packages
		pack(t, dir, packed{RPMMetaData: meta("xCAT-probe", "2.17.0", "snap1"), files: map[string]string{"/new": ""}})
		err := WriteRepodata(pkgs, into(t, t.TempDir()))
		if err == nil || !strings.Contains(err.Error(), "xCAT-probe-2.17.0-snap1.noarch.rpm: it changed") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("removed", func(t *testing.T) {
		dir := t.TempDir()
		path := pack(t, dir, packed{RPMMetaData: meta("gone", "1", "1")})
		pkgs := find(t, dir).Packages
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := WriteRepodata(pkgs, into(t, t.TempDir())); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v, want one that names %s", err, path)
		}
	})
	t.Run("full", func(t *testing.T) {
		dir := t.TempDir()
		pack(t, dir, packed{RPMMetaData: meta("one", "1", "1")})
		err := WriteRepodata(find(t, dir).Packages, func(_ string, content func(io.Writer) error) error {
			return content(fullWriter{})
		})
		if err == nil || !strings.Contains(err.Error(), "primary.xml.gz: "+fs.ErrPermission.Error()) {
			t.Errorf("error %v", err)
		}
	})
}

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, fs.ErrPermission }
