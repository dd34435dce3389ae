package accept

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is a DNS server that knows some names.
type zone struct {
	names  map[string][4]byte // with the dot at the end
	code   dnsmessage.RCode   // instead of an answer, if not 0
	loads  int32              // so many questions find it loading its zones
	silent bool
	asked  atomic.Int32
	forge  bool // an answer to another question comes first
}

// serve answers where the node's port 53 at addr leads.
func (z *zone) serve(n *node, addr string) {
	n.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(n.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() { _ = conn.Close() })
	n.ports[net.JoinHostPort(addr, "53")] = conn.LocalAddr().String()
	go func() {
		buf := make([]byte, 4096)
		for {
			l, from, err := conn.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			var m dnsmessage.Message
			if err != nil || m.Unpack(buf[:l]) != nil || z.silent {
				continue
			}
			if z.forge {
				other := m
				other.ID++
				other.Response, other.RCode = true, dnsmessage.RCodeRefused
				b, _ := other.Pack()
				_, _ = conn.WriteTo(b, from)
			}
			z.answer(&m)
			b, err := m.Pack()
			if err != nil {
				continue
			}
			_, _ = conn.WriteTo(b, from)
		}
	}()
}

func (z *zone) answer(m *dnsmessage.Message) {
	m.Response = true
	ip, ok := z.names[m.Questions[0].Name.String()]
	switch {
	case z.asked.Add(1) <= z.loads:
		m.RCode = dnsmessage.RCodeServerFailure
	case z.code != 0:
		m.RCode = z.code
	case !ok:
		m.RCode = dnsmessage.RCodeNameError
	default:
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 60},
			Body:   &dnsmessage.AResource{A: ip},
		}}
	}
}

// names are those of the real node: cn01 is the first managed one.
func names() map[string][4]byte {
	return map[string][4]byte{"mgmt01.cluster.lab.": {10, 10, 0, 1}, "cn01.cluster.lab.": {10, 10, 1, 1}}
}

func dnsNode(t *testing.T) *node {
	n := newNode(t)
	n.runs("named")
	n.write("/etc/hosts", 0o644, "127.0.0.1 localhost\n10.10.0.1 mgmt01.cluster.lab mgmt01 # it\n10.10.1.1\tCN01 cn01.cluster.lab\n")
	return n
}

func TestDNS(t *testing.T) {
	n := newNode(t)
	n.want("dns", Skip, "no DNS server is to run here")

	for name, tc := range map[string]struct {
		zone  *zone
		want  Verdict
		words []string
	}{
		"knows":       {&zone{names: names()}, Pass, []string{"mgmt01.cluster.lab is 10.10.0.1", "cn01.cluster.lab is 10.10.1.1"}},
		"forged":      {&zone{names: names(), forge: true}, Pass, nil},
		"not_itself":  {&zone{names: map[string][4]byte{"cn01.cluster.lab.": {10, 10, 1, 1}}}, Warn, []string{"does not know mgmt01.cluster.lab", "makedns mgmt01"}},
		"not_a_node":  {&zone{names: map[string][4]byte{"mgmt01.cluster.lab.": {10, 10, 0, 1}}}, Warn, []string{"does not know cn01.cluster.lab", "makedns cn01"}},
		"old_address": {&zone{names: map[string][4]byte{"mgmt01.cluster.lab.": {10, 9, 0, 1}}}, Warn, []string{"is 10.9.0.1, while /etc/hosts has 10.10.0.1"}},
		"refuses":     {&zone{code: dnsmessage.RCodeRefused}, Fail, []string{"with Refused"}},
		"fails":       {&zone{code: dnsmessage.RCodeServerFailure}, Fail, []string{"with ServerFailure"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := dnsNode(t)
			tc.zone.serve(n, "127.0.0.1")
			n.want("dns", tc.want, tc.words...)
		})
	}
}

func TestDNSSilent(t *testing.T) {
	t.Parallel()
	n := dnsNode(t)
	(&zone{silent: true}).serve(n, "127.0.0.1")
	n.want("dns", Fail, "port 53 does not answer: i/o timeout")
}

// TestDNSOnOtherAddress has a server that does not listen on the loopback, as
// site.dnsinterfaces can say.
func TestDNSOnOtherAddress(t *testing.T) {
	n := dnsNode(t)
	(&zone{names: names()}).serve(n, "10.10.0.1")
	n.want("dns", Fail, "port 53 does not answer")
	n.Addresses = []string{"192.0.2.1", "10.10.0.1"}
	n.want("dns", Pass, "10.10.0.1")
	delete(n.ports, "10.10.0.1:53")
	n.want("dns", Fail, "port 53 does not answer: read: connection refused", "journalctl -b -u named.service")
}

// TestDNSIsWaitedFor has a server that still loads its zones.
func TestDNSIsWaitedFor(t *testing.T) {
	n := dnsNode(t)
	z := &zone{names: names(), loads: 2}
	z.serve(n, "127.0.0.1")
	n.Within = 20 * time.Second
	n.want("dns", Pass)
	if z.asked.Load() != 4 {
		t.Errorf("asked %d times", z.asked.Load())
	}
}

// TestDNSShortName has a node that is called without its domain.
func TestDNSShortName(t *testing.T) {
	n := dnsNode(t)
	n.Name = "mgmt01"
	(&zone{names: names()}).serve(n, "127.0.0.1")
	n.want("dns", Pass, "mgmt01.cluster.lab is 10.10.0.1")
}

const secret = "CANARY-c2VjcmV0"

func TestZones(t *testing.T) {
	n := dnsNode(t)
	(&zone{names: names()}).serve(n, "127.0.0.1")
	n.script("/usr/sbin/named-checkconf", `[ "$*" = -z ] || exit 9; echo "zone cluster.lab/IN: loaded serial 1"`)
	n.want("dns", Pass)
	n.script("/usr/sbin/named-checkconf", `echo "zone cluster.lab/IN: loading from master file db.cluster.lab failed: unknown RR type 'X'"
echo "zone cluster.lab/IN: not loaded due to errors."
echo "/etc/named.conf:12: unknown option near '`+secret+`'" >&2
exit 1`)
	n.want("dns", Warn, "is 10.10.1.1, but named-checkconf -z finds faults at zone cluster.lab, /etc/named.conf line 12: exit code 1", "makedns -n")
	delete(n.ports, "127.0.0.1:53")
	n.want("dns", Fail, "named-checkconf -z finds faults at zone cluster.lab", "port 53 does not answer")
	if p := n.ask("dns"); strings.Contains(p.Seen+p.Mend, secret) {
		t.Errorf("a secret is in %+v", p)
	}
	n.chtab("site", "INSERT INTO site (key, value) VALUES ('bindconf', '/etc/bind/named.conf')")
	n.script("/usr/sbin/named-checkconf", `[ "$*" = "-z /etc/bind/named.conf" ]`)
	(&zone{names: names()}).serve(n, "127.0.0.1")
	n.want("dns", Pass)
}

func TestDHCP(t *testing.T) {
	n := newNode(t)
	n.want("dhcp", Skip, "no DHCP server is to run here")
	n.runs("dhcpd")
	n.want("dhcp", Fail, "dhcpd.service has no configuration", "makedhcp -n")
	n.write("/etc/dhcpd.conf", 0o600, "subnet")
	n.want("dhcp", Warn, "dhcpd is not installed")
	n.script("/usr/sbin/dhcpd", `[ "$*" = "-t -cf /etc/dhcpd.conf" ] || exit 9; echo Internet Systems Consortium >&2`)
	n.want("dhcp", Pass, "/etc/dhcpd.conf is in order")
	n.write("/etc/dhcp/dhcpd.conf", 0o600, "subnet") // EL has it there
	n.want("dhcp", Fail, "exit code 9")

	// The words are those of dhcpd 4.4.3, which prints the line.
	n.script("/usr/sbin/dhcpd", `cat >&2 <<END
/etc/dhcp/dhcpd.conf line 1: invalid base64 character 33.
key xcat_key { algorithm hmac-md5; secret "`+secret+`" ;
                                           ^
/etc/dhcp/dhcpd.conf line 3: unknown option dhcp.foo
Configuration file errors encountered -- exiting
END
exit 1`)
	n.want("dhcp", Fail, "dhcpd -t -cf /etc/dhcp/dhcpd.conf finds faults at /etc/dhcp/dhcpd.conf line 1, /etc/dhcp/dhcpd.conf line 3: exit code 1",
		"systemctl restart dhcpd.service")
	if p := n.ask("dhcp"); strings.Contains(p.Seen+p.Mend, secret) {
		t.Errorf("a secret is in %+v", p)
	}
}

// TestDHCPHangs has a test of the configuration that does not end, and has said more
// than anybody may read.
func TestDHCPHangs(t *testing.T) {
	n := newNode(t)
	n.runs("dhcpd")
	n.write("/etc/dhcp/dhcpd.conf", 0o600, "subnet")
	n.script("/usr/sbin/dhcpd", "echo '"+secret+"' >&2; exec sleep 300")
	n.Limit = 300 * time.Millisecond
	n.want("dhcp", Fail, "deadline exceeded")
	if p := n.ask("dhcp"); strings.Contains(p.Seen+p.Mend, secret) {
		t.Errorf("a secret is in %+v", p)
	}
}

func TestKea(t *testing.T) {
	n := newNode(t)
	n.runs("kea-dhcp4-server", "kea-dhcp-ddns-server")
	n.write("/etc/kea/kea-dhcp4.conf", 0o640, "{}")
	n.write("/etc/kea/kea-dhcp-ddns.conf", 0o640, "{}")
	n.script("/usr/sbin/kea-dhcp4", `[ "$*" = "-t /etc/kea/kea-dhcp4.conf" ]`)
	n.script("/usr/sbin/kea-dhcp-ddns", `[ "$*" = "-t /etc/kea/kea-dhcp-ddns.conf" ]`)
	n.want("dhcp", Pass, "kea-dhcp4.conf is in order", "kea-dhcp-ddns.conf is in order")
	n.script("/usr/sbin/kea-dhcp-ddns", `echo "ERROR [kea] reason: /etc/kea/kea-dhcp-ddns.conf:7.12-19: syntax error, unexpected `+secret+`"; exit 1`)
	n.want("dhcp", Fail, "kea-dhcp-ddns -t /etc/kea/kea-dhcp-ddns.conf finds faults at /etc/kea/kea-dhcp-ddns.conf line 7", "restart kea-dhcp-ddns-server.service")
	if p := n.ask("dhcp"); strings.Contains(p.Seen, "kea-dhcp4") || strings.Contains(p.Seen, secret) {
		t.Errorf("%+v", p)
	}
}
