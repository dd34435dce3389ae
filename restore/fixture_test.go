package restore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/hosttest"
	"github.com/xcrate/xcrate/internal/stack"
)

// memory holds blobs and checks what it hands out, as layout does.
type memory map[digest.Digest][]byte

func (m memory) Push(_ context.Context, desc ocispec.Descriptor, r io.Reader) error {
	b, err := io.ReadAll(r)
	m[desc.Digest] = b
	return err
}

func (m memory) Fetch(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	return io.NopCloser(&verified{content.NewVerifyReader(bytes.NewReader(m[desc.Digest]), desc)}), nil
}

type verified struct{ *content.VerifyReader }

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.VerifyReader.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.Join(v.Verify())
		if err == nil {
			err = io.EOF
		}
	}
	return n, err
}

// file is an entry of the snapshot the tests restore.
type file struct {
	entry   artifact.Entry
	content string
}

func reg(path, content string, mode uint32) file {
	return file{artifact.Entry{Path: path, Type: artifact.TypeFile, Mode: mode, Size: int64(len(content)), MTime: artifact.Time{Sec: 1e9, Nsec: 7}}, content}
}

func dir(path string, mode uint32) file {
	return file{entry: artifact.Entry{Path: path, Type: artifact.TypeDir, Mode: mode, MTime: artifact.Time{Sec: 1e9, Nsec: 9}}}
}

// sampleFiles are the trees of the snapshot: by kind, sorted by path.
func sampleFiles() map[artifact.Kind][]file {
	hard := reg("etc/svc/z-link", "", 0o640)
	hard.entry.Type, hard.entry.Link = artifact.TypeHardlink, "etc/svc/conf"
	far := reg("install/z/link", "", 0o755)
	far.entry.Type, far.entry.Link = artifact.TypeHardlink, "install/deep/file"
	return map[artifact.Kind][]file{
		artifact.KindSecrets: {
			dir("etc/xcat/ca", 0o755), dir("etc/xcat/ca/certs", 0o755), reg("etc/xcat/ca/certs/01.pem", "one", 0o644), reg("etc/xcat/ca/key", "secret", 0o600),
			dir("root/.xcat", 0o700), reg("root/.xcat/cred", "secret", 0o600),
		},
		artifact.KindConfig: {
			reg("etc/hosts", "10.0.0.1 mn\n", 0o644), dir("etc/svc", 0o750), reg("etc/svc/conf", "new", 0o640),
			{entry: artifact.Entry{Path: "etc/svc/link", Type: artifact.TypeSymlink, Link: "conf", Mode: 0o777, MTime: artifact.Time{Sec: 5}}},
			reg("etc/svc/same", "same", 0o644), hard,
		},
		artifact.KindInstall: {
			dir("install", 0o755), dir("install/deep", 0o755), reg("install/deep/file", strings.Repeat("x", 9000), 0o755),
			dir("install/z", 0o755), far,
		},
	}
}

// snapshot packs sampleFiles and tables.
func snapshot(t *testing.T, m memory, dbDir string) *artifact.Snapshot {
	t.Helper()
	config := artifact.Config{
		Format: 1, Created: time.Unix(1e9, 0), Stack: artifact.Stack{Name: "xcat"},
		Host:          artifact.Host{Name: "mn", Arch: hostArch(t), Distro: artifact.Distro{ID: "rocky", Version: "9.6"}},
		IdentityTrees: []string{"/etc/xcat/ca"},
		Accounts: []artifact.Account{
			{Type: "group", Name: "ssh_keys", ID: 101},
			{Type: "group", Name: "svc", ID: 40},
			{Type: "user", Name: "svc", ID: 40, Group: "svc", Home: "/home/svc", Shell: "/sbin/nologin"},
		},
	}
	var layers []ocispec.Descriptor
	var all []artifact.Entry
	for _, k := range []artifact.Kind{artifact.KindSecrets, artifact.KindConfig, artifact.KindInstall} {
		entries, desc := layer(t, m, k, sampleFiles()[k])
		all = append(all, entries...)
		layers = append(layers, desc)
		config.Kinds = append(config.Kinds, sum(k, entries))
	}
	entries, desc := databaseLayer(t, m, dbDir, &config)
	all = append(all, entries...)
	layers = append(layers, desc)
	config.Kinds = append(config.Kinds, sum(artifact.KindDatabase, entries))
	return pack(t, m, config, layers, all)
}

// pack puts a snapshot of layers together, whose catalog lists all.
func pack(t testing.TB, m memory, config artifact.Config, layers []ocispec.Descriptor, all []artifact.Entry) *artifact.Snapshot {
	t.Helper()
	var cat bytes.Buffer
	w, err := artifact.NewCatalogWriter(&cat)
	check(t, err)
	for _, e := range all {
		check(t, w.Write(e))
	}
	check(t, w.Close())
	layers = append(layers, put(m, artifact.TypeCatalog, artifact.KindCatalog, 1, 1, cat.Bytes()))
	manifest, err := artifact.Pack(t.Context(), m, config, layers)
	check(t, err)
	s, err := artifact.Load(t.Context(), m, manifest)
	check(t, err)
	return s
}

func put(m memory, mediaType string, k artifact.Kind, part, parts int, b []byte) ocispec.Descriptor {
	desc := content.NewDescriptorFromBytes(mediaType, b)
	m[desc.Digest] = b
	return artifact.LayerDescriptor(desc, k, part, parts)
}

func sum(k artifact.Kind, entries []artifact.Entry) artifact.KindSum {
	s := artifact.KindSum{Kind: k, Parts: 1, Entries: int64(len(entries))}
	for _, e := range entries {
		s.Bytes += e.Size
		if e.Type == artifact.TypeFile && e.IsFirst() {
			s.Files++
		}
	}
	return s
}

func layer(t *testing.T, m memory, k artifact.Kind, files []file) ([]artifact.Entry, ocispec.Descriptor) {
	t.Helper()
	return layerPart(t, m, k, 1, 1, files)
}

func layerPart(t *testing.T, m memory, k artifact.Kind, part, parts int, files []file) ([]artifact.Entry, ocispec.Descriptor) {
	t.Helper()
	var b bytes.Buffer
	w := archive.NewWriter(&b)
	var entries []artifact.Entry
	for _, f := range files {
		e, err := f.entry, error(nil)
		if f.entry.Sparse {
			e = addHole(t, w, f.entry)
		} else {
			e, err = w.Add(f.entry, strings.NewReader(f.content))
		}
		check(t, err)
		e.Kind, e.Part = k, part
		entries = append(entries, e)
	}
	check(t, w.Close())
	return entries, put(m, artifact.TypeTar, k, part, parts, b.Bytes())
}

// addHole writes e, a piece that is one hole, from a real file.
func addHole(t *testing.T, w *archive.Writer, e artifact.Entry) artifact.Entry {
	t.Helper()
	root, err := host.OpenRoot(t.TempDir())
	check(t, err)
	defer func() { check(t, root.Close()) }()
	check(t, os.WriteFile(root.Path("hole"), nil, 0o600))
	check(t, os.Truncate(root.Path("hole"), e.Size))
	d, name, err := root.OpenParent("/hole")
	check(t, err)
	defer func() { check(t, d.Close()) }()
	check(t, d.SetMTime(name, e.MTime))
	_, st, f, err := archive.Open(d, name, "hole", noNames{})
	check(t, err)
	defer func() { check(t, f.Close()) }()
	stored := e
	stored.Path, stored.Piece = e.StoredPath(), artifact.Piece{}
	stored, changed, err := w.AddFile(f, stored, st, func([]byte) error { return nil })
	check(t, err)
	if changed || !stored.Sparse {
		t.Fatalf("no hole: %+v", stored)
	}
	e.Digest = stored.Digest
	return e
}

// databaseLayer dumps three tables of the sample MN in dbDir.
func databaseLayer(t *testing.T, m memory, dbDir string, config *artifact.Config) ([]artifact.Entry, ocispec.Descriptor) {
	t.Helper()
	src, err := database.OpenSQLite(t.Context(), dbDir, database.SQLiteOptions{TempDir: t.TempDir()})
	check(t, err)
	defer func() { check(t, src.Close()) }()
	var files []file
	dumped, err := database.Dump(t.Context(), src, func(name string, write func(io.Writer) error) error {
		var b bytes.Buffer
		err := write(&b)
		files = append(files, reg(artifact.TablesDir+"/"+name, b.String(), 0o600))
		return err
	})
	check(t, err)
	schemas, err := database.EncodeSchemas(dumped.Schemas)
	check(t, err)
	config.Database = artifact.Database{Engine: "sqlite", Dir: "/etc/xcat", Tables: dumped.Tables}
	return layer(t, m, artifact.KindDatabase, append([]file{reg(artifact.SchemaFile, string(schemas), 0o600)}, files...))
}

func hostArch(t testing.TB) string {
	t.Helper()
	root, err := host.OpenRoot(t.TempDir())
	check(t, err)
	defer func() { check(t, root.Close()) }()
	facts, err := host.ReadFacts(root)
	check(t, err)
	return facts.Arch
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// copyTables copies the named tables of the real fixture into dir.
func copyTables(t *testing.T, dir string, names ...string) string {
	t.Helper()
	check(t, os.MkdirAll(dir, 0o755))
	for _, name := range names {
		b, err := os.ReadFile("../testdata/real-mn/sqlite/" + name + ".sqlite")
		check(t, err)
		check(t, os.WriteFile(filepath.Join(dir, name+".sqlite"), b, 0o600))
	}
	return dir
}

// targetRoot makes a root with something in the way of almost everything.
func targetRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"etc/os-release": "ID=rocky\nVERSION_ID=9.6\n", "etc/hostname": "mn\n", "etc/hosts": "127.0.0.1 localhost\n10.0.0.9 mn\n10.5.0.1 printer\n",
		"etc/passwd": "root:x:0:0::/root:/bin/sh\n", "etc/group": "root:x:0:\nother:x:101:", "etc/shadow": "root:*::::::\n",
		"etc/svc/conf": "old", "etc/svc/mine": "the admin's", "etc/svc/same": "same", "etc/xcat/ca/certs/99.pem": "stale", "etc/xcat/ca/key": "other",
		"etc/xcat/site.sqlite-journal": "",
	} {
		p := filepath.Join(root, name)
		check(t, os.MkdirAll(filepath.Dir(p), 0o755))
		check(t, os.WriteFile(p, []byte(content), 0o644))
	}
	check(t, os.Remove(filepath.Join(root, "etc/xcat/site.sqlite-journal")))
	copyTables(t, filepath.Join(root, "etc/xcat"), "rack")
	check(t, os.MkdirAll(filepath.Join(root, "data/install"), 0o755))
	check(t, os.Symlink("/data/install", filepath.Join(root, "install")))
	check(t, os.Link(filepath.Join(root, "etc/svc/mine"), filepath.Join(root, "etc/svc/z-link")))
	ts := []unix.Timespec{{Sec: 1e9}, {Sec: 1e9, Nsec: 7}}
	check(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(root, "etc/svc/same"), ts, 0))
	return root
}

// fixture is a snapshot and what restores it.
type fixture struct {
	m memory
	s *artifact.Snapshot
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: owners are restored")
	}
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	needRoot(t)
	m := memory{}
	return fixture{m, snapshot(t, m, copyTables(t, t.TempDir(), "site", "nodelist", "ipmi"))}
}

func (f fixture) options(t testing.TB, root string) Options {
	t.Helper()
	r, err := host.OpenRoot(root)
	check(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return Options{Root: r, Runner: host.Exec{}, Stack: stack.XCAT(), Now: time.Unix(1.7e9, 0), TempDir: t.TempDir()}
}

func yes(*Plan) (bool, error) { return true, nil }

func treeOf(t *testing.T, root string) map[string]hosttest.Node {
	t.Helper()
	tree, err := hosttest.Tree(root)
	check(t, err)
	for p := range tree { // what an import leaves of itself
		if strings.HasPrefix(p, "var") {
			delete(tree, p)
		}
	}
	delete(tree, ".")
	return tree
}

func diff(t *testing.T, what string, want, got map[string]hosttest.Node) {
	t.Helper()
	for _, line := range hosttest.DiffTrees(want, got, hosttest.DiffOptions{}) {
		t.Errorf("%s: %s", what, line)
	}
}
