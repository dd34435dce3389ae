package hosttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// DebianMachine returns the path of a fresh root of a Debian machine that may
// become a management node, to be booted with StartMachine: DNS, DHCP, web, TFTP
// and database servers are installed, and nobody has set up or enabled any of
// them. NFS and the firewall are units that do nothing. The files below /usr are
// links, as DatabaseRoot's are.
func DebianMachine(t testing.TB) string {
	t.Helper()
	return machineRoot(t, debianMachine())
}

// ELMachine is as DebianMachine with the identity of an EL 9 clone: names, paths,
// users, units and an rpm database as there, and dnf.
func ELMachine(t testing.TB) string {
	t.Helper()
	base := debianMachine()
	return machineRoot(t, labRoot{"mnelroot", []string{"rpm", "dnf"}, "mkel", &base})
}

func debianMachine() labRoot {
	base := databaseRoot()
	return labRoot{"mndebroot", []string{"apache2", "bind9", "isc-dhcp-server", "tftpd-hpa", "curl", "openssl", "rsyslog"}, "mkmn", &base}
}

// machineRoot copies the root of a kind for a test.
func machineRoot(t testing.TB, kind labRoot) string {
	t.Helper()
	if os.Geteuid() != 0 {
		missLabRoot(t, "run it as root")
	}
	for _, tool := range []string{"debootstrap", "rpmbuild", "createrepo_c", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			missLabRoot(t, "apt-get install debootstrap rpm createrepo-c iproute2")
		}
	}
	built, err := builtRoot(kind)
	if err != nil {
		t.Fatalf("lab root: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "root")
	if err := copyLinked(built, dir); err != nil {
		t.Fatalf("lab root: %v", err)
	}
	return dir
}
