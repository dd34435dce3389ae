package restore

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/stack"
)

// checker is a planner for single checks, of a snapshot of host was, on host here.
func checker(t *testing.T, was artifact.Host, here hostFacts) *planner {
	t.Helper()
	root, err := host.OpenRoot("/")
	check(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return &planner{
		Options:  Options{Root: root, Runner: host.Exec{}, Stack: stack.XCAT(), Now: time.Unix(1.7e9, 0)},
		snapshot: &artifact.Snapshot{Config: artifact.Config{Host: was, Created: time.Unix(1.6e9, 0)}}, plan: &Plan{},
		checked: checked{here: here},
	}
}

// said returns what the only finding says, "" for none.
func said(t *testing.T, p *planner, code string, level Level) string {
	t.Helper()
	switch f := p.plan.Findings; {
	case len(f) == 0:
		return ""
	case len(f) > 1 || f[0].Code != code || f[0].Level != level:
		t.Errorf("findings %+v, want one, %s %s", f, level, code)
		return ""
	default:
		return f[0].Message
	}
}

// TestChecksAreComplete: every check of the list has a verdict, in its order, and
// whatever a plan finds is in the list.
func TestChecksAreComplete(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	p, err := NewPlan(t.Context(), f.m, f.s, f.options(t, root))
	check(t, err)
	var want, got []string
	for _, c := range checks() {
		if c.pass != "" || slices.ContainsFunc(p.Findings, func(f Finding) bool { return f.Code == c.code }) {
			want = append(want, c.code)
		}
	}
	for _, f := range p.Findings {
		if got = append(got, f.Code); f.Message == "" || f.Level == "" {
			t.Errorf("finding %+v", f)
		}
	}
	if got = slices.Compact(got); !slices.Equal(want, got) {
		t.Errorf("checks %v\nwant %v", got, want)
	}
	text, err := os.ReadFile("../docs/cli.md")
	check(t, err)
	for _, c := range checks() {
		if !strings.Contains(string(text), "`"+c.code+"`") {
			t.Errorf("docs/cli.md does not list the check %s", c.code)
		}
	}
	for _, code := range Codes() {
		if !slices.ContainsFunc(checks(), func(c preCheck) bool { return c.code == code }) {
			t.Errorf("%s can be allowed and is no check", code)
		}
	}
}

func TestClock(t *testing.T) {
	for behind, want := range map[time.Duration]Level{-time.Hour: "", 0: "", 30 * time.Second: "", time.Hour: Warn, 25 * time.Hour: Block} {
		p := checker(t, artifact.Host{}, hostFacts{})
		p.Now = p.snapshot.Config.Created.Add(-behind)
		p.checkClock()
		if says := said(t, p, CodeClock, want); (says == "") != (want == "") {
			t.Errorf("%s behind: %q, want %q", behind, says, want)
		}
	}
}

func TestAddressesAndNICs(t *testing.T) {
	was := artifact.Host{Addresses: []string{"10.0.0.1/8", "192.168.7.1/24", "fe80::1/64"}, NICs: []string{"docker0", "eth0", "eth1"}}
	here := hostFacts{Host: artifact.Host{Addresses: []string{"10.0.0.1/8"}}, nics: map[string][]netip.Prefix{"ens192": {netip.MustParsePrefix("10.0.0.1/8")}}}
	src := source{master: "192.168.7.1", networks: []map[string]string{{"net": "10.0.0.0", "mask": "255.0.0.0", "mgtifname": "eth0"}}}
	p := checker(t, was, here)
	p.checkAddresses(src)
	if says := said(t, p, codeAddress, Warn); says != "this host does not have 192.168.7.1 of the snapshot's host: site.master, other tables, DNS zones and boot files keep the old one" {
		t.Errorf("it says %q", says)
	}
	p = checker(t, was, here)
	p.checkNICs(src)
	if says := said(t, p, codeNICs, Warn); !strings.HasPrefix(says, "this host has no interface eth0 (ens192 here), eth1: ") {
		t.Errorf("it says %q", says)
	}
	p = checker(t, was, hostFacts{Host: was, nics: map[string][]netip.Prefix{"eth0": nil, "eth1": nil}})
	p.checkAddresses(src)
	p.checkNICs(src)
	if len(p.plan.Findings) > 0 {
		t.Errorf("findings %+v", p.plan.Findings)
	}
}

// names answers as DNS does, from a map of questions.
type names map[string][]string

func (n names) LookupHost(_ context.Context, name string) ([]string, error) { return n[name], nil }
func (n names) LookupAddr(_ context.Context, a string) ([]string, error) {
	return n[a], errors.New("a server that is gone")
}

func TestNameResolution(t *testing.T) {
	for name, tt := range map[string]struct {
		hosts string
		dns   names
		want  string // what it says, "" for nothing
	}{
		"a line of its own":     {"10.0.0.1 mn.c mn\n", nil, ""},
		"the long name alone":   {"10.0.0.1 mn.c\n", nil, ""},
		"DNS":                   {"", names{"mn": {"10.0.0.1"}, "10.0.0.1": {"mn.c."}}, ""},
		"nothing":               {"127.0.0.1 localhost\n# 10.0.0.1 mn\n", nil, "leads to no address"},
		"loopback":              {"127.0.1.1 mn.c mn\n10.0.0.1 mn\n", nil, "leads to 127.0.1.1"},
		"another machine":       {"10.0.0.9 mn\n", nil, "leads to 10.0.0.9, which this host does not have"},
		"no way back":           {"", names{"mn": {"10.0.0.1"}}, "leads to no name"},
		"another name back":     {"", names{"mn": {"10.0.0.1"}, "10.0.0.1": {"other."}}, "leads to another name: other."},
		"another name in front": {"10.0.0.1 cn1\n10.0.0.1 mn\n", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			here := hostFacts{Host: artifact.Host{Name: "mn", FQDN: "mn.c", Addresses: []string{"10.0.0.1/8", "fd00::1/64"}}}
			p := checker(t, artifact.Host{}, here)
			root := t.TempDir()
			putFile(t, root, "etc/hosts", tt.hosts)
			p.Root, p.resolver = openRootAt(t, root), tt.dns
			check(t, p.checkResolution(t.Context()))
			if says := said(t, p, codeResolution, Warn); (says == "") != (tt.want == "") || !strings.Contains(says, tt.want) {
				t.Errorf("it says %q, want %q", says, tt.want)
			}
			if tt.want != "" && !strings.HasPrefix(p.plan.Findings[0].Remedy, "give /etc/hosts the line: 10.0.0.1 mn.c mn") {
				t.Errorf("remedy %q", p.plan.Findings[0].Remedy)
			}
		})
	}
}

func openRootAt(t *testing.T, dir string) *host.Root {
	t.Helper()
	root, err := host.OpenRoot(dir)
	check(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func TestOldNode(t *testing.T) {
	was := artifact.Host{Addresses: []string{"10.0.0.1/8", "10.0.0.2/8", "10.0.0.3/8", "10.0.0.4/8", "fe80::9/64"}}
	p := checker(t, was, hostFacts{Host: artifact.Host{Addresses: []string{"10.0.0.4/8"}}})
	asked := make(chan string, 10)
	p.dial = func(ctx context.Context, _, address string) (net.Conn, error) {
		asked <- address
		switch address {
		case "10.0.0.1:3001", "10.0.0.9:3001":
			a, _ := net.Pipe()
			return a, nil
		case "10.0.0.2:3001":
			return nil, unix.ECONNREFUSED
		}
		<-ctx.Done() // nobody is there
		return nil, ctx.Err()
	}
	p.checkOldNode(t.Context(), source{port: "3001", master: "10.0.0.9"})
	close(asked)
	var all []string
	for a := range asked {
		all = append(all, a)
	}
	slices.Sort(all)
	if want := []string{"10.0.0.1:3001", "10.0.0.2:3001", "10.0.0.3:3001", "10.0.0.9:3001"}; !slices.Equal(all, want) {
		t.Errorf("asked %v, want %v", all, want)
	}
	var got []string
	for _, f := range p.plan.Findings {
		got = append(got, string(f.Level)+" "+f.Override)
	}
	if want := []string{"block --allow old-node", "warn ", "block --allow old-node"}; !slices.Equal(got, want) {
		t.Errorf("findings %+v", p.plan.Findings)
	}
}

// TestDuplicates: addresses of the snapshot that this host has are asked for on
// their own network.
func TestDuplicates(t *testing.T) {
	was := artifact.Host{Addresses: []string{"10.0.0.1/8", "10.0.0.2/8", "10.0.0.3/8"}}
	p := checker(t, was, hostFacts{nics: map[string][]netip.Prefix{"eth0": {netip.MustParsePrefix("10.0.0.1/8"), netip.MustParsePrefix("10.9.9.9/8")}, "eth1": {netip.MustParsePrefix("10.0.0.2/8")}}})
	p.duplicate = func(_ context.Context, nic string, a netip.Addr) (net.HardwareAddr, error) {
		switch nic + " " + a.String() {
		case "eth0 10.0.0.1":
			return net.HardwareAddr{2, 0, 0, 0, 0, 1}, nil
		case "eth1 10.0.0.2":
			return nil, unix.EPERM
		}
		t.Errorf("%s was asked for on %s", a, nic)
		return nil, nil //nolint:nilnil // nobody
	}
	p.checkDuplicates(t.Context(), source{})
	if says := said(t, p, CodeOldNode, Block); says != "another machine has the address 10.0.0.1 of this host too, says the network of eth0: 02:00:00:00:00:01" {
		t.Errorf("it says %q", says)
	}
}

// TestOldNodeIsLeftAlone: where nothing is started nobody is asked.
func TestOldNodeIsLeftAlone(t *testing.T) {
	for name, set := range map[string]func(*planner){
		"standby": func(p *planner) { p.Standby = true }, "no start": func(p *planner) { p.NoStart = true },
		"mounted": func(p *planner) { p.Root = openRootAt(t, t.TempDir()) },
	} {
		p := checker(t, artifact.Host{Addresses: []string{"192.0.2.9/24"}}, hostFacts{Host: artifact.Host{Name: "mn"}})
		p.resolver = names{}
		p.dial = func(context.Context, string, string) (net.Conn, error) {
			t.Errorf("%s: somebody was asked", name)
			return nil, unix.ECONNREFUSED
		}
		set(p)
		check(t, p.checkNetwork(t.Context()))
		if p.checked.probed == "" {
			t.Errorf("%s: it does not say why", name)
		}
	}
}

func TestOtherServers(t *testing.T) {
	root := t.TempDir()
	putFile(t, root, "usr/lib/systemd/system/tftp.socket", "[Install]\nWantedBy=sockets.target\n")
	putFile(t, root, "usr/lib/systemd/system/xinetd.service", "[Install]\nWantedBy=sockets.target\n")
	putFile(t, root, "usr/lib/systemd/system/dnsmasq.service", "[Install]\nWantedBy=sockets.target\n")
	wants := filepath.Join(root, "etc/systemd/system/sockets.target.wants")
	check(t, os.MkdirAll(wants, 0o755))
	for _, unit := range []string{"tftp.socket", "xinetd.service"} {
		check(t, os.Symlink("/usr/lib/systemd/system/"+unit, filepath.Join(wants, unit)))
	}
	p := checker(t, artifact.Host{}, hostFacts{})
	p.Root = openRootAt(t, root)
	check(t, p.checkServers(t.Context()))
	if says := said(t, p, codeServers, Warn); !strings.HasPrefix(says, "tftp.socket may serve TFTP") || p.plan.Findings[0].Remedy != "systemctl disable --now tftp.socket" {
		t.Errorf("findings %+v", p.plan.Findings)
	}
	table := "  sl  local_address rem_address\n 49: 00000000:0043 00000000:0000 07\n 50: 00000000000000000000000000000000:0045 0:0 07\n"
	if ports := boundPorts(table); !slices.Equal(ports, []uint16{67, 69}) {
		t.Errorf("ports %v", ports)
	}
}

func TestCertificateFaults(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	pub, good, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	small := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	made := func(from, until time.Time, key any) string {
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mn"}, NotBefore: from, NotAfter: until},
			&x509.Certificate{Subject: pkix.Name{CommonName: "CA"}}, key, good)
		check(t, err)
		return "Certificate:\n    Data:\n" + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	old := time.Unix(0, 0)
	for _, tt := range []struct{ text, want string }{
		{made(old, now.Add(200*24*time.Hour), pub), ""},
		{made(old, now.Add(100*24*time.Hour), pub), "expires on 2026-09-09"},
		{made(old, now.Add(-24*time.Hour), pub), "expired on 2026-05-31"},
		{made(now.Add(time.Hour), now.Add(1000*24*time.Hour), pub), "is valid from 2026-06-01 only"},
		{made(old, now.Add(200*24*time.Hour), small), "has a key of 1024 bits, which current crypto policies refuse"},
		{"no certificate", "holds no certificate"},
		{"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read: "},
		{sha1Certificate, "is valid from 2026-11-26 only, is signed with SHA1-RSA, which current crypto policies refuse, has a key of 1024 bits, which current crypto policies refuse"},
	} {
		if got := strings.Join(faults([]byte(tt.text), now), ", "); got != tt.want && (tt.want == "" || !strings.HasPrefix(got, tt.want)) {
			t.Errorf("it says %q, want %q", got, tt.want)
		}
	}
}

// sha1Certificate is of an old CA: openssl req -x509 -newkey rsa:1024 -sha1. Its key
// was thrown away.
const sha1Certificate = `-----BEGIN CERTIFICATE-----
MIIB+DCCAWGgAwIBAgIUZjNrutO9UsFAQG8tri4k4xFEeU8wDQYJKoZIhvcNAQEF
BQAwDjEMMAoGA1UEAwwDb2xkMB4XDTI2MTEyNjA1MDkyOVoXDTI2MTIxNjA1MDky
OVowDjEMMAoGA1UEAwwDb2xkMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDJ
SSQjYMLhYfgTVbIDtberqQP57f8rLQ5JFOgN9zSj5MrHTJeJhI9eYzy58ibS9V3u
gxlXPTvXLmWJ1dUDy5chtj2ZO5ql8ZDm+Ov+8W1kWckrOTg8RgsJLpn/G25i6mq0
VLd4mnc1+1mQhiCLp/lJjfjH70g+Wx0f9vL+CyJqLQIDAQABo1MwUTAdBgNVHQ4E
FgQUmKvUSmizWsNcgSRNSFNlYdvIxqEwHwYDVR0jBBgwFoAUmKvUSmizWsNcgSRN
SFNlYdvIxqEwDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQUFAAOBgQAfNQQg
UsnTSkuyIp/cWzPa5OkIjYSm2Kd21U6XSXP/KoDU/tpWtRX5QTD4VaB7/d0wwtgs
sP3w4AXgX3axo8a6HuVdGl3LOeAP8BOh1dz6POERjKql6y0uLGCsjThYH2iBeRjr
P8oJIz7LKPT/RRtOk3+jUl3reU6i32ZgAu4EOA==
-----END CERTIFICATE-----`

// TestBuilds: another build of the same version is told from another version.
func TestBuilds(t *testing.T) {
	p := checker(t, artifact.Host{}, hostFacts{})
	for _, old := range []artifact.Package{
		{Name: "xCAT", Version: "2.17.0", Release: "snap1"}, {Name: "xCAT-server", Version: "2.16.0", Release: "snap1"}, {Name: "other", Version: "2.17.0", Release: "snap1"},
	} {
		p.noteBuild(old, artifact.Package{Name: old.Name, Version: "2.17.0", Release: "snap2"})
	}
	p.checkBuild()
	if says := said(t, p, codeStackBuild, Warn); !strings.HasSuffix(says, "installed here: xCAT-2.17.0-snap1. for xCAT-2.17.0-snap2.") {
		t.Errorf("it says %q", says)
	}
}

// TestSourceTables: address, port and networks are read from the snapshot's tables.
func TestSourceTables(t *testing.T) {
	m := memory{}
	needRoot(t)
	f := fixture{m, snapshot(t, m, copyTables(t, t.TempDir(), "site", "networks"))}
	p := checker(t, artifact.Host{}, hostFacts{})
	p.fetcher, p.snapshot = f.m, f.s
	src, err := p.source(t.Context())
	check(t, err)
	if src.master == "" || src.port != "3001" || len(src.networks) == 0 || src.networks[0]["mgtifname"] == "" {
		t.Errorf("source %+v", src)
	}
}
