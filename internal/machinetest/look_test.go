package machinetest

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// sight is what a machine is like while it runs.
type sight struct {
	rows    []string // of the database, in statements
	states  []string
	lsxcatd string
}

func look(t *testing.T, m *hosttest.Machine, d distro) sight {
	t.Helper()
	s := sight{
		rows: strings.Split(m.Must(t, "bash", "-c", d.dump), "\n"), states: d.states(t, m), lsxcatd: m.Must(t, "/opt/xcat/bin/lsxcatd", "-a"),
	}
	if len(s.rows) < 200 {
		t.Errorf("only %d rows", len(s.rows))
	}
	return s
}

// states are the packages of a machine, and the units with what they do at boot
// and now.
func (d distro) states(t *testing.T, m *hosttest.Machine) []string {
	t.Helper()
	all := strings.Split(strings.TrimSpace(m.Must(t, "bash", "-c", d.query)), "\n")
	for _, u := range d.units {
		said, _ := m.Run(t, "bash", "-c", "echo $(systemctl is-enabled "+u+" 2>/dev/null), $(systemctl is-active "+u+")")
		all = append(all, u+": "+strings.TrimSpace(said))
	}
	return all
}

func (s sight) same(t *testing.T, got sight) {
	t.Helper()
	sameLines(t, "restored", s.rows, got.rows)
	sameLines(t, "restored", s.states, got.states)
	if got.lsxcatd != s.lsxcatd {
		t.Errorf("lsxcatd -a:\n%swas\n%s", got.lsxcatd, s.lsxcatd)
	}
}

func sameLines(t *testing.T, what string, want, got []string) {
	t.Helper()
	for _, l := range want {
		if !slices.Contains(got, l) {
			t.Errorf("%s: - %.200s", what, l)
		}
	}
	for _, l := range got {
		if !slices.Contains(want, l) {
			t.Errorf("%s: + %.200s", what, l)
		}
	}
}

// captured reads the trees that a snapshot holds from a machine that is off.
func (d distro) captured(t *testing.T, root string) map[string]hosttest.Node {
	t.Helper()
	all, err := hosttest.Tree(root, d.trees...)
	check(t, err)
	return all
}

// sameTrees compares what was captured with what was restored.
func sameTrees(t *testing.T, want, got map[string]hosttest.Node) {
	t.Helper()
	for _, line := range hosttest.DiffTrees(want, got, hosttest.DiffOptions{OwnersByName: true, Skip: notRestored}) {
		if !livedIn(line) {
			t.Error("restored:", line)
		}
	}
}

// notRestored is what a snapshot leaves out, and what comes back another way.
func notRestored(p string) bool {
	switch {
	case strings.HasPrefix(p, "install/xcat"): // as packages
	case strings.HasPrefix(p, "tftpboot/xcat/genesis."): // mknb makes it
	case strings.HasPrefix(p, "etc/xcat/genesis-"): // flags of the packages
	default:
		return false
	}
	return true
}

// livedIn tells differences that daemons make where they run: the times of
// directories they write in, and leases, which the DHCP server writes anew when it
// starts. Times of /opt/xcat are of the package manager, and that of exports is of
// who had written the same lines before.
func livedIn(diff string) bool {
	if strings.Contains(diff, "/dhcpd.leases") && !strings.Contains(diff, "owner") {
		return true
	}
	if !strings.Contains(diff, "mtime") {
		return false
	}
	for _, dir := range []string{`"opt/xcat`, `"var/named" `, `"var/lib/bind" `, `"var/lib/dhcp" `, `"var/lib/dhcpd" `, `"tftpboot/xcat" `, `"etc/exports" `} {
		if strings.Contains(diff, dir) {
			return true
		}
	}
	return false
}

// whole reads a machine's disk, but for what a test binds there, what is gone with
// the power, and what is named.
func whole(t *testing.T, root string, but ...string) map[string]hosttest.Node {
	t.Helper()
	entries, err := os.ReadDir(root)
	check(t, err)
	var tops []string
	for _, e := range entries {
		if !slices.Contains(append(but, "proc", "sys", "dev", "run", "tmp", "mnt"), e.Name()) {
			tops = append(tops, e.Name())
		}
	}
	all, err := hosttest.Tree(root, tops...)
	check(t, err)
	return all
}

// untouched compares a disk with what it was before an import that was taken back.
func untouched(t *testing.T, what string, before, after map[string]hosttest.Node) {
	t.Helper()
	said := 0
	for _, line := range hosttest.DiffTrees(before, after, hosttest.DiffOptions{Skip: writesItself}) {
		if strings.Contains(line, " mtime: ") && timeOfDirectory(before, line) {
			continue
		}
		if said++; said > 40 {
			t.Errorf("%s: and more", what)
			return
		}
		t.Errorf("%s: %s", what, line)
	}
}

// writesItself is what differs after a rollback because the machine ran, because
// the package manager keeps it for itself, or because it is how a database server
// keeps the rows that were put back: docs/restore.md has the list.
func writesItself(p string) bool {
	for _, dir := range []string{
		"var/log", "var/lib/systemd", "var/cache", "var/tmp", "var/lib/xcrate", "var/lib/dnf", "var/lib/rpm", "var/lib/dpkg", "var/lib/apt",
		"var/lib/mysql",
		"var/lib/dhcpd/dhcpd.leases", "var/lib/dhcpd/dhcpd.leases~", // a server that scripts had enabled ran between a power cut and a rollback
	} {
		if p == dir || strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return false
}

// timeOfDirectory reports whether a difference is the time of a directory in which
// packages or a rollback removed something.
func timeOfDirectory(before map[string]hosttest.Node, diff string) bool {
	quoted, _, _ := strings.Cut(strings.TrimPrefix(diff, "! "), " ")
	p, err := strconv.Unquote(quoted)
	if err != nil || before[p].Type != "dir" {
		return false
	}
	return slices.Contains([]string{"home", "root", "opt", "var/lib", "var/lib/pgsql/data"}, p) || strings.HasPrefix(p, "usr/")
}

// answers asks every service of a management node.
func answers(t *testing.T, m *hosttest.Machine) {
	t.Helper()
	for what, ask := range map[string][2]string{
		"DNS":  {askDNS, "10.10.1.7"},
		"HTTP": {"curl -sf http://10.10.0.1/install/postscripts/syslog", "echo syslog"},
		"TFTP": {"curl -sf tftp://10.10.0.1/xcat/xnba.kpxe", "boot loader"},
		"DHCP": {"cat /var/lib/dhcp*/dhcpd.leases | grep -c '^host cn'", "50"},
		"node": {"/opt/xcat/bin/nodels", "cn07"},
		"3002": {"exec 3<>/dev/tcp/10.10.0.1/3002; head -n 1 <&3", "ready"},
	} {
		if said, code := m.Run(t, "bash", "-c", ask[0]); code != 0 || !strings.Contains(said, ask[1]) {
			t.Errorf("%s: exit code %d: %s", what, code, said)
		}
	}
}

// askDNS is a query of RFC 1035 for cn07.cluster.lab: no root has a program for it.
const askDNS = `perl -MIO::Socket::INET -e 'alarm 10; $s = IO::Socket::INET->new(PeerAddr => "10.10.0.1:53", Proto => "udp");
$s->send(pack("n6", 1, 256, 1, 0, 0, 0) . join("", map { pack("C/a*", $_) } "cn07", "cluster", "lab") . "\0" . pack("nn", 1, 1));
$s->recv($r, 512); print index($r, pack("C4", 10, 10, 1, 7)) > 0 ? "10.10.1.7" : unpack("H*", $r)'`
