package pkgmgr

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
)

// TestAptScriptFails has a package whose script fails, which dpkg leaves half
// there, and one it takes along.
func TestAptScriptFails(t *testing.T) {
	root := debSystem(t)
	s := systems()["apt"]
	s.repository(t, root, distroDir, sample{name: "any", version: "1"})
	pkgs := s.repository(
		t, root, repoDir,
		sample{name: "good", version: "1"}, sample{name: "bad", version: "1", depends: "good", script: "exit 3"},
	)
	m := detect(t, root)
	before, err := m.Installed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if err := installFrom(t, root, m, Repo{Dir: repoDir}, Request{Packages: pkgs}, &log); err == nil {
		t.Fatal("no error")
	}
	if n := strings.Count(log.String(), "Setting up good"); n != 1 {
		t.Errorf("the script ran %d times\n%s", n, &log)
	}
	if root.Exists("/usr/sbin/policy-rc.d") {
		t.Error("the policy for services is left")
	}
	if err := m.Undo(t.Context(), before, &log); err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
	out := command(t, "chroot", root.Dir(), "dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n")
	for line := range strings.Lines(out) {
		if !strings.HasSuffix(line, " installed\n") {
			t.Errorf("left: %s", line)
		}
	}
	if after, err := m.Installed(t.Context()); err != nil || !slices.Equal(after, before) {
		t.Errorf("installed %q, was %q, %v", nevrasOf(after), nevrasOf(before), err)
	}
}

// TestAptOffline has a server that answered once, and offers what a package of
// the snapshot recommends.
func TestAptOffline(t *testing.T) {
	root := debSystem(t)
	s := systems()["apt"]
	s.repository(t, root, distroDir, sample{name: "nice", version: "1"})
	server := httptest.NewServer(http.FileServer(http.Dir(root.Path(distroDir))))
	write(t, root.Path("/etc/apt/sources.list"), []byte("deb [trusted=yes] "+server.URL+" repodata/\n"))
	command(t, "chroot", root.Dir(), "apt-get", "-qq", "update")
	server.Close()
	if got := command(t, "chroot", root.Dir(), "apt-cache", "pkgnames", "nice"); got == "" {
		t.Fatal("apt remembers nothing: the test shows nothing")
	}
	pkgs := s.repository(t, root, repoDir, sample{name: "main", version: "1", recommends: "nice"})
	var log bytes.Buffer
	if err := installFrom(t, root, detect(t, root), Repo{Dir: repoDir}, Request{Packages: pkgs}, &log); err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
}

// TestAptServices looks at what a script sees of the policy for services, with
// and without one in the root.
func TestAptServices(t *testing.T) {
	root := debSystem(t)
	s := systems()["apt"]
	s.repository(t, root, distroDir, sample{name: "any", version: "1"})
	m := detect(t, root)
	const policy = "/usr/sbin/policy-rc.d"
	install := func(name, script string) {
		t.Helper()
		pkgs := s.repository(t, root, repoDir, sample{name: name, version: "1", script: script})
		if err := installFrom(t, root, m, Repo{Dir: repoDir}, Request{Packages: pkgs}, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	install("first", "r=0; "+policy+" x start || r=$?; test $r = 101")
	if root.Exists(policy) {
		t.Error("the policy is left")
	}
	write(t, root.Path(policy), []byte("#!/bin/sh\nexit 7\n"))
	if err := os.Chmod(root.Path(policy), 0o755); err != nil {
		t.Fatal(err)
	}
	install("second", "r=0; "+policy+" x start || r=$?; test $r = 7")
	if got := string(readFile(t, root.Path(policy))); !strings.Contains(got, "exit 7") {
		t.Errorf("the policy was replaced: %s", got)
	}
}

// TestAptLive has no policy for services where the system runs: they may start.
func TestAptLive(t *testing.T) {
	a := &apt{target{root: openRoot(t, t.TempDir())}}
	allow, err := a.forbidStarts()
	if err != nil || a.root.Exists("/usr/sbin/policy-rc.d") {
		t.Fatalf("%v", err)
	}
	if err := allow(); err != nil {
		t.Error(err)
	}
}

// TestCheckDeb has names and versions apt-get would read otherwise.
func TestCheckDebRequest(t *testing.T) {
	good := artifact.Package{Name: "libstdc++6", Epoch: "1", Version: "2.0~rc1+b", Release: "3", Arch: "amd64"}
	if err := checkDeb(good); err != nil {
		t.Error(err)
	}
	for _, bad := range []func(*artifact.Package){
		func(p *artifact.Package) { p.Name = "-y" },
		func(p *artifact.Package) { p.Name = "a-" },
		func(p *artifact.Package) { p.Name = "a*" },
		func(p *artifact.Package) { p.Name = "a/stable" },
		func(p *artifact.Package) { p.Name = "" },
		func(p *artifact.Package) { p.Version, p.Epoch = "", "" },
		func(p *artifact.Package) { p.Version = "1 -y" },
		func(p *artifact.Package) { p.Arch = "amd64=1" },
	} {
		p := good
		bad(&p)
		if err := checkDeb(p); err == nil {
			t.Errorf("%+v passed", p)
		}
	}
}
