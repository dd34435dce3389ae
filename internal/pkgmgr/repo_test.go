package pkgmgr

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// yumRepo makes a repository of three packages with createrepo_c.
func yumRepo(t *testing.T, args ...string) string {
	t.Helper()
	need(t, "createrepo_c")
	dir := t.TempDir()
	one := meta("a", "1", "1")
	one.Epoch = 4
	pack(t, dir, packed{RPMMetaData: one, files: map[string]string{"/etc/a": "a"}})
	pack(t, dir, packed{RPMMetaData: meta("b", "1.10~rc1", "1")})
	pack(t, dir, packed{RPMMetaData: meta("b+", "1.9", "1")})
	createrepo(t, dir, args...)
	return dir
}

func createrepo(t *testing.T, dir string, args ...string) {
	t.Helper()
	command(t, "createrepo_c", append([]string{"--quiet", "--simple-md-filenames", dir}, args...)...)
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func files(dir string) http.Handler { return http.FileServer(http.Dir(dir)) }

func wantAll(t *testing.T, s Source, dir string) {
	t.Helper()
	l := listedBy(t, s)
	wantNEVRAs(t, l, "a-4:1-1.noarch", "b-1.10~rc1-1.noarch", "b+-1.9-1.noarch")
	fetched(t, s, l, dir)
}

func TestRepository(t *testing.T) {
	for _, args := range [][]string{
		{"--general-compress-type=gz"},
		{"--general-compress-type=xz"},
		{"--general-compress-type=bz2"},
		{"--checksum=sha512"},
		{"--checksum=sha1"},
	} {
		t.Run(args[0], func(t *testing.T) {
			dir := yumRepo(t, args...)
			wantAll(t, open(t, serve(t, files(dir)), SourceOptions{}), dir)
			wantAll(t, open(t, "file://"+dir, SourceOptions{}), dir)
		})
	}
}

// TestRepositoryPacked has the list packed as newer createrepo_c do, and not at
// all.
func TestRepositoryPacked(t *testing.T) {
	need(t, "zcat", "zstd")
	for _, packer := range []string{"zstd", "zstd --ultra -22 --long=27", "cat"} {
		dir := yumRepo(t)
		command(t, "sh", "-c", `cd "$1/repodata" && zcat primary.xml.gz | `+packer+` >primary && rm *.gz *.bz2`, "sh", dir)
		b, err := os.ReadFile(filepath.Join(dir, "repodata/primary"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "repodata/repomd.xml"), fmt.Appendf(nil, `<repomd><data type="other"/><data type="primary">`+
			`<checksum type="sha256">%x</checksum><location href="repodata/primary"/><size>%d</size></data></repomd>`, sha256.Sum256(b), len(b)))
		wantAll(t, open(t, serve(t, files(dir)), SourceOptions{}), dir)
		write(t, filepath.Join(dir, "repodata/primary"), append(b[:len(b)-1:len(b)-1], b[len(b)-1]^1))
		_, err = open(t, serve(t, files(dir)), SourceOptions{}).List(t.Context())
		wantError(t, err, "repodata/primary: sha256 digest", "stale metadata")
	}
}

// TestRepositoryTLS trusts who the CA file names, and nobody else.
func TestRepositoryTLS(t *testing.T) {
	dir := yumRepo(t)
	s := httptest.NewTLSServer(files(dir))
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	wantAll(t, open(t, s.URL+"/", SourceOptions{CAFile: ca}), dir)
	_, err := open(t, s.URL, SourceOptions{}).List(t.Context())
	wantError(t, err, s.URL+"/repodata/repomd.xml", "certificate")
	write(t, ca, []byte("none"))
	_, err = OpenSource(t.Context(), s.URL, SourceOptions{CAFile: ca})
	wantError(t, err, ca, "no certificate")
}

// TestRepositoryRedirect follows a server elsewhere, but not out of TLS.
func TestRepositoryRedirect(t *testing.T) {
	dir := yumRepo(t)
	plain := serve(t, files(dir))
	to := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain+r.URL.Path+"?token=hidden", http.StatusFound)
	})
	wantAll(t, open(t, serve(t, to), SourceOptions{}), dir)
	s := httptest.NewTLSServer(to)
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	_, err := open(t, s.URL, SourceOptions{CAFile: ca}).List(t.Context())
	wantError(t, err, "redirect from https to "+plain, "!hidden")
}

// TestRepositoryFaults has one package that cannot be had as it should.
func TestRepositoryFaults(t *testing.T) {
	const name = "a-1-1.noarch.rpm"
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  []string
	}{
		{"absent", func(t *testing.T, dir string) { command(t, "rm", filepath.Join(dir, name)) }, []string{name}},
		{"truncated", func(t *testing.T, dir string) { command(t, "truncate", "-s", "-1", filepath.Join(dir, name)) }, []string{name, "the metadata says", "stale"}},
		{"longer", func(t *testing.T, dir string) { command(t, "truncate", "-s", "+1", filepath.Join(dir, name)) }, []string{name, "more than"}},
		{"flipped", func(t *testing.T, dir string) {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)-1] ^= 1
			write(t, filepath.Join(dir, name), b)
		}, []string{name, "sha256 digest", "stale"}},
		{"rebuilt", func(t *testing.T, dir string) {
			pack(t, dir, packed{RPMMetaData: meta("a", "1", "1")})
		}, []string{name, "the metadata says", "stale"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := yumRepo(t)
			tt.spoil(t, dir)
			for _, where := range []string{serve(t, files(dir)), "file://" + dir} {
				temp := t.TempDir()
				s := open(t, where, SourceOptions{TempDir: temp})
				_, err := s.Fetch(t.Context(), listedBy(t, s).Offers[0])
				wantError(t, err, append(tt.want, "package a-4:1-1.noarch", where)...)
				if kept, _ := filepath.Glob(filepath.Join(temp, "*/*")); len(kept) > 0 {
					t.Errorf("kept %q", kept)
				}
			}
		})
	}
}

// TestRepositoryNotFound names the file that is not there, and what is said.
func TestRepositoryNotFound(t *testing.T) {
	url := serve(t, http.NotFoundHandler())
	where := strings.Replace(url, "//", "//me:hidden@", 1) + "/repo"
	_, err := open(t, where, SourceOptions{}).List(t.Context())
	wantError(t, err, url+"/repo/repodata/repomd.xml: 404 Not Found", "!hidden", "!me")
	_, err = OpenSource(t.Context(), "ftp://me:hidden@one.example/", SourceOptions{})
	wantError(t, err, "ftp://one.example/", "neither", "!hidden")
	_, err = OpenSource(t.Context(), "http://me:hid den@one.example/%zz", SourceOptions{})
	wantError(t, err, "!den")
}

// TestRepositoryLogin sends the credentials of the URL.
func TestRepositoryLogin(t *testing.T) {
	dir := yumRepo(t)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "hidden" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		files(dir).ServeHTTP(w, r)
	}))
	l := listedBy(t, open(t, strings.Replace(url, "//", "//me:hidden@", 1), SourceOptions{}))
	if len(l.Offers) != 3 || strings.Contains(l.Offers[0].Where, "hidden") {
		t.Errorf("offers %v", l.Offers)
	}
	repo := filepath.Join(t.TempDir(), "x.repo")
	write(t, repo, []byte("[x]\nbaseurl="+url+"\nusername=me\npassword=hidden\n"))
	wantAll(t, open(t, repo, SourceOptions{}), dir)
	write(t, repo, []byte("[x]\nbaseurl="+url+"\nusername=me\npassword=other\n"))
	_, err := open(t, repo, SourceOptions{}).List(t.Context())
	wantError(t, err, "401 Unauthorized", "!other")
}

// TestRepositoryStall ends what a server does not: before its answer and amid it.
func TestRepositoryStall(t *testing.T) {
	for _, amid := range []bool{false, true} {
		free := make(chan struct{})
		url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if amid {
				_, _ = w.Write([]byte("<?xml"))
				_ = http.NewResponseController(w).Flush()
			}
			<-free
		}))
		_, err := open(t, url, SourceOptions{Stall: 20 * time.Millisecond}).List(t.Context())
		close(free)
		wantError(t, err, url+"/repodata/repomd.xml: no byte for 20ms")
	}
}

// TestRepositoryMirrors takes each file from the first mirror that has it.
func TestRepositoryMirrors(t *testing.T) {
	dir := yumRepo(t)
	calls := map[string]int{}
	flaky := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls[r.URL.Path]++; calls[r.URL.Path] == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		files(dir).ServeHTTP(w, r)
	}))
	wantAll(t, open(t, flaky, SourceOptions{}), dir)

	web := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>Hello</html>")) }))
	good, gone := serve(t, files(dir)), serve(t, http.NotFoundHandler())
	list := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# repo = x\n\nrsync://one.example/\n%s/\n%s\n%s/$basearch/..\n", gone, web, good)
	}))
	s := open(t, list+"/mirrorlist?repo=x", SourceOptions{Vars: map[string]string{"basearch": "x86_64"}})
	wantAll(t, s, dir)
	for _, bad := range []string{"", "file:///etc\n", "hello\n", "ftp://one.example/\n"} {
		list := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(bad)) }))
		_, err := open(t, list+"/mirrorlist", SourceOptions{}).List(t.Context())
		wantError(t, err, list+"/mirrorlist: ", "mirror")
	}
}

const metalinkText = `<?xml version="1.0" encoding="utf-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" type="dynamic" generator="mirrormanager" xmlns:mm0="http://fedorahosted.org/mirrormanager">
 <files>
  <file name="repomd.xml">
   <mm0:timestamp>1700000000</mm0:timestamp>
   <size>1500</size>
   <verification><hash type="md5">00</hash><hash type="sha256">%064d</hash></verification>
   <mm0:alternates><mm0:alternate><verification><hash type="sha256">%s</hash></verification></mm0:alternate></mm0:alternates>
   <resources maxconnections="1">
    <url protocol="rsync" type="rsync" location="DE" preference="100">rsync://one.example/repodata/repomd.xml</url>
    <url protocol="http" type="http" location="DE" preference="90">%s/repodata/repomd.xml</url>
    <url protocol="http" type="http" location="DE" preference="100">%s/repodata/repomd.xml</url>
   </resources>
  </file>
 </files>
</metalink>
`

// TestMetalink passes over a mirror whose metadata is not the one it names.
func TestMetalink(t *testing.T) {
	dir, other := yumRepo(t), yumRepo(t, "--checksum=sha512")
	b, err := os.ReadFile(filepath.Join(dir, "repodata/repomd.xml"))
	if err != nil {
		t.Fatal(err)
	}
	good, stale := serve(t, files(dir)), serve(t, files(other))
	for _, tt := range []struct {
		first, second string
		ok            bool
	}{{good, stale, true}, {stale, good, true}, {stale, stale, false}} {
		list := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, metalinkText, 0, fmt.Sprintf("%x", sha256.Sum256(b)), tt.second, tt.first)
		}))
		s := open(t, list+"/metalink?repo=x", SourceOptions{})
		if tt.ok {
			wantAll(t, s, dir)
			continue
		}
		_, err := s.List(t.Context())
		wantError(t, err, stale+"/repodata/repomd.xml", "stale mirror")
	}
}

// TestRepositoryHostile has metadata that was made to harm.
func TestRepositoryHostile(t *testing.T) {
	const pkg = `<package type="rpm"><name>%s</name><arch>noarch</arch><version epoch="0" ver="1" rel="1"/>` +
		`<checksum type="sha256" pkgid="YES">%064d</checksum><size package="1"/><location %s/></package>`
	bomb := strings.Repeat(" ", maxPrimaryPackage)
	for _, tt := range []struct{ name, primary, want string }{
		{"dots", fmt.Sprintf(pkg, "a", 0, `href="../../etc/passwd"`), "leads out of the repository"},
		{"inner dots", fmt.Sprintf(pkg, "a", 0, `href="a/../../etc/passwd"`), "leads out of the repository"},
		{"escaped dots", fmt.Sprintf(pkg, "a", 0, `href="%2e%2e/%2e%2e/etc/passwd"`), "leads out of the repository"},
		{"absolute", fmt.Sprintf(pkg, "a", 0, `href="/etc/passwd"`), "leads out of the repository"},
		{"none", fmt.Sprintf(pkg, "a", 0, ``), "leads out of the repository"},
		{"name", fmt.Sprintf(pkg, "../a", 0, `href="a.rpm"`), "not one a package can have"},
		{"bomb", fmt.Sprintf(pkg, bomb, 0, `href="a.rpm"`), "more than"},
		{"space", bomb, "more than"},
		{"open", `<package type="rpm">`, "syntax error"},
		{"md5", strings.Replace(fmt.Sprintf(pkg, "a", 0, `href="a.rpm"`), `"sha256"`, `"md5"`, 1), `digest of algorithm "md5"`},
		{"harmless", fmt.Sprintf(pkg, "a", 0, `href="a.rpm"`), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			where := serve(t, onePrimary(t, "<metadata>"+tt.primary+"</metadata>", "repodata/primary.xml.gz"))
			l, err := open(t, where, SourceOptions{}).List(t.Context())
			if tt.want == "" {
				if err != nil || len(l.Offers) != 1 {
					t.Errorf("%d offers, %v", len(l.Offers), err)
				}
				return
			}
			wantError(t, err, tt.want, "repository "+where)
		})
	}
	for _, loc := range []string{"../primary.xml.gz", "/etc/passwd"} {
		_, err := open(t, serve(t, onePrimary(t, "<metadata/>", loc)), SourceOptions{}).List(t.Context())
		wantError(t, err, "leads out of the repository")
	}
	_, err := open(t, serve(t, onePrimary(t, "", "repodata/primary.xml.gz")), SourceOptions{}).List(t.Context())
	wantError(t, err, "EOF")
	l := listedBy(t, open(t, serve(t, onePrimary(t, "<metadata>"+fmt.Sprintf(pkg, "a", 0, `xml:base="file:///etc" href="a.rpm"`)+"</metadata>", "repodata/primary.xml.gz")), SourceOptions{}))
	if len(l.Offers) != 0 || len(l.LeftOut) != 1 {
		t.Errorf("offers %v, left out %v", l.Offers, l.LeftOut)
	}
}

// onePrimary serves a repository with this primary list, said to be at loc.
func onePrimary(t *testing.T, primary, loc string) http.Handler {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(primary))
	_ = z.Close()
	sum := sha256.Sum256(b.Bytes())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "repomd.xml") {
			_, _ = w.Write(b.Bytes())
			return
		}
		fmt.Fprintf(w, `<repomd><data type="primary"><checksum type="sha256">%s</checksum><location href="%s"/></data></repomd>`, hex.EncodeToString(sum[:]), loc)
	})
}

// TestRepositoryOtherPackage has metadata that calls a file what it is not.
func TestRepositoryOtherPackage(t *testing.T) {
	b, err := os.ReadFile(pack(t, t.TempDir(), packed{RPMMetaData: meta("a", "1", "1")}))
	if err != nil {
		t.Fatal(err)
	}
	list := onePrimary(t, fmt.Sprintf(`<metadata><package type="rpm"><name>b</name><arch>noarch</arch><version epoch="0" ver="1" rel="1"/>`+
		`<checksum type="sha256">%x</checksum><location href="b.rpm"/></package></metadata>`, sha256.Sum256(b)), "repodata/primary.xml.gz")
	s := open(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "b.rpm") {
			_, _ = w.Write(b)
			return
		}
		list.ServeHTTP(w, r)
	})), SourceOptions{})
	_, err = s.Fetch(t.Context(), listedBy(t, s).Offers[0])
	wantError(t, err, "package b-1-1.noarch", "the file holds a-1-1.noarch")
}

// TestMirrorLogin keeps the credentials of a mirror list from other servers.
func TestMirrorLogin(t *testing.T) {
	dir := yumRepo(t)
	sent := 0
	other := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			sent++
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "hidden" {
			w.WriteHeader(http.StatusUnauthorized)
		} else if r.URL.Path == "/mirrorlist" {
			fmt.Fprintf(w, "%s\nhttp://%s/\n", other, r.Host)
		} else {
			files(dir).ServeHTTP(w, r)
		}
	}))
	wantAll(t, open(t, strings.Replace(url, "//", "//me:hidden@", 1)+"/mirrorlist", SourceOptions{}), dir)
	if sent > 0 {
		t.Errorf("credentials sent to another server %d times", sent)
	}
}
