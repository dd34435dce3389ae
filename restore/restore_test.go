package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	var cat bytes.Buffer
	w, err := artifact.NewCatalogWriter(&cat)
	check(t, err)
	for _, e := range all {
		check(t, w.Write(e))
	}
	check(t, w.Close())
	layers = append(layers, put(m, artifact.TypeCatalog, artifact.KindCatalog, cat.Bytes()))
	manifest, err := artifact.Pack(t.Context(), m, config, layers)
	check(t, err)
	s, err := artifact.Load(t.Context(), m, manifest)
	check(t, err)
	return s
}

func put(m memory, mediaType string, k artifact.Kind, b []byte) ocispec.Descriptor {
	desc := content.NewDescriptorFromBytes(mediaType, b)
	m[desc.Digest] = b
	return artifact.LayerDescriptor(desc, k, 1, 1)
}

func sum(k artifact.Kind, entries []artifact.Entry) artifact.KindSum {
	s := artifact.KindSum{Kind: k, Parts: 1, Entries: int64(len(entries))}
	for _, e := range entries {
		s.Bytes += e.Size
		if e.Type == artifact.TypeFile {
			s.Files++
		}
	}
	return s
}

func layer(t *testing.T, m memory, k artifact.Kind, files []file) ([]artifact.Entry, ocispec.Descriptor) {
	t.Helper()
	var b bytes.Buffer
	w := archive.NewWriter(&b)
	var entries []artifact.Entry
	for _, f := range files {
		e, err := w.Add(f.entry, strings.NewReader(f.content))
		check(t, err)
		e.Kind, e.Part = k, 1
		entries = append(entries, e)
	}
	check(t, w.Close())
	return entries, put(m, artifact.TypeTar, k, b.Bytes())
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

func hostArch(t *testing.T) string {
	t.Helper()
	root, err := host.OpenRoot(t.TempDir())
	check(t, err)
	defer func() { check(t, root.Close()) }()
	facts, err := host.ReadFacts(root)
	check(t, err)
	return facts.Arch
}

func check(t *testing.T, err error) {
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
		"etc/os-release": "ID=rocky\nVERSION_ID=9.6\n", "etc/hostname": "mn\n", "etc/hosts": "old hosts",
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

func newFixture(t *testing.T) fixture {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: owners are restored")
	}
	m := memory{}
	return fixture{m, snapshot(t, m, copyTables(t, t.TempDir(), "site", "nodelist", "ipmi"))}
}

func (f fixture) options(t *testing.T, root string) Options {
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

func TestApply(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	var log bytes.Buffer
	result, err := Apply(t.Context(), f.m, f.s, f.options(t, root), &log, yes)
	check(t, err)
	if result == nil || result.Tables != 3 {
		t.Fatalf("result %+v", result)
	}
	read := func(p string) string {
		b, err := os.ReadFile(filepath.Join(root, p))
		check(t, err)
		return string(b)
	}
	for p, want := range map[string]string{
		"etc/hosts": "10.0.0.1 mn\n", "etc/svc/conf": "new", "etc/svc/z-link": "new", "etc/svc/mine": "the admin's",
		"etc/xcat/ca/key": "secret", "data/install/deep/file": strings.Repeat("x", 9000),
		"etc/group":  "root:x:0:\nother:x:101:\nssh_keys:x:999:\nsvc:x:40:\n",
		"etc/passwd": "root:x:0:0::/root:/bin/sh\nsvc:x:40:40::/home/svc:/sbin/nologin\n",
		"etc/shadow": "root:*::::::\nsvc:!*:::::::\n",
	} {
		if got := read(p); got != want {
			t.Errorf("%s holds %.80q, want %.80q", p, got, want)
		}
	}
	for _, gone := range []string{"etc/xcat/ca/certs/99.pem", "etc/xcat/rack.sqlite"} {
		if _, err := os.Lstat(filepath.Join(root, gone)); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	if to, err := os.Readlink(filepath.Join(root, "install")); err != nil || to != "/data/install" {
		t.Errorf("the directory symlink became %q, %v", to, err)
	}
	var a, b unix.Stat_t
	check(t, unix.Stat(filepath.Join(root, "etc/svc/conf"), &a))
	check(t, unix.Stat(filepath.Join(root, "etc/svc/z-link"), &b))
	if a.Ino != b.Ino || a.Mode&0o7777 != 0o640 || a.Mtim.Nsec != 7 {
		t.Errorf("hard link: %+v, %+v", a, b)
	}
	check(t, unix.Stat(filepath.Join(root, "etc/svc"), &a))
	if a.Mode&0o7777 != 0o750 || a.Mtim.Nsec != 9 {
		t.Errorf("directory: mode %o, mtime %d", a.Mode, a.Mtim.Nsec)
	}
	check(t, unix.Stat(filepath.Join(root, "root"), &a))
	if a.Mode&0o7777 != 0o755 {
		t.Errorf("made parent: mode %o", a.Mode)
	}
	for p, mode := range map[string]uint32{"var": 0o755, "var/lib/xcrate": 0o755, "var/lib/xcrate/imports": 0o700} {
		check(t, unix.Stat(filepath.Join(root, p), &a))
		if a.Mode&0o7777 != mode {
			t.Errorf("/%s: mode %o, want %o", p, a.Mode&0o7777, mode)
		}
	}
	before := treeOf(t, root)
	result, err = Apply(t.Context(), f.m, f.s, f.options(t, root), &log, func(p *Plan) (bool, error) {
		if !p.Empty() {
			t.Errorf("second plan: %+v", p)
		}
		return true, nil
	})
	if err != nil || result != nil {
		t.Errorf("second import: %+v, %v", result, err)
	}
	diff(t, "second import", before, treeOf(t, root))
}

func TestDeclined(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	before := treeOf(t, root)
	result, err := Apply(t.Context(), f.m, f.s, f.options(t, root), io.Discard, func(*Plan) (bool, error) { return false, nil })
	if err != nil || result != nil {
		t.Errorf("%+v, %v", result, err)
	}
	diff(t, "declined", before, treeOf(t, root))
}

// TestDamagedBlob flips one bit in each layer: nothing may change.
func TestDamagedBlob(t *testing.T) {
	f := newFixture(t)
	for _, l := range f.s.Manifest.Layers {
		t.Run(l.Annotations[artifact.AnnotationKind], func(t *testing.T) {
			root := targetRoot(t)
			before := treeOf(t, root)
			good := f.m[l.Digest]
			defer func() { f.m[l.Digest] = good }()
			f.m[l.Digest] = bytes.Clone(good)
			f.m[l.Digest][len(good)/3] ^= 4
			result, err := Apply(t.Context(), f.m, f.s, f.options(t, root), io.Discard, yes)
			if err == nil || result != nil {
				t.Errorf("%+v, %v", result, err)
			}
			diff(t, "after a damaged blob", before, treeOf(t, root))
			if left, err := os.ReadDir(filepath.Join(root, "var")); err == nil {
				t.Errorf("left in /var: %v", left)
			}
		})
	}
}

// TestEveryStepFails lets each step of the commit fail in turn: the host must
// be as before. Then the same as a crash: nobody undoes, the next import does.
func TestEveryStepFails(t *testing.T) {
	f := newFixture(t)
	undisturbed := targetRoot(t)
	_, err := Apply(t.Context(), f.m, f.s, f.options(t, undisturbed), io.Discard, yes)
	check(t, err)
	boom := errors.New("boom")
	for n := 0; ; n++ {
		root := targetRoot(t)
		before := treeOf(t, root)
		o, left := f.options(t, root), n
		o.fault = func() error {
			if left--; left < 0 {
				return boom
			}
			return nil
		}
		_, err := Apply(t.Context(), f.m, f.s, o, io.Discard, yes)
		if err == nil {
			if n < 20 {
				t.Fatalf("only %d steps", n)
			}
			t.Logf("%d steps", n)
			return
		}
		if !errors.Is(err, boom) {
			t.Fatalf("step %d: %v", n, err)
		}
		diff(t, fmt.Sprintf("failure at step %d", n), before, treeOf(t, root))
		left = n
		crash(t, f, o)
		var log bytes.Buffer
		_, err = Apply(t.Context(), f.m, f.s, f.options(t, root), &log, func(*Plan) (bool, error) { return false, nil })
		check(t, err)
		if !strings.Contains(log.String(), "was interrupted") {
			t.Errorf("crash at step %d: nothing was said: %q", n, log.String())
		}
		diff(t, fmt.Sprintf("crash at step %d", n), before, treeOf(t, root))
		_, err = Apply(t.Context(), f.m, f.s, f.options(t, root), io.Discard, yes)
		check(t, err)
		sameButClock(t, undisturbed, root)
		if t.Failed() {
			return
		}
	}
}

// crash runs an import to its fault, and leaves everything as it is then.
func crash(t *testing.T, f fixture, o Options) {
	t.Helper()
	p, err := newPlanner(t.Context(), f.m, f.s, o)
	check(t, err)
	w, err := newWork(o.Root, "crashed")
	check(t, err)
	defer w.close()
	a := &applier{planner: p, work: w, result: &Result{}}
	if _, err := a.run(t.Context()); err == nil {
		t.Fatal("no fault")
	}
}

// sameButClock compares two roots but for times nobody promised.
func sameButClock(t *testing.T, want, got string) {
	t.Helper()
	for _, line := range hosttest.DiffTrees(treeOf(t, want), treeOf(t, got), hosttest.DiffOptions{IgnoreDirTimes: true}) {
		if !strings.Contains(line, "mtime") {
			t.Errorf("after a crash and an import: %s", line)
		}
	}
}

// TestOtherFilesystem has one filesystem below another: what is staged lies on
// each, and a file with names on both becomes two.
func TestOtherFilesystem(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	deep := filepath.Join(root, "data/install/deep")
	check(t, os.MkdirAll(deep, 0o755))
	if err := unix.Mount("tmpfs", deep, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(deep, 0) })
	_, err := Apply(t.Context(), f.m, f.s, f.options(t, root), io.Discard, yes)
	check(t, err)
	for _, p := range []string{"data/install/deep/file", "data/install/z/link"} {
		if b, err := os.ReadFile(filepath.Join(root, p)); err != nil || len(b) != 9000 {
			t.Errorf("%s: %d bytes, %v", p, len(b), err)
		}
	}
	if left, err := filepath.Glob(deep + "/.xcrate-*"); err != nil || len(left) > 0 {
		t.Errorf("left on the other filesystem: %v, %v", left, err)
	}
	if again, err := Apply(t.Context(), f.m, f.s, f.options(t, root), io.Discard, yes); err != nil || again != nil {
		t.Errorf("second import: %+v, %v", again, err)
	}
	check(t, os.WriteFile(filepath.Join(deep, "file"), []byte("changed"), 0o644))
	_, err = Apply(t.Context(), f.m, f.s, f.options(t, root), io.Discard, yes)
	check(t, err)
	kept, err := filepath.Glob(deep + "/.xcrate-*/*")
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept: %v, %v", kept, err)
	}
	if b, err := os.ReadFile(kept[0]); err != nil || string(b) != "changed" {
		t.Errorf("kept %q, %v", b, err)
	}
}

// TestFinishedIsNotUndone imports twice in one second, the second time in vain:
// the first import must stay.
func TestFinishedIsNotUndone(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	o := f.options(t, root)
	o.Only = []artifact.Kind{artifact.KindConfig}
	first, err := Apply(t.Context(), f.m, f.s, o, io.Discard, yes)
	check(t, err)
	before := treeOf(t, root)
	if err := Undo(o.Root, first.ID); err == nil {
		t.Error("a finished import was undone")
	}
	o.Only = []artifact.Kind{artifact.KindInstall}
	o.fault = func() error { return errors.New("boom") }
	if _, err := Apply(t.Context(), f.m, f.s, o, io.Discard, yes); err == nil {
		t.Error("no fault")
	}
	diff(t, "after a second import in the same second", before, treeOf(t, root))
	open, err := Unfinished(o.Root)
	if err != nil || len(open) != 0 {
		t.Errorf("unfinished: %v, %v", open, err)
	}
}

func TestSecondImportBeside(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	release, err := lock(f.options(t, root).Root)
	check(t, err)
	if _, err := Apply(t.Context(), f.m, f.s, f.options(t, root), io.Discard, yes); !errors.Is(err, ErrLocked) {
		t.Errorf("%v", err)
	}
	check(t, release())
}

// TestInterrupted cancels during the commit.
func TestInterrupted(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	before := treeOf(t, root)
	ctx, cancel := context.WithCancel(t.Context())
	o, left := f.options(t, root), 5
	o.fault = func() error {
		if left--; left == 0 {
			cancel()
		}
		return nil
	}
	if _, err := Apply(ctx, f.m, f.s, o, io.Discard, yes); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	diff(t, "interrupted", before, treeOf(t, root))
}

func TestCheckAccounts(t *testing.T) {
	for _, name := range []string{"", "a:b", "a\nroot::0:0", "-x", "+", "a b", "a/b"} {
		if err := checkAccounts([]artifact.Account{{Type: "user", Name: name}}); err == nil {
			t.Errorf("account %q was taken", name)
		}
	}
	line := accountLines(Account{Account: artifact.Account{Type: "user", Name: "x", Home: "/h:0\nroot::0:0::/:"}, ID: 7}, 8)["/etc/passwd"]
	if line != "x:x:7:8:::\n" {
		t.Errorf("hostile home: %q", line)
	}
}
