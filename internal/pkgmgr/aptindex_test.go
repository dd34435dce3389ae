package pkgmgr

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// debRepo writes debs and their metadata to dir, laid out as in a snapshot.
func debRepo(t *testing.T, dir string, fill func(dir string)) []Package {
	t.Helper()
	fill(filepath.Join(dir, "Packages"))
	pkgs := find(t, dir).Packages
	for i := range pkgs {
		pkgs[i].File = "Packages/" + pkgs[i].File
	}
	if err := WriteMetadata(pkgs, into(t, dir)); err != nil {
		t.Fatal(err)
	}
	return pkgs
}

// readIndex returns the fields of each package of an index, folded.
func readIndex(t *testing.T, index string) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	for in := newParagraphs(strings.NewReader(index)); ; {
		p, err := in.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]string{}
		for _, f := range p.fields {
			fields[f.name] = strings.Join(f.lines, "\n")
		}
		all[p.Get("Package")] = fields
	}
}

// TestWriteMetadataAsApt compares with what Debian's own programs make of the same
// files.
func TestWriteMetadataAsApt(t *testing.T) {
	need(t, "apt-ftparchive", "dpkg-scanpackages")
	dir := t.TempDir()
	debRepo(t, dir, func(dir string) { makeDebs(t, dir) })
	ours := readIndex(t, string(readFile(t, filepath.Join(dir, "repodata/Packages"))))
	for name, theirs := range map[string]map[string]map[string]string{
		"apt-ftparchive":    readIndex(t, command(t, "sh", "-c", `cd "$1" && apt-ftparchive --md5=no --sha1=no --sha512=no packages Packages`, "sh", dir)),
		"dpkg-scanpackages": readIndex(t, command(t, "sh", "-c", `cd "$1" && dpkg-scanpackages --multiversion --hash sha256 Packages`, "sh", dir)),
	} {
		if len(theirs) != 4 || len(ours) != 4 {
			t.Fatalf("%s: %d packages, ours %d, want 4", name, len(theirs), len(ours))
		}
		for pkg, want := range theirs {
			if name == "dpkg-scanpackages" { // it folds what goes on in a second line
				want["Depends"] = strings.Replace(want["Depends"], "perl-x, ", "perl-x,\n ", 1)
				if want["Depends"] == "" {
					delete(want, "Depends")
				}
			}
			if !maps.Equal(ours[pkg], want) {
				t.Errorf("%s:\n%q\nours:\n%q", name, want, ours[pkg])
			}
		}
	}
}

func TestWriteMetadataIsDeterministic(t *testing.T) {
	dir := t.TempDir()
	pkgs := debRepo(t, dir, func(dir string) { makeDebs(t, dir) })
	again := t.TempDir()
	slices.Reverse(pkgs)
	if err := WriteMetadata(pkgs, into(t, again)); err != nil {
		t.Fatal(err)
	}
	command(t, "diff", "-r", filepath.Join(dir, "repodata"), filepath.Join(again, "repodata"))
	command(t, "sh", "-c", `cd "$1/repodata" && zcat Packages.gz | cmp - Packages && tail -n 2 Release | while read -r sum size name; do echo "$sum  $name"; done | sha256sum -c`, "sh", dir)
}

// TestWriteMetadataBoth has rpms and debs, one sort, and neither.
func TestWriteMetadataBoth(t *testing.T) {
	for _, tt := range []struct{ rpm, deb bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		dir := t.TempDir()
		debRepo(t, dir, func(dir string) {
			write(t, filepath.Join(dir, "README"), nil)
			if tt.rpm {
				pack(t, dir, packed{RPMMetaData: meta("a", "1", "1")})
			}
			if tt.deb {
				makeDeb(t, dir, madeDeb{name: "bb", version: "1"})
			}
		})
		for file, want := range map[string]bool{"repomd.xml": tt.rpm || !tt.deb, "Packages": tt.deb, "Release": tt.deb} {
			if _, err := os.Stat(filepath.Join(dir, "repodata", file)); (err == nil) != want {
				t.Errorf("rpm %t, deb %t: %s: %v", tt.rpm, tt.deb, file, err)
			}
		}
	}
}

// TestWriteMetadataHostile has a package that says of its own file what it is not.
func TestWriteMetadataHostile(t *testing.T) {
	dir := t.TempDir()
	deb := debOf(t, smallControl+"filename: ../../etc/passwd\nSIZE: 1\nSha256: 00\nSHA512: 00\nMD5sum: 00\nStatus: install ok installed\nX-Kept: yes\n")
	debRepo(t, dir, func(dir string) { write(t, filepath.Join(dir, "x.deb"), deb) })
	got := readIndex(t, string(readFile(t, filepath.Join(dir, "repodata/Packages"))))["aa"]
	if len(got) != 7 || got["Filename"] != "Packages/aa_1_all.deb" || got["Size"] != fmt.Sprint(len(deb)) || got["X-Kept"] != "yes" {
		t.Errorf("%q", got)
	}
}

func TestWriteMetadataErrors(t *testing.T) {
	dir := t.TempDir()
	path := makeDeb(t, dir, madeDeb{name: "bb", version: "1"})
	pkgs := find(t, dir).Packages
	wantError(t, WriteMetadata(append(pkgs, pkgs...), into(t, t.TempDir())), path, "would both be bb_1_all.deb")
	err := WriteMetadata(pkgs, func(_ string, content func(io.Writer) error) error { return content(fullWriter{}) })
	wantError(t, err, "repository: Packages: ")
	makeDeb(t, dir, madeDeb{name: "bb", version: "1", fields: "X-New: y\n"})
	wantError(t, WriteMetadata(pkgs, into(t, t.TempDir())), path, "it changed")
}

// apt returns a command of apt-get with a configuration, state and cache of its
// own below dir, which has these sources.
func runApt(t *testing.T, dir, sources string) func(args ...string) string {
	t.Helper()
	need(t, "apt-get")
	for _, d := range []string{"lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d", "etc/trusted.gpg.d", "etc/sources.list.d"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "status"), nil)
	write(t, filepath.Join(dir, "etc/sources.list"), []byte(sources))
	conf := filepath.Join(dir, "apt.conf") // which is read before this machine's own, and leads elsewhere
	write(t, conf, []byte(strings.ReplaceAll(`APT::Sandbox::User "root"; APT::Architecture "amd64"; APT::Architectures "amd64"; Debug::NoLocking "true";
Dir::Etc "HERE/etc"; Dir::State "HERE"; Dir::State::status "HERE/status"; Dir::Cache "HERE/cache";
`, "HERE", dir)))
	return func(args ...string) string {
		return command(t, "sh", append([]string{"-c", `cd "$1" && APT_CONFIG="$2" && export APT_CONFIG && shift 2 && exec apt-get -q "$@" 2>&1`, "sh", dir, conf}, args...)...)
	}
}

// TestAptReadsMetadata has apt update from a repository of ours, install from it
// as far as it goes without a system, and download each file.
func TestAptReadsMetadata(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a place")
	pkgs := debRepo(t, dir, func(dir string) { makeDebs(t, dir) })
	home := t.TempDir()
	get := runApt(t, home, "deb [trusted=yes] file:"+strings.ReplaceAll(dir, " ", "%20")+" repodata/\n")
	if out := get("update"); strings.Contains(out, "W:") || strings.Contains(out, "E:") {
		t.Errorf("apt says\n%s", out)
	}
	for _, p := range pkgs {
		get("download", p.Name+"="+debVersion(p.Package))
	}
	got, err := filepath.Glob(filepath.Join(home, "*.deb"))
	if err != nil || len(got) != 4 {
		t.Errorf("downloaded %q, %v", got, err)
	}
	for _, file := range got {
		b := readFile(t, file)
		if !slices.ContainsFunc(pkgs, func(p Package) bool { return bytes.Equal(readFile(t, filepath.Join(dir, p.File)), b) }) {
			t.Errorf("%s is none of ours", file)
		}
	}
	if out := get("-s", "--no-install-recommends", "install", "xcat-server=4:2.17.0~rc1+git.3-0.1", "libg++=0:1.0+b"); !strings.Contains(out, "Inst xcat-server (4:2.17.0~rc1+git.3-0.1 xcrate:repodata [all])") {
		t.Errorf("apt says\n%s", out)
	}
	// Another snapshot at the same place, with older packages.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	debRepo(t, dir, func(dir string) { makeDeb(t, dir, madeDeb{name: "older", version: "1"}) })
	get("update")
	get("download", "older=1")
}
