package pkgmgr

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// configuredIn reads the repositories of a root that has these files.
func configuredIn(t *testing.T, root *host.Root, files map[string]string) []Configured {
	t.Helper()
	for name, content := range files {
		write(t, root.Path(name), []byte(content))
	}
	vars, err := RepoVars(root, artifact.Host{Arch: "x86_64", Distro: artifact.Distro{ID: "rocky", Version: "9.6"}})
	if err != nil {
		t.Fatal(err)
	}
	all, err := ReadConfigured(root, vars)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestReadConfigured(t *testing.T) {
	root := openRoot(t, t.TempDir())
	all := configuredIn(t, root, map[string]string{
		"/etc/dnf/vars/rltype":      "",
		"/etc/dnf/vars/contentdir":  "pub/rocky\nnot this\n",
		"/etc/yum/vars/contentdir":  "old",
		"/etc/yum.repos.d/none":     "[none]\nbaseurl=http://h/\n",
		"/etc/yum.repos.d/bad.repo": "password=CANARY\n",
		"/etc/yum.repos.d/rocky.repo": "[main]\nkeepcache=1\n[baseos]\nmirrorlist=https://m/list?repo=BaseOS-$releasever$rltype&arch=$basearch\n" +
			"gpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/KEY\n\tfile:///srv/key http://h/key\n" +
			"[off]\nenabled=0\nbaseurl=http://off/\n[stream]\nbaseurl=http://h/$stream/\n[odd]\nenabled=maybe\n",
		"/etc/yum.repos.d/rhel.repo":     "[cdn]\nbaseurl=https://user:CANARY@cdn/$contentdir/${releasever_minor}\nsslclientcert=/etc/pki/1.pem\n",
		"/etc/yum.repos.d/xCAT.repo":     "[core]\nbaseurl=file:///srv/xcat file:///srv/two\ngpgkey=file:///srv/xcat/key\n[half]\nbaseurl=file:///a http://h/\n",
		"/etc/zypp/repos.d/z.repo":       "[z]\nbaseurl=dir:///iso\npath=/Module\n[disc]\nbaseurl=cd:///?devices=/dev/sr0\n",
		"/etc/apt/sources.list":          "# deb http://off/ x main\ndeb [trusted=yes arch=amd64] file:/srv/deb ./\n",
		"/etc/apt/sources.list.d/a.list": "deb http://user:CANARY@h/ubuntu noble main\n",
	})
	var got []string
	for _, c := range all {
		err := ""
		if c.Err != nil {
			err = " " + c.Err.Error()
		}
		got = append(got, fmt.Sprintf("%s %s local=%v keys=%s%s", c, c.URLs, c.Local, c.KeyFiles, err))
	}
	want := []string{
		`repository bad.repo (/etc/yum.repos.d/bad.repo) [] local=false keys=[] line 1: not in a section`,
		`repository cdn (/etc/yum.repos.d/rhel.repo) [] local=false keys=[] sslclientcert=: not supported`,
		`repository baseos (/etc/yum.repos.d/rocky.repo) [https://m/list?...] local=false keys=[/etc/pki/rpm-gpg/KEY /srv/key]`,
		`repository stream (/etc/yum.repos.d/rocky.repo) [] local=false keys=[] baseurl: variable $stream: it has no value here`,
		`repository odd (/etc/yum.repos.d/rocky.repo) [] local=false keys=[] enabled="maybe": neither yes nor no`,
		`repository core (/etc/yum.repos.d/xCAT.repo) [file:///srv/xcat file:///srv/two] local=true keys=[]`,
		`repository half (/etc/yum.repos.d/xCAT.repo) [file:///a http://h/] local=false keys=[]`,
		`repository z (/etc/zypp/repos.d/z.repo) [file:///iso/Module] local=true keys=[]`,
		`repository disc (/etc/zypp/repos.d/z.repo) [] local=false keys=[] baseurl: URL cd:///?...: neither http, https nor file`,
		`repository file:///srv/deb ./ (/etc/apt/sources.list) [file:///srv/deb] local=true keys=[]`,
		`repository http://h/ubuntu noble main (/etc/apt/sources.list.d/a.list) [http://h/ubuntu] local=false keys=[]`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if vars, err := RepoVars(root, artifact.Host{}); err != nil || vars["contentdir"] != "pub/rocky" {
		t.Errorf("contentdir %q, %v", vars["contentdir"], err)
	}
	for _, c := range all {
		if want := strings.Contains(c.File, "xCAT"); c.Mentions("xcat") != want {
			t.Errorf("%s mentions xcat: %v", c, !want)
		}
	}
	if none := configuredIn(t, openRoot(t, t.TempDir()), nil); len(none) > 0 {
		t.Errorf("a root without any: %v", none)
	}
}

// TestReleasever has the versions package managers of each family put into URLs.
func TestReleasever(t *testing.T) {
	root := openRoot(t, t.TempDir())
	for distro, want := range map[artifact.Distro]string{
		{ID: "rocky", Like: "rhel centos fedora", Version: "9.6"}: "9", {ID: "fedora", Version: "41"}: "41",
		{ID: "sles", Version: "15.6"}: "15.6", {ID: "opensuse-leap", Like: "suse opensuse", Version: "15.6"}: "15.6",
	} {
		vars, err := RepoVars(root, artifact.Host{Arch: "x86_64", Distro: distro})
		if err != nil || vars["releasever"] != want {
			t.Errorf("%s: releasever %q, %v, want %q", distro.ID, vars["releasever"], err, want)
		}
	}
}

// TestConfiguredInRoot opens repositories whose paths, symlinks and certificates
// are those of the root, not of this machine.
func TestConfiguredInRoot(t *testing.T) {
	root := openRoot(t, t.TempDir())
	repo := yumRepo(t)
	command(t, "cp", "-a", repo, root.Path("/data"))
	for link, target := range map[string]string{"/link": "/data", "/plain.rpms": "/data"} {
		if err := os.Symlink(target, root.Path(link)); err != nil {
			t.Fatal(err)
		}
	}
	pack(t, root.Path("/flat/deep"), packed{RPMMetaData: meta("c", "1", "1")})
	server := httptest.NewTLSServer(files(repo))
	t.Cleanup(server.Close)
	write(t, root.Path("/etc/ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	all := configuredIn(t, root, map[string]string{"/etc/yum.repos.d/x.repo": "[link]\nbaseurl=file:///link\n" +
		"[tls]\nbaseurl=" + server.URL + "\nsslcacert=/etc/ca.pem\n[flat]\nbaseurl=file:///flat\n[gone]\nbaseurl=file://" + repo + "\n"})
	for i, name := range []string{"link", "tls"} {
		s := openConfigured(t, all[i], SourceOptions{Root: root})
		if all[i].Name != name {
			t.Fatalf("%s, want %s", all[i], name)
		}
		wantAll(t, s, repo)
	}
	wantNEVRAs(t, listedBy(t, openConfigured(t, all[2], SourceOptions{Root: root})), "c-1-1.noarch")
	_, err := openConfigured(t, all[3], SourceOptions{Root: root}).List(t.Context())
	wantError(t, err, "repository gone (/etc/yum.repos.d/x.repo)", repo, "no such file")
}

func openConfigured(t *testing.T, c Configured, o SourceOptions) Source {
	t.Helper()
	o.TempDir = t.TempDir()
	s, err := c.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestOnce asks a server that fails, and one that says nothing: each once, and
// not for long.
func TestOnce(t *testing.T) {
	asked := 0
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked++; w.WriteHeader(http.StatusBadGateway) }))
	_, err := open(t, url, SourceOptions{Once: true}).List(t.Context())
	wantError(t, err, "502 Bad Gateway")
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	asked = 0
	list := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(url+"\n", 9)) }))
	_, err = open(t, list+"/mirrorlist", SourceOptions{Once: true}).List(t.Context())
	wantError(t, err, "502 Bad Gateway")
	if asked != onceMirrors {
		t.Errorf("asked %d mirrors", asked)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	begin := time.Now()
	_, err = open(t, "https://"+silent.Addr().String(), SourceOptions{Once: true, Connect: 100 * time.Millisecond, Stall: time.Minute}).List(t.Context())
	wantError(t, err, "TLS handshake timeout")
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestConnect reaches for a server whose system drops what comes, as a firewall
// does: its queue of connections is full.
func TestConnect(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
	for full := false; !full; {
		c, err := net.DialTimeout("tcp", at, 200*time.Millisecond)
		if full = err != nil; !full {
			defer c.Close()
		}
	}
	begin := time.Now()
	_, err = open(t, "http://"+at, SourceOptions{Once: true, Connect: 200 * time.Millisecond, Stall: time.Minute}).List(t.Context())
	wantError(t, err, at, "i/o timeout")
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestWant has packages nobody wants: their files are not read whole, and not
// fetched.
func TestWant(t *testing.T) {
	dir := t.TempDir()
	pack(t, dir, packed{RPMMetaData: meta("a", "1", "1")})
	cut := pack(t, dir, packed{RPMMetaData: meta("b", "1", "1"), files: map[string]string{"/b": strings.Repeat("b", 9999)}})
	st, err := os.Stat(cut)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(cut, st.Size()-8); err != nil {
		t.Fatal(err)
	}
	only := func(name string) SourceOptions {
		return SourceOptions{Want: func(p artifact.Package) bool { return p.Name == name }}
	}
	wantNEVRAs(t, listedBy(t, open(t, dir, only("a"))), "a-1-1.noarch")
	_, err = open(t, dir, only("b")).List(t.Context())
	wantError(t, err, filepath.Base(cut), "truncated")
	o := only("b")
	o.Lenient = true
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling.rpm")); err != nil {
		t.Fatal(err)
	}
	l := listedBy(t, open(t, dir, o))
	wantNEVRAs(t, l)
	if said := fmt.Sprint(l.Damaged); len(l.Damaged) != 2 || !strings.Contains(said, "truncated") || !strings.Contains(said, "dangling.rpm") {
		t.Errorf("damaged: %s", said)
	}
	repo := yumRepo(t)
	wantNEVRAs(t, listedBy(t, open(t, "file://"+repo, only("b+"))), "b+-1.9-1.noarch")
}
