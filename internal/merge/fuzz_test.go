package merge

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// sameUnderOtherName checks that it does not matter by which of its names the host
// goes: the merged file decides that, the next time.
func sameUnderOtherName(t *testing.T, self Self, merged, snapshot []byte) {
	t.Helper()
	for _, name := range []string{"", "mn.x", "mn.y"} {
		if name != "" && !slices.ContainsFunc(parseHosts(merged), func(l hostsLine) bool { return slices.Contains(l.names, name) && slices.Contains(l.names, "mn") }) {
			continue
		}
		self.Names = []string{"mn", name}
		if again := Hosts(merged, snapshot, self); !bytes.Equal(again.Content, merged) {
			t.Errorf("called %q: snapshot %q\nmerged %q\nagain  %q", name, snapshot, merged, again.Content)
		}
	}
}

// property checks what every merge promises: merged again it is the same, and no
// line of the snapshot that is no comment is without an answer.
func property(t *testing.T, merge func(host, snapshot []byte) Result, host, snapshot []byte) []byte {
	t.Helper()
	got := merge(host, snapshot)
	again := merge(got.Content, snapshot)
	if !bytes.Equal(again.Content, got.Content) {
		t.Errorf("host %q\nsnapshot %q\nmerged %q\nagain  %q", host, snapshot, got.Content, again.Content)
	}
	return got.Content
}

func testSelf() Self {
	return Self{Names: []string{"mn", "mn.x"}, Addresses: []string{"10.0.0.9/24", "192.168.0.9/16", "fd00::9/64"}}
}

func hostsAs(self Self) func(host, snapshot []byte) Result {
	return func(host, snapshot []byte) Result { return Hosts(host, snapshot, self) }
}

// leadsHome checks that the host's name leads to it, if it leads anywhere.
func leadsHome(t *testing.T, snapshot, merged []byte) {
	t.Helper()
	offered := slices.ContainsFunc(parseHosts(snapshot), func(l hostsLine) bool { return l.isReal() && hasAny(l.names, lineSet{"mn": true, "mn.x": true}) })
	m := hostsMerge{own: lineSet{}}
	m.know(testSelf())
	m.host, m.snapshot = parseHosts(merged), parseHosts(snapshot)
	m.knowDomains()
	for _, l := range parseHosts(merged) {
		if offered && l.isEntry() && hasAny(l.names, m.own) && !m.has(l.addr) {
			t.Errorf("%q leads elsewhere in %q, snapshot %q", l.raw, merged, snapshot)
		}
	}
}

func FuzzHosts(f *testing.F) {
	f.Add("127.0.0.1 localhost\n127.0.1.1 mn.x mn\n# c\n10.1.1.1 a b", "10.0.0.1 mn.x mn # x\n\n10.1.1.2 a\nfe80::1%eth0 z")
	f.Add(" 1.1.1.1\tmn\u00a0a\r\n", "::ffff:10.0.0.9 mn\n")
	f.Fuzz(func(t *testing.T, host, snapshot string) {
		leadsHome(t, []byte(snapshot), property(t, hostsAs(testSelf()), []byte(host), []byte(snapshot)))
		property(t, hostsAs(Self{Names: []string{"mn", "mn.x"}}), []byte(host), []byte(snapshot))
	})
}

func FuzzAuthorizedKeys(f *testing.F) {
	k := sshKeys(f, 2)
	f.Add("# a\nno-pty "+k[0]+" x", k[0]+"\n# b\nfrom=\"a b\" "+k[1])
	f.Fuzz(func(t *testing.T, host, snapshot string) { property(t, AuthorizedKeys, []byte(host), []byte(snapshot)) })
}

func FuzzKnownHosts(f *testing.F) {
	k := sshKeys(f, 2)
	f.Add("a,b "+k[0]+"\n@revoked a "+k[1], "# b\na,,c "+k[1])
	f.Fuzz(func(t *testing.T, host, snapshot string) { property(t, KnownHosts, []byte(host), []byte(snapshot)) })
}

func FuzzExports(f *testing.F) {
	f.Add("/a b(rw) \\\n c\n\"/x y\" d\n# \\", "/a b(ro)\n/a\\040b c\\")
	f.Fuzz(func(t *testing.T, host, snapshot string) { property(t, Exports, []byte(host), []byte(snapshot)) })
}

// TestRandomMerges merges files put together from lines that meet each other in
// every way.
func TestRandomMerges(t *testing.T) {
	k := sshKeys(t, 3)
	pools := map[string]struct {
		merge func(host, snapshot []byte) Result
		lines []string
	}{
		"hosts": {hostsAs(testSelf()), []string{
			"127.0.0.1 localhost", "127.0.0.1 localhost mn", "127.0.1.1 mn.x mn", "127.0.1.1 mn", "::1 localhost", "10.0.0.1 mn.x mn", "10.0.0.9 mn",
			"10.0.0.9 mn.x mn a", "10.0.0.9 mn mn.y", "10.0.0.1 mn.y", "192.168.0.9 mn", "fd00::9 mn.x", "fd00::1 mn b", "10.1.1.1 a", "10.1.1.1 a b", "10.1.1.2 b a", "10.1.1.3 c", "# one", "# two", "", "odd",
		}},
		"hosts_mounted": {hostsAs(Self{Names: []string{"mn", "mn.x"}}), []string{
			"127.0.0.1 localhost", "127.0.1.1 mn.x mn", "10.0.0.1 mn.x mn", "10.0.0.2 mn.y mn", "10.0.0.9 mn", "10.1.1.1 a b", "10.1.1.2 b a", "# one", "",
		}},
		"authorized_keys": {AuthorizedKeys, []string{k[0], k[1], k[2], "no-pty " + k[0], k[1] + " x", "# one", "# two", "", "odd"}},
		"known_hosts": {KnownHosts, []string{
			"a " + k[0], "a " + k[1], "a,b " + k[0], "b " + k[2], "a,b,c " + k[1], "@revoked a " + k[0], "@cert-authority * " + k[2], "# one", "", "odd",
		}},
		"exports": {Exports, []string{"/a x", "/a y", "/b x", "/b/ x  z", "/c x \\", " z", "\"/d e\" x", "# one", "# two", "", "odd"}},
	}
	for name, pool := range pools {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			file := func() []byte {
				var lines []string
				for range r.IntN(7) {
					lines = append(lines, pool.lines[r.IntN(len(pool.lines))])
				}
				return []byte(strings.Join(lines, "\n") + strings.Repeat("\n", r.IntN(3)))
			}
			for range 3000 {
				host, snapshot := file(), file()
				got := property(t, pool.merge, host, snapshot)
				switch name {
				case "hosts":
					leadsHome(t, snapshot, got)
					first := Hosts(host, snapshot, Self{Names: []string{"mn"}, Addresses: testSelf().Addresses})
					sameUnderOtherName(t, testSelf(), first.Content, snapshot)
				case "hosts_mounted":
					first := Hosts(host, snapshot, Self{Names: []string{"mn"}})
					sameUnderOtherName(t, Self{}, first.Content, snapshot)
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}
