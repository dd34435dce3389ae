package machinetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// Exit codes of the program (docs/cli.md).
const (
	exitOK       = 0
	exitError    = 1
	exitWarnings = 3
	exitRefused  = 5
)

// programs are xcrate and the stand-in xcatd, built once as they are shipped.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "xcrate-machinetest-")
	if err != nil {
		return "", err
	}
	for name, pkg := range map[string]string{"xcrate": "../../cmd/xcrate", "xcatd": "../hosttest/xcatd"} {
		cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", filepath.Join(dir, name), pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false") // those of the Makefile: its objects are used again
		if out, err := cmd.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("go build %s: %w: %s", pkg, err, out)
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := programs(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// distro is a kind of machine, and where things are on it.
type distro struct {
	name  string
	debs  bool
	root  func(testing.TB) string
	dump  string   // shell: prints the rows of the database, sorted
	units []string // whose state is compared
	trees []string // captured whole
	query string   // lists the packages
}

func elDistro() distro {
	return distro{
		name: "el", root: hosttest.ELMachine,
		dump:  `cd /; runuser -u postgres -- pg_dump --inserts xcatdb | grep '^INSERT' | grep -v 'public.\(auditlog\|eventlog\|performance\|token\) ' | sort`,
		units: []string{"postgresql", "xcatd", "named", "dhcpd", "chronyd", "goconserver", "httpd", "nfs-server", "rsyslog"},
		trees: append(everywhere(), "etc/named.conf", "var/named", "var/lib/dhcpd", "etc/httpd/conf.d", "etc/sysconfig/dhcpd", "etc/sysconfig/named"),
		query: "rpm -qa | sort",
	}
}

func debianDistro() distro {
	return distro{
		name: "deb", debs: true, root: hosttest.DebianMachine,
		dump: `mariadb-dump --skip-extended-insert --no-create-info --complete-insert xcatdb | grep '^INSERT' | ` +
			"grep -v 'INTO `\\(auditlog\\|eventlog\\|performance\\|token\\)`' | sort",
		units: []string{"mariadb", "xcatd", "named", "isc-dhcp-server", "goconserver", "apache2", "nfs-server", "rsyslog"},
		trees: append(everywhere(), "etc/bind", "var/lib/bind", "var/lib/dhcp", "etc/default/isc-dhcp-server", "etc/apache2/conf-available/xcat.conf",
			"etc/apache2/conf-enabled/xcat.conf"),
		query: "dpkg-query -W | sort",
	}
}

func everywhere() []string {
	return []string{
		"etc/xcat", "etc/xCATMN", "root/.xcat", "root/.ssh", "home/conserver/.xcat", "install", "tftpboot", "opt/xcat", "etc/dhcp/dhcpd.conf", "etc/hosts",
		"etc/exports", "var/lib/goconserver", "etc/rsyslog.conf", "etc/sysctl.d/99-xcat.conf", "etc/logrotate.d/xcat", "etc/systemd/system/xcatd.service.d/site.conf",
	}
}

// place is what a test has on this machine beside the roots.
type place struct {
	lab string // seen by machines as /mnt/lab
	usb string // as /mnt/usb
}

// newPlace lays out the programs, packages and dumps that machines are to see. The
// script of package xCAT fails where /run/xcat-commands/script is there.
func newPlace(t *testing.T, d distro) place {
	t.Helper()
	built, err := programs()
	check(t, err)
	p := place{lab: t.TempDir(), usb: t.TempDir()}
	packages := filepath.Join(p.lab, "packages")
	check(t, os.Mkdir(packages, 0o755))
	xcatd, err := os.ReadFile(filepath.Join(built, "xcatd"))
	check(t, err)
	check(t, hosttest.StandInPackages(packages, xcatd, d.debs, "[ ! -e /run/xcat-commands/script ] || exit 1\n"))
	if !d.debs {
		out, err := exec.CommandContext(t.Context(), "createrepo_c", "-q", packages).CombinedOutput()
		if err != nil {
			t.Fatalf("createrepo_c: %v: %s", err, out)
		}
	}
	data, err := filepath.Abs("../../testdata")
	check(t, err)
	for _, from := range []string{filepath.Join(built, "xcrate"), data + "/lab/become-mn", data + "/real-mn/postgres", data + "/real-mn/mariadb"} {
		out, err := exec.CommandContext(t.Context(), "cp", "-r", from, p.lab).CombinedOutput()
		if err != nil {
			t.Fatalf("cp: %v: %s", err, out)
		}
	}
	return p
}

// boot starts a root as the management node or a machine of its name.
func (p place) boot(t *testing.T, root string) *hosttest.Machine {
	t.Helper()
	return hosttest.StartMachine(t, root, "mgmt01.cluster.lab", "10.10.0.1/16", p.lab+":/mnt/lab:ro", p.usb+":/mnt/usb")
}

// xcrate runs the program on a machine, and expects one of the exit codes.
func xcrate(t *testing.T, m *hosttest.Machine, codes []int, args ...string) string {
	t.Helper()
	said, code := m.Run(t, append([]string{"/mnt/lab/xcrate"}, args...)...)
	if !slices.Contains(codes, code) {
		t.Fatalf("xcrate %s: exit code %d, want one of %v\n%s", strings.Join(args, " "), code, codes, said)
	}
	return said
}

// done are the exit codes of an import that did what it should.
func done() []int { return []int{exitOK, exitWarnings} }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
