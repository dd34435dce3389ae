package pkgmgr

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
)

func TestRepoFile(t *testing.T) {
	dir := yumRepo(t)
	url := serve(t, http.StripPrefix("/rh9/x86_64", files(dir)))
	text := "# xCAT\n\n[main]\ncachedir=/var\n[off]\nenabled=0\nbaseurl=http://$nothing/\n[xcat-core]\r\nname = xCAT, core\nbaseurl = " +
		serve(t, http.NotFoundHandler()) + "/x,\n  " + url + "/rh$releasever/${basearch}/\nenabled=true\ngpgcheck=1\ngpgkey=https://me:hidden@one.example/key\n"
	repo := filepath.Join(t.TempDir(), "some.file")
	write(t, repo, []byte(text))
	vars := map[string]string{"releasever": "9", "basearch": "x86_64"}
	s := open(t, repo, SourceOptions{Vars: vars})
	wantAll(t, s, dir)
	signing := listedBy(t, s).Signing
	if len(signing) != 1 || fmt.Sprintf("%s %v %t %t", signing[0].Repo, signing[0].Keys, signing[0].Packages, signing[0].Metadata) != "xcat-core [https://one.example/key] true false" {
		t.Errorf("signing %v", signing)
	}
	web := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }))
	wantAll(t, open(t, web+"/xcat-core.repo", SourceOptions{Vars: vars}), dir)
}

func TestRepoFileErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"[a]\nbaseurl=http://one.example/$releasever\n", "section a: baseurl: variable $releasever"},
		{"[a]\nname=x\n", "section a: no baseurl"},
		{"[a]\nenabled=0\n", "no section that is enabled"},
		{"[a]\nenabled=maybe\n", "neither yes nor no"},
		{"[a]\nbaseurl=ftp://me:hidden@one.example/\n", "ftp://one.example/"},
		{"[a]\nbaseurl=https://one.example/\nsslverify=0\n", "sslverify=0"},
		{"[a]\nbaseurl=https://one.example/\nsslclientkey=/key\n", "sslclientkey=: not supported"},
		{"[a]\nbaseurl=https://one.example/\nsslcacert=/nowhere\n", "certificates /nowhere"},
		{"[a]\n[a]\n", "line 2: section"},
		{"[a]\nhidden\n", "line 2: not"},
		{"[a]\n hidden\n", "line 2: it continues nothing"},
	} {
		repo := filepath.Join(t.TempDir(), "x.repo")
		write(t, repo, []byte(tt.text))
		_, err := OpenSource(t.Context(), repo, SourceOptions{TempDir: t.TempDir()})
		wantError(t, err, tt.want, "!hidden")
	}
}
