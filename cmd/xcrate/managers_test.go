package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// system is a distro whose package manager an import drives.
type system struct {
	root     func(testing.TB) string
	packages func(dir, rows string, o hosttest.ScriptedOptions) error
	query    []string // lists what is installed, a line each
	erase    []string // removes package goconserver
	want     string   // one of those lines
}

// systems are those beside EL, whose dnf most tests use.
func systems() map[string]system {
	return map[string]system{
		"zypper": {hosttest.SLESRoot, hosttest.ScriptedPackages, []string{"rpm", "-qa"}, []string{"rpm", "-e", "--nodeps", "goconserver"}, "xCAT-2.17.0-snap202411131023.x86_64"},
		"apt": {
			hosttest.DebianRoot, hosttest.ScriptedDebs,
			[]string{"dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\\n"},
			[]string{"dpkg", "--purge", "--force-depends", "goconserver"},
			"xcat 2.17.0-snap202411131023 installed",
		},
	}
}

func (s system) installed(t *testing.T, root string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "chroot", append([]string{root}, s.query...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", s.query, err)
	}
	all := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(all)
	return all
}

func (s system) export(t *testing.T, o hosttest.ScriptedOptions) string {
	t.Helper()
	mn, usb, dir := filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb"), t.TempDir()
	sample(t, mn)
	if err := s.packages(dir, "../../testdata/real-mn/sqlite/policy.sqlite", o); err != nil {
		t.Fatal(err)
	}
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--packages", dir)
	return usb
}

// TestOtherManagers imports with zypper and apt what TestScriptsAreOverruled does
// with dnf, and has them take back what failed.
func TestOtherManagers(t *testing.T) {
	const allow = "distro,distro-version"
	for name, s := range systems() {
		t.Run(name, func(t *testing.T) {
			root := s.root(t)
			before, installed := whole(t, root), s.installed(t, root)
			bad := s.export(t, hosttest.ScriptedOptions{Script: hosttest.Script + "rm -f /etc/logrotate.d/xcat; mkdir -p /etc/logrotate.d/xcat/dir\n"})
			missing := s.export(t, hosttest.ScriptedOptions{Requires: []string{"no-such-package"}})
			for _, usb := range []string{missing, bad} {
				var out, errs bytes.Buffer
				code := run([]string{"xcrate", "import", "--allow-unsigned", usb, "--root", root, "--yes", "--allow", allow}, strings.NewReader(""), &out, &errs)
				if code != exitRefused || usb == missing && !strings.Contains(out.String(), "no-such-package") {
					t.Errorf("exit code %d\n%s%s", code, &out, &errs)
				}
				unchanged(t, "refused or taken back", before, root)
				if got := s.installed(t, root); !slices.Equal(got, installed) {
					t.Errorf("installed %q, was %q", got, installed)
				}
			}
			usb := s.export(t, hosttest.ScriptedOptions{})
			said := xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes", "--keep-repo", "--allow", allow)
			if !strings.Contains(said, "install  4 packages with "+name) || !strings.Contains(said, "4 installed, in the versions of the snapshot") {
				t.Errorf("said:\n%s", said)
			}
			if got := s.installed(t, root); !slices.Contains(got, s.want) {
				t.Errorf("installed %q", got)
			}
			for p, want := range map[string]bool{"etc/xcat/ca/ca-cert.pem": true, "etc/xcat/ca/of-the-installation.pem": false, "etc/xcat/made.sqlite": false} {
				if _, err := os.Lstat(filepath.Join(root, p)); (err == nil) != want {
					t.Errorf("%s: %v", p, err)
				}
			}
			if again := xcrate(t, 0, "import", "--allow-unsigned", usb, "--root", root, "--yes", "--allow", allow); !strings.Contains(again, "Nothing to do") {
				t.Errorf("second import:\n%s", again)
			}
			// With the definition of an earlier import there, one package is missing.
			if out, err := exec.CommandContext(t.Context(), "chroot", append([]string{root}, s.erase...)...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if said := xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes", "--allow", allow); !strings.Contains(said, "1 installed, in the version") {
				t.Errorf("one package was missing:\n%s", said)
			}
		})
	}
}
