package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// xcrate runs the program in this process and checks its exit code.
func xcrate(t testing.TB, code int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(append([]string{"xcrate"}, args...), strings.NewReader(""), &out, &errs); got != code {
		t.Fatalf("xcrate %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), errs.String())
	}
	return out.String()
}

func config(t *testing.T, ref string) artifact.Config {
	t.Helper()
	var i inspection
	if err := json.Unmarshal([]byte(xcrate(t, 0, "inspect", ref, "--json")), &i); err != nil {
		t.Fatal(err)
	}
	return i.Config
}

// TestRealDNF imports the sample MN into a root where rpm and dnf really work,
// and compares what is installed with what the snapshot lists.
func TestRealDNF(t *testing.T) {
	root := hosttest.ELRoot(t)
	mn, usb := filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb")
	if err := hosttest.SampleMN(mn, hosttest.SampleOptions{Nodes: 40}); err != nil {
		t.Fatal(err)
	}
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--tag", "one")
	c := config(t, usb)
	plan := xcrate(t, 0, "import", "--allow-unsigned", usb, "--root", root, "--dry-run", "--allow", "distro,distro-version")
	if !strings.Contains(plan, "with dnf (") {
		t.Errorf("plan:\n%s", plan)
	}
	xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes")
	installed := rpmQuery(t, root)
	wanted := 0
	for _, p := range c.Packages {
		if p.Install != slices.Contains(installed, p.NEVRA()) {
			t.Errorf("package %s: to be installed %v, in rpm -qa %v", p.NEVRA(), p.Install, !p.Install)
		}
		if p.Install {
			wanted++
		}
	}
	if wanted < 10 {
		t.Errorf("only %d packages to install", wanted)
	}
	// Files that packages bring are as the snapshot has them all the same.
	for _, p := range []string{"etc/xCATMN", "install/postscripts/syslog", "etc/xcat/ca/private/ca-key.pem"} {
		want, err := os.ReadFile(filepath.Join(mn, p))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(root, p)); err != nil || !bytes.Equal(want, got) {
			t.Errorf("%s: %v, equal %v", p, err, bytes.Equal(want, got))
		}
	}
	again := xcrate(t, 0, "import", "--allow-unsigned", usb, "--root", root, "--yes")
	if !strings.Contains(again, "Nothing to do") {
		t.Errorf("second import:\n%s", again)
	}
	// The restored root knows from its own rpm database what is installed.
	back := filepath.Join(t.TempDir(), "back")
	xcrate(t, exitWarnings, "export", "--no-encrypt", back, "--root", root, "--tag", "one")
	for i, k := range config(t, back).Kinds {
		k.Stored = c.Kinds[i].Stored // this root's accounts have other numbers
		if k.Kind == artifact.KindPackages {
			continue // the sample could not tell what is installed
		}
		if k != c.Kinds[i] {
			t.Errorf("exported again: kind %+v, was %+v", k, c.Kinds[i])
		}
	}
	packages := config(t, back).Packages
	for _, p := range packages {
		if !p.Install || !slices.Contains(installed, p.NEVRA()) {
			t.Errorf("exported again: package %s is to be installed: %v", p.NEVRA(), p.Install)
		}
	}
	if len(packages) != wanted {
		t.Errorf("exported again: %d packages, want the %d that were installed", len(packages), wanted)
	}
	missingPackage(t, root, config(t, back).Packages)
}

// rpmQuery lists what is installed in root, by full name, as rpm itself says.
func rpmQuery(t *testing.T, root string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "chroot", root, "rpm", "-qa", "--qf", "%{NAME}-%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}.%{ARCH}\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Fields(string(out))
	slices.Sort(all)
	return all
}

// missingPackage removes the file of an installed package: the next export says
// which, and leaves nothing, unless it is to go on.
func missingPackage(t *testing.T, root string, packages []artifact.Package) {
	t.Helper()
	i := slices.IndexFunc(packages, func(p artifact.Package) bool { return p.Install })
	gone := packages[i]
	if err := os.Remove(gone.From); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(root, "var/lib/xcrate/repository")); err != nil { // where it is too
		t.Fatal(err)
	}
	dest := filepath.Join(t.TempDir(), "less")
	var out, errs bytes.Buffer
	code := run([]string{"xcrate", "export", "--no-encrypt", dest, "--root", root}, strings.NewReader(""), &out, &errs)
	if code != exitError || !strings.Contains(errs.String(), "\n  "+gone.NEVRA()+"\n") || !strings.Contains(errs.String(), "--allow-missing-packages") {
		t.Errorf("export without %s: exit code %d\n%s", gone.NEVRA(), code, errs.String())
	}
	if _, err := os.Lstat(dest); err == nil {
		t.Error("the failed export left its destination behind")
	}
	if said := xcrate(t, exitWarnings, "export", "--no-encrypt", dest, "--root", root, "--allow-missing-packages"); !strings.Contains(said, gone.NEVRA()) {
		t.Errorf("the missing package is not listed:\n%s", said)
	}
	if got := config(t, dest).MissingPackages; !slices.Equal(got, []string{gone.NEVRA()}) {
		t.Errorf("missing packages %v", got)
	}
}

// TestRealDatabase sends the 73 files of a real management node there and back.
func TestRealDatabase(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: an import sets owners")
	}
	mn, usb, back := filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb"), t.TempDir()
	if err := hosttest.SampleMN(mn, hosttest.SampleOptions{Nodes: 5}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../testdata/real-mn/sqlite/*.sqlite")
	if err != nil || len(files) != 73 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(mn, "etc/xcat", filepath.Base(f)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--with-logs")
	xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", back, "--yes", "--only", "database")
	want, err := database.OpenSQLite(t.Context(), filepath.Dir(files[0]), database.SQLiteOptions{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = want.Close() }()
	got, err := database.OpenSQLite(t.Context(), filepath.Join(back, "etc/xcat"), database.SQLiteOptions{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Close() }()
	tables, err := got.Tables(t.Context())
	if err != nil || len(tables) != 73 {
		t.Errorf("%d tables, %v", len(tables), err)
	}
	diff, err := database.Compare(t.Context(), want, got, 10)
	if err != nil || len(diff) > 0 {
		t.Errorf("%v, %v", diff, err)
	}
	if c := config(t, usb); len(c.Database.Tables) != 73 {
		t.Errorf("the config lists %d tables", len(c.Database.Tables))
	}
}

// TestNoSecretInTheOpen looks for the sample's planted secrets in all that an
// export and an import say and write beside the layers.
func TestNoSecretInTheOpen(t *testing.T) {
	mn, usb := filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb")
	if err := hosttest.SampleMN(mn, hosttest.SampleOptions{Nodes: 40, SingleOwner: os.Geteuid() != 0}); err != nil {
		t.Fatal(err)
	}
	said := xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--json")
	said += xcrate(t, 0, "inspect", usb) + xcrate(t, 0, "verify", usb, "--json") + xcrate(t, 0, "list", usb)
	said += xcrate(t, 0, "import", "--allow-unsigned", usb, "--root", t.TempDir(), "--dry-run", "--show-files", "--json", "--allow", "not-root")
	if strings.Contains(said, hosttest.Canary) {
		t.Error("a secret was printed")
	}
	root := t.TempDir()
	xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes", "--allow", "not-root")
	journals, err := filepath.Glob(filepath.Join(root, "var/lib/xcrate/imports/*/journal"))
	if err != nil || len(journals) != 1 {
		t.Fatalf("%v, %v", journals, err)
	}
	if b, err := os.ReadFile(journals[0]); err != nil || bytes.Contains(b, []byte(hosttest.Canary)) {
		t.Errorf("journal: %v, or it holds a secret", err)
	}
	// What is not in a layer for secrets or database holds none.
	for _, k := range []string{"packages", "config", "install", "tftpboot"} {
		text := layerText(t, usb, k)
		// What administrators write into their own scripts and switch
		// configurations cannot be told from other text.
		for _, own := range []string{"CANARY-postscript-licence", "CANARY-switch-community"} {
			text = bytes.ReplaceAll(text, []byte(own), nil)
		}
		if at := bytes.Index(text, []byte(hosttest.Canary)); at >= 0 {
			t.Errorf("kind %s holds a secret: %.200q", k, text[max(0, at-100):])
		}
		if bytes.Contains(text, []byte("PRIVATE KEY-----")) {
			t.Errorf("kind %s holds a private key", k)
		}
	}
	modes(t, usb)
}

// layerText returns one layer decompressed.
func layerText(t *testing.T, ref, kind string) []byte {
	t.Helper()
	s, err := new(app).openSnapshot(t.Context(), ref, sourceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var all bytes.Buffer
	for _, desc := range s.Layers(artifact.Kind(kind)) {
		l, err := artifact.OpenLayer(t.Context(), s, desc)
		if err != nil {
			t.Fatal(err)
		}
		for {
			e, r, err := l.Next()
			if err != nil {
				break
			}
			all.WriteString(e.Path)
			if _, err := all.ReadFrom(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Finish(); err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
	if all.Len() == 0 {
		t.Fatalf("kind %s is empty", kind)
	}
	return all.Bytes()
}

// modes checks that nobody but the owner can read what a layout holds.
func modes(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", p, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestParts captures a tree of 50,000 files that takes several parts. One changed
// file makes one new part, and what cannot be compressed is stored as it is.
func TestParts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: an import sets owners")
	}
	mn, usb, root := filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb"), t.TempDir()
	o := hosttest.SampleOptions{Nodes: 5, InstallFiles: 5_000, InstallBytes: 200 << 20}
	if err := hosttest.SampleMN(mn, o); err != nil {
		t.Fatal(err)
	}
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--tag", "one")
	install, _ := config(t, usb).Kind(artifact.KindInstall)
	if install.Parts < 3 {
		t.Fatalf("kind install has %d parts", install.Parts)
	}
	blobs := func() int {
		all, err := filepath.Glob(filepath.Join(usb, "blobs/sha256/*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := blobs()
	if err := os.WriteFile(filepath.Join(mn, "install/custom/new"), []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--tag", "two")
	// The part, perhaps the one cut off it, catalog, config and manifest, and the list of
	// packages with the manifest that ties it to that.
	if n := blobs() - before; n < 6 || n > 7 {
		t.Errorf("one new file made %d new blobs", n)
	}
	xcrate(t, 0, "verify", usb+":one")
	xcrate(t, 0, "verify", usb+":two")
	xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes")
	for _, line := range hosttest.DiffTrees(tree(t, filepath.Join(mn, "install/custom")), tree(t, filepath.Join(root, "install/custom")), hosttest.DiffOptions{
		Skip: func(p string) bool { return p == "odd/socket" }, OwnersByName: false,
	}) {
		t.Error(line)
	}
	back := filepath.Join(t.TempDir(), "back")
	xcrate(t, exitWarnings, "export", "--no-encrypt", back, "--root", root, "--tag", "two")
	again, _ := config(t, back).Kind(artifact.KindInstall)
	if two, _ := config(t, usb).Kind(artifact.KindInstall); again != two {
		t.Errorf("exported again: %+v, was %+v", again, two)
	}
}
