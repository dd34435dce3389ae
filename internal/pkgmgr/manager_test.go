package pkgmgr

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// fakeRunner answers commands by function and keeps what was run.
type fakeRunner struct {
	host.Exec
	answer func(c host.Command) (string, error)
	ran    []host.Command
}

func (f *fakeRunner) Run(_ context.Context, c host.Command) ([]byte, error) {
	f.ran = append(f.ran, c)
	out, err := f.answer(c)
	return []byte(out), err
}

// plainRoot is a root that has nothing but an rpm database, as far as Detect
// can see, and a repository.
func plainRoot(t *testing.T) *host.Root {
	t.Helper()
	root := openRoot(t, t.TempDir())
	write(t, root.Path("/var/lib/rpm/rpmdb.sqlite"), nil)
	write(t, root.Path("/etc/os-release"), []byte("ID=rocky\nVERSION_ID=\"9.6\"\n"))
	write(t, root.Path("/repo/repodata/repomd.xml"), nil)
	return root
}

func TestDetectNone(t *testing.T) {
	notFound := func(c host.Command) (string, error) {
		return "", fmt.Errorf("command %q: %w", c.Name, exec.ErrNotFound)
	}
	for _, tt := range []struct {
		name string
		root func(t *testing.T) *host.Root
		want string
	}{
		{"empty", func(t *testing.T) *host.Root { return openRoot(t, t.TempDir()) }, "no rpm database"},
		{"programs", func(t *testing.T) *host.Root { return plainRoot(t) }, `on this machine: command "dnf"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Detect(t.Context(), tt.root(t), &fakeRunner{answer: notFound})
			if !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestDetectCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Detect(ctx, plainRoot(t), &fakeRunner{answer: func(host.Command) (string, error) { return "", context.Canceled }})
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrNone) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// TestDetectForeign has a root whose programs do not run here: this machine's
// are taken.
func TestDetectForeign(t *testing.T) {
	root := plainRoot(t)
	run := &fakeRunner{answer: func(c host.Command) (string, error) {
		if c.Chroot != "" {
			return "", errors.New("exec format error")
		}
		return "", nil
	}}
	m, err := Detect(t.Context(), root, run)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Installed(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := run.ran[len(run.ran)-1]
	if want := []string{"--root", root.Dir(), "--dbpath", "/var/lib/rpm"}; last.Chroot != "" || !slices.Equal(last.Args[3:], want) {
		t.Errorf("ran %+v, want %q", last, want)
	}
}

func TestInstalled(t *testing.T) {
	root := plainRoot(t)
	out := "xCAT-client\t4\t2.17.0\tsnap1\tnoarch\ngpg-pubkey\t(none)\tabc\tdef\t(none)\nbash\t(none)\t5.1\t9.el9\tx86_64\n"
	run := &fakeRunner{answer: func(host.Command) (string, error) { return out, nil }}
	got, err := (rpmTarget{target: target{root: root, run: run}}).Installed(t.Context())
	want := []artifact.Package{
		{Name: "bash", Version: "5.1", Release: "9.el9", Arch: "x86_64"},
		{Name: "xCAT-client", Epoch: "4", Version: "2.17.0", Release: "snap1", Arch: "noarch"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	out = "error: something\n"
	if _, err := (rpmTarget{target: target{root: root, run: run}}).Installed(t.Context()); err == nil {
		t.Error("a line that is no package passed")
	}
}

// TestInstallOutside looks at the command line and environment for a root that
// has no dnf, and at what is left behind.
func TestInstallOutside(t *testing.T) {
	for _, tt := range []struct {
		name, file, content, want string
	}{
		{"major", "/etc/hostname", "mn\n", "--releasever=9"},
		{"variable", "/etc/dnf/vars/releasever", "9.4\n", "--releasever=9.4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := plainRoot(t)
			write(t, root.Path(tt.file), []byte(tt.content))
			var macros string
			run := &fakeRunner{}
			run.answer = func(c host.Command) (string, error) {
				if c.Name == "dnf" {
					macros = string(readFile(t, root.Path(macroHome+"/.rpmmacros")))
				}
				return "", nil
			}
			d := &dnf{rpmTarget{target{root: root, run: run, outside: true}, "/var/lib/rpm"}, dnf4()}
			err := d.Install(t.Context(), Repo{Dir: "/repo"}, Request{Packages: []artifact.Package{{Name: "a", Version: "1", Release: "2", Arch: "noarch"}}}, nil)
			if err == nil || !strings.Contains(err.Error(), "a-1-2.noarch (not installed)") {
				t.Errorf("error %v: dnf said all is well, the database does not", err)
			}
			i := slices.IndexFunc(run.ran, func(c host.Command) bool { return c.Name == "dnf" })
			cmd := run.ran[i]
			for _, want := range []string{tt.want, "--installroot=" + root.Dir(), "--setopt=xcrate-snapshot.baseurl=file://" + root.Path("/repo"), "a-0:1-2.noarch"} {
				if !slices.Contains(cmd.Args, want) {
					t.Errorf("ran %s, want %s in it", cmd, want)
				}
			}
			if !slices.Equal(cmd.Env, []string{"HOME=" + root.Path(macroHome)}) || macros != "%_dbpath /var/lib/rpm\n" {
				t.Errorf("environment %q, macros %q", cmd.Env, macros)
			}
			if root.Exists(macroHome) {
				t.Errorf("%s is left", macroHome)
			}
		})
	}
}

func TestInstallReports(t *testing.T) {
	root := plainRoot(t)
	wanted := artifact.Package{Name: "a", Version: "1", Release: "2", Arch: "noarch"}
	exit := exec.Command("sh", "-c", "exit 3").Run()
	for _, tt := range []struct {
		name      string
		installed string
		dnf       func(c host.Command) error
		log       io.Writer
		want      []string
	}{
		{"words", "", func(c host.Command) error {
			_, _ = io.WriteString(c.Output, strings.Repeat("a line before it\n", 1000)+"Error: what is wrong\n")
			return fmt.Errorf("command %q: %w", c.String(), exit)
		}, io.Discard, []string{"install 1 packages: dnf: exit status 3: a line before it\n", "Error: what is wrong"}},
		{"version", "a\t(none)\t9\t2\tnoarch\n", func(host.Command) error { return nil }, io.Discard, []string{"a-1-2.noarch (installed: a-9-2.noarch)"}},
		{"log", "", func(c host.Command) error {
			_, err := io.WriteString(c.Output, "installing\n")
			return err
		}, fullWriter{}, []string{"log of dnf: permission denied"}},
		{"nowhere", "", func(host.Command) error { return errors.New("it ran") }, io.Discard, []string{"it ran"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := &fakeRunner{answer: func(c host.Command) (string, error) {
				if c.Name == "rpm" {
					return tt.installed, nil
				}
				return "", tt.dnf(c)
			}}
			err := (&dnf{rpmTarget{target: target{root: root, run: run, chroot: root.Dir()}}, dnf4()}).Install(t.Context(), Repo{Dir: "/repo"}, Request{Packages: []artifact.Package{wanted}}, tt.log)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
			if len(err.Error()) > maxWords+200 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
		})
	}
}

// TestRepoquery has this machine's dnf list a repository, and find its files.
func TestRepoquery(t *testing.T) {
	need(t, "dnf")
	dir := t.TempDir()
	packStack(t, dir)
	writeRepo(t, dir, find(t, dir).Packages)
	query := func(args ...string) []string {
		args = append([]string{"--quiet", "--installroot=" + t.TempDir(), "--releasever=9", "--setopt=reposdir=/nonexistent", "--repofrompath=x,file://" + dir, "repoquery"}, args...)
		return strings.Fields(command(t, "dnf", args...))
	}
	want := []string{
		"xCAT-0:2.17.0-snap1.x86_64", "xCAT-client-4:2.17.0-snap1.noarch", "xCAT-genesis-base-x86_64-2:2.17.0-snap1.noarch",
		"xCAT-probe-4:2.17.0-snap1.noarch", "xCAT-server-4:2.17.0-snap1.noarch",
	}
	if got := query(); !slices.Equal(got, want) {
		t.Errorf("packages %q, want %q", got, want)
	}
	if got := query("--whatprovides", "/opt/xcat/share/fs"); !slices.Equal(got, want[2:3]) {
		t.Errorf("owner of a file of the file list: %q, want %q", got, want[2:3])
	}
	if got := query("--whatrequires", "xCAT-client"); !slices.Contains(got, want[4]) {
		t.Errorf("what requires xCAT-client: %q, want %q", got, want[4])
	}
}

// TestInstallOffline has a repository that answered once, and offers what a
// package of the snapshot recommends: what dnf remembers of it must not make
// the install depend on it.
func TestInstallOffline(t *testing.T) {
	root := elRoot(t)
	dir := t.TempDir()
	pack(t, dir, packed{RPMMetaData: meta("nice", "1", "1")})
	writeRepo(t, dir, find(t, dir).Packages)
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	write(t, root.Path("/etc/yum.repos.d/base.repo"), []byte("[base]\nname=base\nbaseurl="+server.URL+"\ngpgcheck=0\n"))
	command(t, "chroot", root.Dir(), "dnf", "-q", "makecache")
	server.Close()
	if got := command(t, "chroot", root.Dir(), "dnf", "-q", "-C", "repoquery", "nice"); got == "" {
		t.Fatal("dnf remembers nothing: the test shows nothing")
	}
	main := meta("main", "1", "1")
	main.Recommends = needs(t, "nice")
	pkgs := fill(t, root, func(dir string) { pack(t, dir, packed{RPMMetaData: main}) })
	var log bytes.Buffer
	if err := installFrom(t, root, detect(t, root), Repo{Dir: repoDir}, Request{Packages: pkgs}, &log); err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
}

// TestInstallFromDistro has a dependency that only the root's own repository
// has, a file of the snapshot that it has too with another content, and an
// earlier snapshot's repository at the same place.
func TestInstallFromDistro(t *testing.T) {
	root := elRoot(t)
	m := detect(t, root)
	early := fill(t, root, func(dir string) { pack(t, dir, packed{RPMMetaData: meta("early", "1", "1")}) })
	if err := installFrom(t, root, m, Repo{Dir: repoDir}, Request{Packages: early}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(root.Path(repoDir)); err != nil {
		t.Fatal(err)
	}
	main := meta("main", "1", "1")
	main.Requires = needs(t, "/usr/lib/distro/file")
	pkgs := fill(t, root, func(dir string) {
		pack(t, dir, packed{RPMMetaData: main, files: map[string]string{"/etc/main": "the snapshot's"}})
	})
	distro := root.Path("/srv/distro")
	if err := os.MkdirAll(distro, 0o755); err != nil {
		t.Fatal(err)
	}
	pack(t, distro, packed{RPMMetaData: main, files: map[string]string{"/etc/main": "the distro's"}})
	pack(t, distro, packed{RPMMetaData: meta("main", "2", "1")})
	pack(t, distro, packed{RPMMetaData: meta("needed", "3", "1"), files: map[string]string{"/usr/lib/distro/file": ""}})
	writeRepo(t, distro, find(t, distro).Packages)
	write(t, root.Path("/etc/yum.repos.d/media.repo"), []byte("[media]\nname=media\nbaseurl=file:///srv/distro\ngpgcheck=0\n"))
	var log bytes.Buffer
	if err := installFrom(t, root, m, Repo{Dir: repoDir}, Request{Packages: pkgs}, &log); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if got := nevras(t, root); !slices.Contains(got, "needed-3-1.noarch") || !slices.Contains(got, "main-1-1.noarch") {
		t.Errorf("installed %q, want needed-3-1.noarch and main-1-1.noarch among them\n%s", got, &log)
	}
	if got := string(readFile(t, root.Path("/etc/main"))); got != "the snapshot's" {
		t.Errorf("installed %q", got)
	}
	if !bytes.Contains(log.Bytes(), []byte("Ignoring repositories: base")) {
		t.Errorf("the repository without a network was not left out:\n%s", &log)
	}
}
