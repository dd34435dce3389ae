package hosttest

import (
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// Canary is in every secret value of the sample: passwords, keys, community
// strings and hashes. Where it turns up, a secret leaked.
const Canary = "CANARY-"

// SampleOptions say what the sample management node is like. The zero value is
// the usual one.
type SampleOptions struct {
	// Nodes is the number of managed nodes, 300 if zero, at most 60,000.
	Nodes int
	// Seed chooses the random content: keys, images, canaries. The same
	// options make the same tree, byte for byte.
	Seed uint64
	// InstallFiles and InstallBytes add that many files, with that many bytes
	// together, below /install/custom/bulk: two thirds of the bytes are text, a
	// third is in rpms of random content.
	InstallFiles int
	InstallBytes int64
	// SingleOwner makes a tree that needs no privilege to write or read: all
	// entries belong to who runs it, there are no device nodes and no
	// xattrs but user.*, files of mode 0000 have 0400, and the owner may
	// write to every directory.
	SingleOwner bool
}

// sample is the management node being made.
type sample struct {
	*writer
	opts  SampleOptions
	facts facts
	funcs template.FuncMap
}

// facts is what the fixtures' templates see.
type facts struct {
	Hostname, MachineID      string
	Version, Release, Commit string // of xCAT
	Nodes                    []managed
	Units                    map[string]string // description by unit, xcatd aside
}

// First returns the first n managed nodes, or all there are.
func (f facts) First(n int) []managed { return f.Nodes[:min(n, len(f.Nodes))] }

// managed is a managed node.
type managed struct {
	Name, IP, BMC, MAC string
	Reverse            string // last two octets of IP, swapped: its name in the reverse zone
	HexIP, DashMAC     string // as boot loaders ask for them: 0A0A0101, 52-54-00-...
	Rack               int
}

func managedNodes(n int) []managed {
	all := make([]managed, n)
	for i := range all {
		hi, lo := 1+i/250, 1+i%250
		mac := fmt.Sprintf("52:54:00:%02x:%02x:%02x", i>>16, i>>8&0xff, i&0xff)
		all[i] = managed{
			Name: fmt.Sprintf("cn%04d", i+1), IP: fmt.Sprintf("10.10.%d.%d", hi, lo), BMC: fmt.Sprintf("10.20.%d.%d", hi, lo),
			MAC: mac, Reverse: fmt.Sprintf("%d.%d", lo, hi), HexIP: fmt.Sprintf("0A0A%02X%02X", hi, lo),
			DashMAC: strings.ReplaceAll(mac, ":", "-"), Rack: 1 + i/40,
		}
	}
	return all
}

// SampleMN makes directory dir, which must be empty or missing, the root of an
// xCAT management node on Rocky 9.6: its database, keys, configuration, /install
// and /tftpboot with real packages, a media tree and a diskless image, and on
// purpose all that is awkward in a filesystem. Times are fixed, the clock is
// never read. It needs root unless o.SingleOwner is set.
func SampleMN(dir string, o SampleOptions) error {
	if o.Nodes == 0 {
		o.Nodes = 300
	}
	if o.Nodes < 0 || o.Nodes > 60_000 {
		return fmt.Errorf("sample: %d nodes, at most 60000", o.Nodes)
	}
	dir, err := filepath.Abs(dir) // SQLite takes a URI
	if err != nil {
		return fmt.Errorf("sample: %w", err)
	}
	s := &sample{opts: o, facts: facts{
		Hostname: "mgmt01", MachineID: "5a3c1e0f2b4d46879a1b2c3d4e5f6071",
		Version: xcatVersion, Release: xcatRelease, Commit: "8d6f0c1b2a394e5f60718293a4b5c6d7e8f90a1b",
		Nodes: managedNodes(o.Nodes),
		Units: map[string]string{
			"named": "Berkeley Internet Name Domain (DNS)", "httpd": "The Apache HTTP Server", "dhcpd": "DHCPv4 Server Daemon",
			"goconserver": "goconserver console daemon", "nfs-server": "NFS server and services", "chronyd": "NTP client/server",
			"firewalld": "firewalld - dynamic firewall daemon",
		},
	}}
	s.funcs = template.FuncMap{"canary": s.canary}
	w, err := openRoot(dir, "accounts.txt", s.funcs, s.facts, o.SingleOwner)
	if err != nil {
		return err
	}
	s.writer = w
	for p := range packageFiles() {
		w.fixed[p] = buildTime()
	}
	for _, name := range []string{"system.txt", "xcat.txt", "install.txt"} {
		s.fixture(name)
	}
	s.keys()
	s.database()
	s.images()
	s.media()
	s.bootFiles()
	s.packages()
	s.awkward()
	s.bulk()
	return s.finish()
}

// openRoot begins a root: what every EL 9 has, and the accounts of fixture
// accountsName, which are those the owners of all later entries are looked up in.
func openRoot(dir, accountsName string, funcs template.FuncMap, f facts, single bool) (*writer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	switch old, err := os.ReadDir(dir); {
	case err != nil:
		return nil, err
	case len(old) > 0:
		return nil, fmt.Errorf("sample root %q: not empty", dir)
	case !single && os.Geteuid() != 0:
		return nil, fmt.Errorf("sample root %q: several owners need root; SingleOwner does without", dir)
	}
	text, err := render(accountsName, funcs, f)
	if err != nil {
		return nil, err
	}
	people, err := parseFixture(accountsName, text)
	if err != nil {
		return nil, err
	}
	var ids accounts
	for p, set := range map[string]*map[string]int{"etc/passwd": &ids.users, "etc/group": &ids.groups} {
		e, err := find(people, p)
		if err != nil {
			return nil, err
		}
		if *set, err = parseIDs(e.body); err != nil {
			return nil, err
		}
	}
	if text, err = render("distro.txt", funcs, f); err != nil {
		return nil, err
	}
	distro, err := parseFixture("distro.txt", text)
	if err != nil {
		return nil, err
	}
	w := newWriter(dir, ids, single)
	w.put(distro)
	w.put(people)
	for _, shell := range []string{"usr/bin/bash", "usr/sbin/init"} {
		w.file(shell, 0o755, "root:root", elfHeader())
	}
	return w, nil
}

// fixture renders and makes the entries of one file of testdata/samplemn.
func (s *sample) fixture(name string) {
	text, err := render(name, s.funcs, s.facts)
	if err == nil {
		var all []fixtureEntry
		all, err = parseFixture(name, text)
		s.put(all)
	}
	s.fail(name, err)
}

// canary returns the secret with that name: always the same for one seed.
func (s *sample) canary(name string) string {
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%d %s", s.opts.Seed, name) // a hash.Hash never fails
	return fmt.Sprintf("%s%s-%08x", Canary, name, h.Sum32())
}

// random returns the seed's stream of random bytes for one purpose, so that
// content does not depend on the order in which it is made.
func (s *sample) random(purpose string) *rand.ChaCha8 {
	return rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d %s", s.opts.Seed, purpose)))
}

// noise returns n random bytes.
func (s *sample) noise(purpose string, n int) []byte {
	b := make([]byte, n)
	_, err := io.ReadFull(s.random(purpose), b)
	s.fail(purpose, err)
	return b
}

// BaseRoot makes directory dir, which must be empty or missing, what a fresh
// install of the same distro leaves, with nothing of xCAT in it. Its system
// accounts have other ids than the sample's, and conserver is missing: whoever
// restores owners by number is found out. Run by someone other than root, all
// entries belong to who runs it.
func BaseRoot(dir string) error {
	single := os.Geteuid() != 0
	w, err := openRoot(dir, "base-accounts.txt", nil, facts{Hostname: "localhost.localdomain", MachineID: "00112233445566778899aabbccddeeff"}, single)
	if err != nil {
		return err
	}
	text, err := render("base.txt", nil, nil)
	if err != nil {
		return err
	}
	all, err := parseFixture("base.txt", text)
	if err != nil {
		return err
	}
	w.put(all)
	return w.finish()
}

// elfHeader is the shortest file that file(1) calls an x86-64 executable: an ELF
// header (elf(5)) and nothing behind it.
func elfHeader() []byte {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01") // 64 bits, little endian, version 1
	b[16], b[18], b[20] = 2, 62, 1 // ET_EXEC, EM_X86_64, EV_CURRENT
	b[52], b[54], b[58] = 64, 56, 64
	return b
}

// epoch is the time the sample's certificates start from, as xCAT's do not use
// the clock either.
func epoch() time.Time { return time.Unix(0, 0).UTC() }
