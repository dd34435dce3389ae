package main

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/hosttest"
	"github.com/xcrate/xcrate/layout"
)

// TestEditedTable has somebody edit a CSV in a snapshot and put it together again
// with right digests of its blobs and files: only the digest of the table's rows
// tells. Nothing is restored.
func TestEditedTable(t *testing.T) {
	mn, usb, root := filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb"), filepath.Join(t.TempDir(), "root")
	sample(t, mn)
	if err := hosttest.BaseRoot(root); err != nil {
		t.Fatal(err)
	}
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--packages", "none", "--tag", "one")
	edited := filepath.Join(t.TempDir(), "edited")
	repack(t, usb+":one", edited, func(name, content string) string {
		if name != artifact.TablesDir+"/site.csv" {
			return content
		}
		at := strings.Index(content, `"domain","`) + len(`"domain","`)
		return content[:at] + "x" + content[at+1:]
	})
	xcrate(t, 0, "verify", edited)
	before := whole(t, root)
	var out, errs bytes.Buffer
	code := run([]string{"xcrate", "import", "--allow-unsigned", edited, "--root", root, "--yes", "--only", "database", "--allow", "distro,distro-version,arch"}, strings.NewReader(""), &out, &errs)
	if code == 0 || code == exitWarnings || !strings.Contains(errs.String(), `table "site": the layer holds`) || !strings.Contains(errs.String(), "the config says") {
		t.Errorf("exit code %d\n%s%s", code, &out, &errs)
	}
	unchanged(t, "edited", before, root)
}

// repack writes the snapshot from once more to the layout to, with the files of
// its database as edit makes them, of the same size.
func repack(t *testing.T, from, to string, edit func(name, content string) string) {
	t.Helper()
	ctx := t.Context()
	s, err := new(app).openSnapshot(ctx, from, sourceOptions{})
	fail(t, err)
	defer func() { fail(t, s.Close()) }()
	w, err := layout.Create(to, layout.Options{})
	fail(t, err)
	var layers []ocispec.Descriptor
	files := map[string]artifact.Entry{}
	for _, l := range s.Manifest.Layers {
		switch l.Annotations["dev.xcrate.kind"] {
		case string(artifact.KindCatalog):
			continue
		case string(artifact.KindDatabase):
			l = repackLayer(t, s, w, l, files, edit)
		default:
			r, err := s.Fetch(ctx, l)
			fail(t, err)
			fail(t, errors.Join(w.Push(ctx, l, r), r.Close()))
		}
		layers = append(layers, l)
	}
	catalog, err := w.PutBlob(ctx, artifact.TypeCatalog, func(b io.Writer) error {
		c, err := artifact.NewCatalogWriter(b)
		if err != nil {
			return err
		}
		err = s.Catalog(ctx, s, func(e artifact.Entry) error {
			if mine, ok := files[e.Path]; ok && e.Kind == artifact.KindDatabase {
				e.Digest = mine.Digest
			}
			return c.Write(e)
		})
		return errors.Join(err, c.Close())
	})
	fail(t, err)
	desc, err := artifact.Pack(ctx, w, s.Config, append(layers, artifact.LayerDescriptor(catalog, artifact.KindCatalog, 1, 1)))
	fail(t, err)
	fail(t, errors.Join(w.Commit(ctx, desc, "latest"), w.Close()))
}

func repackLayer(t *testing.T, s *source, w *layout.Writer, l ocispec.Descriptor, files map[string]artifact.Entry, edit func(name, content string) string) ocispec.Descriptor {
	t.Helper()
	r, err := artifact.OpenLayer(t.Context(), s, l)
	fail(t, err)
	defer func() { r.End(t.Context(), &err); fail(t, err) }()
	desc, err := w.PutBlob(t.Context(), artifact.TypeTar, func(b io.Writer) error {
		tar := archive.NewWriter(b)
		for {
			e, content, err := r.Next()
			if errors.Is(err, io.EOF) {
				return tar.Close()
			}
			if err != nil {
				return err
			}
			text, err := io.ReadAll(content)
			if err != nil {
				return err
			}
			e, err = tar.Add(e, strings.NewReader(edit(e.Path, string(text))))
			if err != nil {
				return err
			}
			files[e.Path] = e
		}
	})
	fail(t, err)
	return artifact.LayerDescriptor(desc, artifact.KindDatabase, 1, 1)
}

func fail(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestXCATCFG follows the variable for the machine itself alone: it says nothing
// of another root.
func TestXCATCFG(t *testing.T) {
	a := &app{env: func(name string) string { return map[string]string{"XCATCFG": "SQLite:/elsewhere"}[name] }}
	for dir, want := range map[string]string{"/": "SQLite:/elsewhere", t.TempDir(): ""} {
		root, err := host.OpenRoot(dir)
		fail(t, err)
		if got := a.xcatcfg(root); got != want {
			t.Errorf("%s: %q", dir, got)
		}
		fail(t, root.Close())
	}
}
