package host_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		p := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(p), 0o755))
		check(t, os.WriteFile(p, []byte(content), 0o644))
	}
}

// elfHeader is the beginning of a program for machine, little or big endian.
func elfHeader(machine uint16, big bool) string {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	b[18], b[19] = byte(machine), byte(machine>>8)
	if big {
		b[5], b[18], b[19] = 2, byte(machine>>8), byte(machine)
	}
	return string(b)
}

func TestReadFacts(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  artifact.Host
	}{
		{"el9", map[string]string{
			"etc/os-release": "# made by hand\nNAME=\"Rocky Linux\"\nID=\"rocky\"\nID_LIKE='rhel centos fedora'\nVERSION_ID=\"9.6\"\nPRETTY_NAME=\"Rocky \\\"9\\\"\"\n",
			"etc/hostname":   "# comment\n\nmgmt01.cluster\n", "usr/bin/bash": elfHeader(62, false),
		}, artifact.Host{
			Name: "mgmt01", FQDN: "mgmt01.cluster", Arch: "x86_64",
			Distro: artifact.Distro{ID: "rocky", Like: "rhel centos fedora", Version: "9.6", Name: `Rocky "9"`},
		}},
		{"short-name", map[string]string{
			"usr/lib/os-release": "ID=sles\nVERSION_ID=15.6\n", "etc/hostname": "mn\n",
			"etc/hosts": "127.0.0.1 localhost\n10.0.0.1 mn mn.dom.ain # the mn\n", "bin/sh": elfHeader(21, true),
		}, artifact.Host{Name: "mn", FQDN: "mn.dom.ain", Arch: "ppc64", Distro: artifact.Distro{ID: "sles", Version: "15.6"}}},
		{"little-power", map[string]string{
			"etc/os-release": "ID=debian\nVERSION_ID=12", "etc/hostname": "x", "usr/bin/true": elfHeader(21, false),
		}, artifact.Host{Name: "x", Arch: "ppc64le", Distro: artifact.Distro{ID: "debian", Version: "12"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, c.files)
			got, err := host.ReadFacts(open(t, dir))
			check(t, err)
			if got.Name != c.want.Name || got.FQDN != c.want.FQDN || got.Arch != c.want.Arch || got.Distro != c.want.Distro {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestReadFactsOfNothing(t *testing.T) {
	got, err := host.ReadFacts(open(t, t.TempDir()))
	if err != nil || got.Distro.ID != host.UnknownDistro || got.Arch == "" {
		t.Errorf("%+v, %v", got, err)
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{"etc/os-release": "NAME=x\n"})
	if _, err := host.ReadFacts(open(t, dir)); err == nil {
		t.Error("an os-release without ID was taken")
	}
}

func TestAccounts(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/bash\n# old\n+::::::\nnamed:x:25:25:Named:/var/named:/sbin/nologin\nalso:x:25:7::/:/\nbroken:x:a:b::/:/",
		"etc/group":  "root:x:0:\nssh_keys:x:101:\nbad\n",
	})
	a, err := host.ReadAccounts(open(t, dir))
	check(t, err)
	if a.User(25) != "named" || a.User(0) != "root" || a.User(99) != "" || a.Group(101) != "ssh_keys" {
		t.Errorf("names: %q %q %q %q", a.User(25), a.User(0), a.User(99), a.Group(101))
	}
	if u, ok := a.LookupUser("named"); !ok || u.Home != "/var/named" || u.GID != 25 {
		t.Errorf("named: %+v, %v", u, ok)
	}
	if _, ok := a.LookupUser("broken"); ok {
		t.Error("a line without ids was taken")
	}
	if len(a.Users()) != 3 {
		t.Errorf("%d users", len(a.Users()))
	}
}

func TestExec(t *testing.T) {
	var log strings.Builder
	out, err := host.Exec{}.Run(t.Context(), host.Command{Name: "sh", Args: []string{"-c", "echo out; echo err >&2; env; cat"}, Env: []string{"GIVEN=1"}, Output: &log})
	check(t, err)
	if !strings.HasPrefix(string(out), "out\n") || strings.Contains(string(out), "err") || !strings.Contains(log.String(), "err") {
		t.Errorf("stdout %q, log %q", out, log.String())
	}
	if strings.Contains(string(out), "XCATROOT") || !strings.Contains(string(out), "GIVEN=1") || !strings.Contains(string(out), "TERM=dumb") {
		t.Errorf("environment: %s", out)
	}
	_, err = host.Exec{}.Run(t.Context(), host.Command{Name: "sh", Args: []string{"-c", "echo this is why >&2; exit 7"}})
	if err == nil || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "this is why") {
		t.Errorf("failure: %v", err)
	}
	if _, err := (host.Exec{}).Run(t.Context(), host.Command{Name: "no-such-program"}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("missing program: %v", err)
	}
	old := syscall.Umask(0o077)
	out, err = host.Exec{}.Run(t.Context(), host.Command{Name: "sh", Args: []string{"-c", "umask"}})
	if now := syscall.Umask(old); err != nil || strings.TrimSpace(string(out)) != "0022" || now != 0o077 {
		t.Errorf("umask of the program %s, %v; ours is %o after", out, err, now)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := (host.Exec{}).Run(ctx, host.Command{Name: "sleep", Args: []string{"60"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cancelled: %v", err)
	}
}
