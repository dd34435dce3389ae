package pkgmgr

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// aptRepo makes a repository as Debian's are laid out: suite jammy, components
// main, for amd64 and ppc64el, and extra, all indexed by apt-ftparchive.
func aptRepo(t *testing.T) string {
	t.Helper()
	need(t, "apt-ftparchive", "xz", "zstd", "bzip2")
	dir := t.TempDir()
	makeDeb(t, filepath.Join(dir, "pool/main"), madeDeb{name: "aa", version: "4:1.0~rc1-1", arch: "amd64", files: map[string]string{"/usr/share/aa": "a"}})
	makeDeb(t, filepath.Join(dir, "pool/main"), madeDeb{name: "aa", version: "4:1.0~rc1-1", arch: "ppc64el"})
	makeDeb(t, filepath.Join(dir, "pool/main"), madeDeb{name: "lib++", version: "1.10"})
	makeDeb(t, filepath.Join(dir, "pool/main"), madeDeb{name: "lib++", version: "1.9"})
	makeDeb(t, filepath.Join(dir, "pool/extra"), madeDeb{name: "extra", version: "1"})
	for _, i := range []string{"main amd64", "main ppc64el", "extra amd64"} {
		component, arch, _ := strings.Cut(i, " ")
		command(t, "sh", "-ec", `cd "$1" && mkdir -p "dists/jammy/$2/binary-$3" && apt-ftparchive --arch "$3" packages "pool/$2" >"dists/jammy/$2/binary-$3/Packages"
cd "dists/jammy/$2/binary-$3" && gzip -nk Packages && xz -k Packages`, "sh", dir, component, arch)
	}
	releaseFile(t, dir, "dists/jammy", "-o", "APT::FTPArchive::Release::Architectures=amd64 ppc64el")
	return dir
}

// releaseFile writes the Release file of a suite.
func releaseFile(t *testing.T, dir, suite string, options ...string) {
	t.Helper()
	args := append([]string{"-c", `cd "$1/$2" && shift 2 && rm -f Release InRelease Release.gpg && apt-ftparchive "$@" release . >../Release.new && mv ../Release.new Release`, "sh", dir, suite}, options...)
	command(t, "sh", args...)
}

func wantApt(t *testing.T, s Source, dir string, want ...string) Listing {
	t.Helper()
	l := listedBy(t, s)
	wantNEVRAs(t, l, want...)
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
		if files, _ := filepath.Glob(filepath.Join(dir, "pool/*", p.File)); err != nil || len(files) != 1 || !bytes.Equal(readFile(t, files[0]), got.Bytes()) {
			t.Errorf("%s: %d bytes, want those of %q (%v)", o.Where, got.Len(), files, err)
		}
		if o.Digest != p.Digest || o.Size != p.Size || FormatOf(o.Package) != Deb || o.File != p.File || !strings.HasSuffix(o.Where, "/"+p.File) {
			t.Errorf("offer %+v, file %+v", o, p)
		}
	}
	return l
}

// inMain is what main has for amd64.
func inMain() []string { return []string{"aa-4:1.0~rc1-1.amd64", "lib++-1.9.all", "lib++-1.10.all"} }

func debian() SourceOptions {
	return SourceOptions{Vars: map[string]string{"debarch": "amd64", "codename": "jammy"}}
}

func TestAptRepository(t *testing.T) {
	dir := aptRepo(t)
	url := serve(t, files(dir))
	list := filepath.Join(t.TempDir(), "some.file")
	write(t, list, []byte("# xCAT\n\ndeb [trusted=yes] "+url+"/ jammy main # core\ndeb-src "+url+" jammy main\n"))
	for _, where := range []string{
		"deb " + url + " jammy main", "deb [ trusted=yes  lang=en ] " + url + "/ jammy main", "deb file:" + dir + " jammy main",
		"deb\tcopy:" + dir + "\tjammy\tmain", url, url + "/", "file://" + dir, list,
	} {
		l := wantApt(t, open(t, where, debian()), dir, inMain()...)
		if len(l.Signing) != 1 || !reflect.DeepEqual(l.Signing[0].Found, Signature{State: NotSigned}) || l.Signing[0].Metadata == strings.Contains(where, "trusted") && where != list {
			t.Errorf("%s: signing %+v", where, l.Signing)
		}
	}
	web := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "Types: deb deb-src\nURIs: %s\nSuites: jammy\nComponents: main extra\nArchitectures: ppc64el amd64\n", url)
	}))
	l := wantApt(t, open(t, web+"/xcat.sources", debian()), dir, "aa-4:1.0~rc1-1.amd64", "aa-4:1.0~rc1-1.ppc64el", "extra-1.all", "lib++-1.9.all", "lib++-1.10.all")
	if len(l.LeftOut) != 0 {
		t.Errorf("left out %v", l.LeftOut)
	}
	wantApt(t, open(t, "deb "+url+" jammy main", SourceOptions{}), dir, "aa-4:1.0~rc1-1.amd64", "aa-4:1.0~rc1-1.ppc64el", "lib++-1.9.all", "lib++-1.10.all")
	wantApt(t, open(t, "deb [arch-=amd64 arch+=ppc64el] "+url+" jammy main", debian()), dir, append(inMain()[:1:1], append([]string{"aa-4:1.0~rc1-1.ppc64el"}, inMain()[1:]...)...)...)
	l = wantApt(t, open(t, "deb "+url+" jammy main none", debian()), dir, inMain()...)
	if len(l.LeftOut) != 1 || l.LeftOut[0].What != "component none" {
		t.Errorf("left out %v", l.LeftOut)
	}
	// An index of "all" apart, as Debian has it beside the others, and without.
	command(t, "sh", "-ec", `cd "$1" && mkdir -p dists/jammy/main/binary-all && apt-ftparchive --arch all packages pool >dists/jammy/main/binary-all/Packages`, "sh", dir)
	releaseFile(t, dir, "dists/jammy")
	wantApt(t, open(t, "deb "+url+" jammy main", debian()), dir, append(inMain()[:1:1], append([]string{"extra-1.all"}, inMain()[1:]...)...)...)
	release := filepath.Join(dir, "dists/jammy/Release")
	write(t, release, append([]byte("No-Support-for-Architecture-all: Packages\n"), readFile(t, release)...))
	wantApt(t, open(t, "deb "+url+" jammy main", debian()), dir, inMain()...)
	_, err := open(t, "deb "+url+" jammy none", debian()).List(t.Context())
	wantError(t, err, url+" jammy", "no index of none for all, amd64")
}

// TestAptIndexes has one form of the index, each in turn, by its name and by its
// digest.
func TestAptIndexes(t *testing.T) {
	dir := aptRepo(t)
	index := filepath.Join(dir, "dists/jammy/main/binary-amd64")
	plain := readFile(t, filepath.Join(index, "Packages"))
	for _, packer := range []string{"xz", "gzip", "bzip2", "zstd -q --rm", "cat", "xz by-hash"} {
		command(t, "sh", "-c", `rm -rf "$1"/*`, "sh", index)
		write(t, filepath.Join(index, "Packages"), plain)
		program, byHash := strings.CutSuffix(packer, " by-hash")
		if program != "cat" {
			command(t, "sh", "-c", `cd "$1" && `+program+" -k Packages", "sh", index)
		}
		options := []string{"-o", "APT::FTPArchive::Release::Acquire-By-Hash=" + fmt.Sprint(byHash), "-o", "APT::FTPArchive::SHA512=no"}
		releaseFile(t, dir, "dists/jammy", options...)
		if program != "cat" {
			command(t, "rm", filepath.Join(index, "Packages")) // listed all the same, as Debian does
		}
		if byHash {
			command(t, "sh", "-ec", `cd "$1" && mkdir -p by-hash/SHA256 && mv Packages.xz "by-hash/SHA256/$(sha256sum <Packages.xz | cut -c 1-64)"`, "sh", index)
		}
		t.Run(packer, func(t *testing.T) {
			wantApt(t, open(t, "deb "+serve(t, files(dir))+" jammy main", debian()), dir, inMain()...)
		})
	}
}

// TestAptFlat has flat repositories: one that dpkg-scanpackages made and nothing
// vouches for, one with a Release file, and ours of a snapshot.
func TestAptFlat(t *testing.T) {
	need(t, "dpkg-scanpackages", "apt-ftparchive")
	dir := t.TempDir()
	makeDeb(t, filepath.Join(dir, "pool/x"), madeDeb{name: "aa", version: "1", arch: "amd64"})
	makeDeb(t, filepath.Join(dir, "pool/x"), madeDeb{name: "bb", version: "1", arch: "i386"})
	command(t, "mv", filepath.Join(dir, "pool/x/aa_1_amd64.deb"), filepath.Join(dir, "pool/x/aa_1%3a2 b_amd64.deb"))
	command(t, "sh", "-c", `cd "$1" && dpkg-scanpackages --multiversion . >Packages 2>/dev/null && sed -i 's|^Filename: ./|Filename: |' Packages && mkdir idx && cp Packages idx`, "sh", dir)
	releaseFile(t, dir, "idx")
	command(t, "gzip", filepath.Join(dir, "Packages"))
	url := serve(t, files(dir))
	for _, where := range []string{url, "deb " + url + " ./", "deb " + url + " /", "deb " + url + " idx/", "deb file:" + dir + " idx/"} {
		s := open(t, where, debian())
		l := listedBy(t, s)
		wantNEVRAs(t, l, "aa-1.amd64")
		if len(l.LeftOut) != 1 || l.LeftOut[0].What != "1 debs for other systems" || !strings.Contains(l.LeftOut[0].Reason, "i386") {
			t.Errorf("left out %v", l.LeftOut)
		}
		if _, err := s.Fetch(t.Context(), l.Offers[0]); err != nil {
			t.Error(err)
		}
	}
	ours := t.TempDir()
	debRepo(t, ours, func(dir string) { makeDebs(t, dir) })
	s := open(t, "deb [trusted=yes] file:"+ours+" repodata/", debian())
	l := listedBy(t, s)
	wantNEVRAs(t, l, "empty-1.all", "libg++-1.0+b.all", "xcat-2.17.0-snap1.amd64", "xcat-server-4:2.17.0~rc1+git.3-0.1.all")
	for _, o := range l.Offers {
		if _, err := s.Fetch(t.Context(), o); err != nil {
			t.Error(err)
		}
	}
}

// TestAptFaults has an index, or a package, that cannot be had as it should.
func TestAptFaults(t *testing.T) {
	const name, index = "pool/main/lib++_1.9_all.deb", "dists/jammy/main/binary-amd64/Packages.xz"
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		fetch bool
		want  []string
	}{
		{"absent", func(t *testing.T, dir string) { command(t, "rm", filepath.Join(dir, name)) }, true, []string{name}},
		{"truncated", func(t *testing.T, dir string) { command(t, "truncate", "-s", "-1", filepath.Join(dir, name)) }, true, []string{name, "stale metadata"}},
		{"longer", func(t *testing.T, dir string) { command(t, "truncate", "-s", "+1", filepath.Join(dir, name)) }, true, []string{name, "more than"}},
		{"flipped", func(t *testing.T, dir string) {
			b := readFile(t, filepath.Join(dir, name))
			b[len(b)-1] ^= 1
			write(t, filepath.Join(dir, name), b)
		}, true, []string{name, "sha256 digest", "stale metadata"}},
		{"no release", func(t *testing.T, dir string) { command(t, "rm", filepath.Join(dir, "dists/jammy/Release")) }, false, []string{"dists/jammy/Release"}},
		{"no index", func(t *testing.T, dir string) { command(t, "rm", "-r", filepath.Dir(filepath.Join(dir, index))) }, false, []string{"dists/jammy/main/binary-amd64/Packages"}},
		{"other index", func(t *testing.T, dir string) {
			command(t, "cp", filepath.Join(dir, "dists/jammy/extra/binary-amd64/Packages.xz"), filepath.Join(dir, index))
		}, false, []string{index, "stale metadata"}},
		{"weak", func(t *testing.T, dir string) {
			releaseFile(t, dir, "dists/jammy", "-o", "APT::FTPArchive::SHA256=no", "-o", "APT::FTPArchive::SHA512=no")
		}, false, []string{"dists/jammy/Release: no SHA256 or SHA512 digests"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := aptRepo(t)
			tt.spoil(t, dir)
			for _, where := range []string{serve(t, files(dir)), "file:" + dir} {
				temp := t.TempDir()
				o := debian()
				o.TempDir = temp
				s := open(t, "deb "+where+" jammy main", o)
				l, err := s.List(t.Context())
				if tt.fetch {
					_, err = s.Fetch(t.Context(), l.Offers[1])
					tt.want = append(tt.want, "package lib++-1.9.all")
				}
				wantError(t, err, append(tt.want, strings.TrimPrefix(where, "file:"))...)
				if kept, _ := filepath.Glob(filepath.Join(temp, "*/*")); len(kept) > 0 {
					t.Errorf("kept %q", kept)
				}
			}
		})
	}
}

// TestAptStale has a file that is another package than the index says, though of
// the digest it says.
func TestAptStale(t *testing.T) {
	dir := aptRepo(t)
	index := filepath.Join(dir, "dists/jammy/main/binary-amd64")
	command(t, "sh", "-c", `cd "$1" && rm Packages.* && sed -i 's/^Version: 1.9$/Version: 1.8/' Packages`, "sh", index)
	releaseFile(t, dir, "dists/jammy")
	s := open(t, "deb "+serve(t, files(dir))+" jammy main", debian())
	_, err := s.Fetch(t.Context(), listedBy(t, s).Offers[1])
	wantError(t, err, "package lib++-1.8.all", "the file holds lib++-1.9.all: stale metadata")
}

// TestAptServers has servers that stall, redirect, and want a login.
func TestAptServers(t *testing.T) {
	dir := aptRepo(t)
	free := make(chan struct{})
	stalls := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "Packages") {
			<-free
			return
		}
		files(dir).ServeHTTP(w, r)
	}))
	o := debian()
	o.Stall = 50 * time.Millisecond
	_, err := open(t, "deb "+stalls+" jammy main", o).List(t.Context())
	close(free)
	wantError(t, err, stalls+"/dists/jammy/main/binary-amd64/Packages.xz: no byte for 50ms")

	login := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "hidden" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		files(dir).ServeHTTP(w, r)
	}))
	l := wantApt(t, open(t, "deb "+strings.Replace(login, "//", "//me:hidden@", 1)+" jammy main", debian()), dir, inMain()...)
	if strings.Contains(l.Offers[0].Where+l.Signing[0].Repo, "hidden") {
		t.Errorf("listing %v", l)
	}
	_, err = open(t, "deb "+strings.Replace(login, "//", "//me:secret@", 1)+" jammy main", debian()).List(t.Context())
	wantError(t, err, login+"/dists/jammy/InRelease: 401", "!secret")

	plain := serve(t, files(dir))
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, plain+r.URL.Path, http.StatusFound) }))
	t.Cleanup(s.Close)
	o = debian()
	o.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	write(t, o.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	_, err = open(t, "deb "+s.URL+" jammy main", o).List(t.Context())
	wantError(t, err, "redirect from https to "+plain)

	gone := serve(t, http.NotFoundHandler())
	_, err = open(t, gone, debian()).List(t.Context())
	wantError(t, err, gone+"/repodata/repomd.xml: 404", "no Release file of apt")
}

// TestAptGuessed takes a repository of which a part is missing for what it is.
func TestAptGuessed(t *testing.T) {
	dir := aptRepo(t)
	command(t, "rm", "-r", filepath.Join(dir, "dists/jammy/main/binary-amd64"))
	_, err := open(t, serve(t, files(dir)), debian()).List(t.Context())
	wantError(t, err, "dists/jammy/main/binary-amd64/Packages", "!repomd")
	yum := yumRepo(t)
	command(t, "sh", "-c", `rm "$1"/repodata/primary*`, "sh", yum)
	_, err = open(t, serve(t, files(yum)), debian()).List(t.Context())
	wantError(t, err, "primary.xml.gz: 404", "!apt")
}

func sign(t *testing.T, home, dir string, detached bool) {
	t.Helper()
	gpg := []string{"--homedir", home, "--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""}
	release := filepath.Join(dir, "dists/jammy/Release")
	if detached {
		command(t, "gpg", append(gpg, "--armor", "--detach-sign", "-o", release+".gpg", release)...)
		return
	}
	command(t, "gpg", append(gpg, "--clearsign", "-o", filepath.Join(dir, "dists/jammy/InRelease"), release)...)
}

// TestAptSigned checks signatures that GnuPG made, of both forms.
func TestAptSigned(t *testing.T) {
	home, public := gpgHome(t, "Archive <a@example.com>", "rsa2048", "sign", "never")
	_, other := gpgHome(t, "Other <o@example.com>", "ed25519", "sign", "never")
	for _, detached := range []bool{false, true} {
		t.Run(fmt.Sprintf("detached %t", detached), func(t *testing.T) {
			dir := aptRepo(t)
			sign(t, home, dir, detached)
			url := serve(t, files(dir))
			signing := func(keys *Keyring) Signing {
				t.Helper()
				o := debian()
				o.Keys = keys
				return wantApt(t, open(t, "deb [signed-by=/k.gpg,ABCD] "+url+" jammy main", o), dir, inMain()...).Signing[0]
			}
			right, wrong := keyring(t, public), keyring(t, other)
			got := signing(&right)
			if s := got.Found; s.State != Verified || s.Signer != "Archive <a@example.com>" || s.KeyFrom != "test" || len(s.KeyID) != 16 || !got.Metadata || !slices.Equal(got.Keys, []string{"/k.gpg", "ABCD"}) || got.Repo != url+" jammy" {
				t.Errorf("%+v", got)
			}
			if s := signing(&wrong).Found; s.State != UnknownKey || s.KeyID != got.Found.KeyID || s.Signer != "" {
				t.Errorf("another key: %+v", s)
			}
			if s := signing(nil).Found; s.State != Unchecked || s.KeyID != got.Found.KeyID || s.Why == "" {
				t.Errorf("no keys: %+v", s)
			}
			file := filepath.Join(dir, "dists/jammy/InRelease")
			if detached {
				file = filepath.Join(dir, "dists/jammy/Release")
			}
			signed := readFile(t, file)
			o := debian()
			o.Keys = &right
			fails := func(b []byte, want string) {
				t.Helper()
				write(t, file, b)
				_, err := open(t, "deb "+url+" jammy main", o).List(t.Context())
				wantError(t, err, want, "dists/jammy/")
			}
			fails(bytes.Replace(signed, []byte("amd64"), []byte("amd46"), 1), "signature of key "+got.Found.KeyID)
			if !detached {
				fails(append([]byte("Suite: x\n"), signed...), "no signed message")
				fails(append(signed[:len(signed):len(signed)], "\nSuite: x\n"...), "text after")
				fails([]byte("<html>Hello</html>"), "no signed message")
			}
		})
	}
}

// TestAptExpired refuses a Release file that was to be replaced.
func TestAptExpired(t *testing.T) {
	dir := aptRepo(t)
	until := time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)
	release := filepath.Join(dir, "dists/jammy/Release")
	write(t, release, append([]byte("Valid-Until: "+until.Format("Mon, 02 Jan 2006 15:04:05 UTC")+"\n"), readFile(t, release)...))
	where := "file:" + dir + " jammy main"
	for _, tt := range []struct {
		where string
		now   time.Time
		ok    bool
	}{
		{"deb " + where, time.Time{}, true},
		{"deb " + where, until.Add(-time.Hour), true},
		{"deb " + where, until.Add(time.Hour), false},
		{"deb [check-valid-until=no] " + where, until.Add(time.Hour), true},
	} {
		o := debian()
		o.Now = tt.now
		_, err := open(t, tt.where, o).List(t.Context())
		if tt.ok && err != nil {
			t.Errorf("%s at %s: %v", tt.where, tt.now, err)
		}
		if !tt.ok {
			wantError(t, err, "dists/jammy/Release: valid until Sat, 03 Feb 2024 04:05:06 UTC")
		}
	}
}

// TestAptHostile has an index that was made to harm.
func TestAptHostile(t *testing.T) {
	const pkg = "Package: aa\nVersion: 1\nArchitecture: all\nFilename: a.deb\nSize: 1\nSHA256: %064d\n"
	good := fmt.Sprintf(pkg, 0)
	for _, tt := range []struct{ name, index, want string }{
		{"harmless", good, ""},
		{"dots", strings.Replace(good, "a.deb", "../../etc/passwd", 1), "leads out of the repository"},
		{"absolute", strings.Replace(good, "a.deb", "/etc/passwd", 1), "leads out of the repository"},
		{"none", strings.Replace(good, "a.deb", "", 1), "leads out of the repository"},
		{"name", strings.Replace(good, "aa", "-a", 1), "not one a package can have"},
		{"weak", strings.Replace(good, "SHA256", "SHA1", 1), "no SHA256 or SHA512"},
		{"digest", strings.Replace(good, "SHA256: 0", "SHA256: x", 1), "it is none"},
		{"size", strings.Replace(good, "Size: 1", "Size: -1", 1), `size "-1"`},
		{"long", "Package: " + strings.Repeat("a", maxParagraph+1<<17), "more than"},
		{"no field", "<html>\n", "no field"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			where := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/Packages" {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				_, _ = w.Write([]byte(tt.index))
			}))
			l, err := open(t, "deb "+where+" ./", debian()).List(t.Context())
			if tt.want == "" {
				if err != nil || len(l.Offers) != 1 {
					t.Errorf("%d offers, %v", len(l.Offers), err)
				}
				return
			}
			wantError(t, err, tt.want, "repository "+where)
		})
	}
	for text, want := range map[string]string{
		"": "it is empty", "SHA256:\n 00 1 Packages\n": "it is none", "SHA256:\n x -1 Packages\n": "size", "Suite: x\n": "no SHA256",
		fmt.Sprintf("SHA256:\n %064d 1 ../Packages\n", 0): "leads out",
	} {
		_, err := parseRelease([]byte(text))
		wantError(t, err, want)
	}
}
