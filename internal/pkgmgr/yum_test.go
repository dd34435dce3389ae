package pkgmgr

import (
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// yumRunner is a machine with rpm and yum 3, and no dnf.
func yumRunner(t *testing.T, root *host.Root, script *string) *fakeRunner {
	t.Helper()
	const have = "old\t(none)\t9\t1\tnoarch\nsame\t2\t1\t1\tnoarch\n"
	return &fakeRunner{answer: func(c host.Command) (string, error) {
		switch {
		case c.Name == "rpm" && slices.Contains(c.Args, "-qa"):
			return have, nil
		case c.Name == "rpm":
			return "RPM version 4.11.3\n", nil
		case c.Name != "yum":
			return "", exec.ErrNotFound
		}
		if i := slices.Index(c.Args, "shell"); i >= 0 {
			*script = string(readFile(t, root.Path(c.Args[i+1])))
		}
		return "", nil
	}}
}

// TestYum looks at what yum 3 is told: there is none to run.
func TestYum(t *testing.T) {
	root := plainRoot(t)
	if err := root.MkdirAll("/var/tmp", 0o755); err != nil {
		t.Fatal(err)
	}
	var script string
	run := yumRunner(t, root, &script)
	m, err := Detect(t.Context(), root, run)
	if err != nil || m.Name() != "yum" {
		t.Fatal(m, err)
	}
	newer := artifact.Package{Name: "new", Epoch: "4", Version: "1", Release: "1", Arch: "noarch"}
	older := artifact.Package{Name: "old", Version: "8", Release: "1", Arch: "noarch"}
	for _, tt := range []struct {
		name         string
		want         Request
		args, script string
	}{
		{"plain", Request{Packages: []artifact.Package{newer}, Names: []string{"any"}}, "install new-4:1-1.noarch any", ""},
		{"older", Request{Packages: []artifact.Package{newer, older}}, "shell /var/tmp/", "downgrade old-0:8-1.noarch\ninstall new-4:1-1.noarch\nrun\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			script, run.ran = "", nil
			if err := m.Install(t.Context(), Repo{Dir: "/repo"}, tt.want, io.Discard); err == nil {
				t.Error("no error, and nothing is installed")
			}
			i := slices.IndexFunc(run.ran, func(c host.Command) bool { return c.Name == "yum" })
			got := strings.Join(run.ran[i].Args, " ")
			want := "--assumeyes --setopt=*.skip_if_unavailable=1 --setopt=*.timeout=10 --setopt=*.retries=1 " +
				"--setopt=skip_missing_names_on_install=0 --setopt=*.metadata_expire=1 --setopt=xcrate-snapshot.skip_if_unavailable=0 " + tt.args
			if !strings.HasPrefix(got, want) || script != tt.script {
				t.Errorf("ran %s with script %q", got, script)
			}
		})
	}
	d, err := m.Definition(Repo{Dir: "/repo", Keys: []string{"keys/a b"}, Unsigned: []string{"x", "y"}})
	if err != nil || d.Path != "/etc/yum.repos.d/xcrate-snapshot.repo" || !strings.Contains(string(d.Content), "gpgcheck=1\ngpgkey=file:///repo/keys/a%20b\nexclude=x y\n") {
		t.Errorf("%+v, %v", d, err)
	}
	if names, err := root.Names("/var/tmp"); err != nil || len(names) > 0 {
		t.Errorf("%q is left, %v", names, err)
	}
}

// TestYumCheck has yum go on, and refuse.
func TestYumCheck(t *testing.T) {
	root := plainRoot(t)
	if err := root.MkdirAll("/tmp", 0o755); err != nil {
		t.Fatal(err)
	}
	exit := exec.Command("sh", "-c", "exit 1").Run()
	said := "Exiting on user command\n"
	run := &fakeRunner{answer: func(c host.Command) (string, error) {
		if c.Name == "rpm" {
			return "", nil
		}
		_, _ = io.WriteString(c.Output, said)
		return "", exit
	}}
	m := &dnf{rpmTarget{target{root: root, run: run}, "/var/lib/rpm"}, yum3()}
	want := Request{Names: []string{"any"}}
	if r, err := m.Check(t.Context(), Repo{Dir: "/repo"}, want); err != nil || r.Refused() {
		t.Errorf("%+v, %v", r, err)
	}
	said = "Error: Package: a-1-1.noarch (xcrate-snapshot)\n           Requires: perl(DBI)\n"
	if r, err := m.Check(t.Context(), Repo{Dir: "/repo"}, want); err != nil || !slices.Equal(r.Missing, []string{"perl(DBI) needed by a-1-1.noarch"}) {
		t.Errorf("%+v, %v", r, err)
	}
	exit = errors.New("killed")
	if r, err := m.Check(t.Context(), Repo{Dir: "/repo"}, want); err == nil {
		t.Errorf("%+v without an error", r)
	}
}
