package dbserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/host"
)

// TestScramVerifier checks both keys with the exchange of RFC 7677, section 3: the
// server's signature, and the proof of the client.
func TestScramVerifier(t *testing.T) {
	const (
		nonce     = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
		exchange  = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=" + nonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=" + nonce
		signature = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
		proof     = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	)
	salt, rounds, err := parseScram("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$x:y")
	check(t, err)
	v, err := scramWith("pencil", salt, rounds)
	check(t, err)
	keys := strings.Split(v[strings.LastIndex(v, "$")+1:], ":")
	stored, err := base64.StdEncoding.DecodeString(keys[0])
	check(t, err)
	server, err := base64.StdEncoding.DecodeString(keys[1])
	check(t, err)
	if got := base64.StdEncoding.EncodeToString(mac(server, exchange)); got != signature {
		t.Errorf("signature of the server %s", got)
	}
	client, err := base64.StdEncoding.DecodeString(proof)
	check(t, err)
	for i, b := range mac(stored, exchange) {
		client[i] ^= b
	}
	if sum := sha256.Sum256(client); !bytes.Equal(sum[:], stored) {
		t.Error("the client's proof does not fit the stored key")
	}
	a, err := scramVerifier("pencil")
	check(t, err)
	b, err := scramVerifier("pencil")
	check(t, err)
	if a == b || !isScramOf(a, "pencil") || isScramOf(a, "pencil2") {
		t.Errorf("verifiers %s and %s", a, b)
	}
	for _, bad := range []string{"", "md5abc", "SCRAM-SHA-256$0:AA==$a:b", "SCRAM-SHA-256$99999999999:AA==$a:b", "SCRAM-SHA-256$4096:!$a:b", "SCRAM-SHA-256$4096"} {
		if isScramOf(bad, "") || isScramOf(bad, "x") {
			t.Errorf("%q fits", bad)
		}
	}
}

func TestNativeHash(t *testing.T) {
	// SELECT PASSWORD('mariadb') of MariaDB's documentation.
	if h := nativeHash("mariadb"); h != "*54958E764CE10E50764C2EECBB71D01F08549980" {
		t.Errorf("hash %s", h)
	}
}

// TestHBATokens holds to what next_token and next_field_expand of PostgreSQL do.
func TestHBATokens(t *testing.T) {
	for line, want := range map[string]string{
		`host all all 127.0.0.1/32 md5`:    `[host][all][all][127.0.0.1/32][md5]`,
		"  local\tall  all\tpeer # rest":   `[local][all][all][peer]`,
		`host "a b","c""d", e u 10/8 md5`:  `[host]["a b" "c\"d"q e][u][10/8][md5]`,
		`host db1 , db2 u 1.1.1.1 2.2 md5`: `[host][db1 db2][u][1.1.1.1][2.2][md5]`,
		`host "#x" u a#b`:                  `[host]["#x"][u][a]`,
		`# comment`:                        ``,
		`host "" ,x u`:                     `[host][""q x][u]`,
	} {
		var b strings.Builder
		for _, f := range hbaFields(line) {
			var words []string
			for _, w := range f {
				s := w.text
				if w.quoted {
					s = fmt.Sprintf("%q", w.text)
				}
				words = append(words, s)
			}
			fmt.Fprintf(&b, "[%s]", strings.Join(words, " "))
		}
		if got := b.String(); got != strings.ReplaceAll(want, `"q`, `"`) {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	lines := parseHBA("# a\n\nhost all \\\n all 10/8 md5\nlocal all all peer")
	if len(lines) != 2 || lines[0].number != 3 || lines[0].at != 5 || len(lines[0].fields) != 5 || lines[1].number != 5 {
		t.Errorf("lines: %+v", lines)
	}
}

func TestHBAAccess(t *testing.T) {
	const file = `# written by hand
local all all peer
host all all 127.0.0.1/32 md5
host all all ::1/128 md5
host    all          all        10.10.0.1/32      md5
hostssl xcatdb,other "xcatadm"  10.20.0.0  255.255.0.0  scram-sha-256
host all +admins 10.30.0.0/16 md5
host "all" all 10.40.0.0/16 md5
host all other 10.50.0.0/16 md5
host all all sn01.cluster trust
host all all .rack1 md5
host all all samenet md5
host all all 10.60.0.0/16 reject
host replication all 10.70.0.0/16 md5
host sameuser all 10.80.0.0/16 md5
hostnossl @dbs xcatadm all md5
host all all 0.0.0.0/0 md5
host all all all md5
include other.conf
`
	peers, warnings := hbaAccess(file, "xcatdb", "xcatadm")
	if got := fmt.Sprint(peers); got != "[10.10.0.1 10.20.0.0/16 sn01.cluster .rack1 0.0.0.0/0 all]" {
		t.Errorf("access: %s", got)
	}
	for _, want := range []string{"line 7:", "line 10: lets in without", "line 12: lets in the networks", "line 13: refuses", "line 16:", "line 19: what is included"} {
		if !says(warnings, want) {
			t.Errorf("no warning %q in %q", want, warnings)
		}
	}
	if len(warnings) != 6 {
		t.Errorf("warnings: %q", warnings)
	}
	if peers, _ := hbaAccess("host sameuser all 10.80.0.0/16 md5", "x", "x"); len(peers) != 1 {
		t.Errorf("sameuser: %v", peers)
	}
}

// TestPeers goes through both forms and back.
func TestPeers(t *testing.T) {
	for entry, want := range map[string][2]string{
		"10.1.2.3": {"10.1.2.3/32", "10.1.2.3"}, "10.0.0.0/8": {"10.0.0.0/8", "10.0.0.0/255.0.0.0"}, "0.0.0.0/0": {"0.0.0.0/0", "0.0.0.0/0.0.0.0"},
		"10.1.128.0/17": {"10.1.128.0/17", "10.1.128.0/255.255.128.0"}, "fe80::1": {"fe80::1/128", "fe80::1"}, "fd00::/8": {"fd00::/8", ""},
		"sn01": {"sn01", "sn01"}, ".cluster": {".cluster", "%.cluster"}, "all": {"all", "%"},
	} {
		p, err := parsePeer(entry)
		check(t, err)
		h, _ := p.mysql()
		if p.String() != entry || p.hba() != want[0] || h != want[1] {
			t.Errorf("%s: %s, %s, %s", entry, p, p.hba(), h)
		}
		if h == "" {
			continue
		}
		if back, ok := mysqlPeer(h); !ok || back != p {
			t.Errorf("%s: back from %s: %v", entry, h, back)
		}
	}
	for h, want := range map[string]string{"10.%": "10.0.0.0/8", "10.1.2.%": "10.1.2.0/24", "": "all", "sn_1": "sn_1"} {
		if p, ok := mysqlPeer(h); !ok || p.String() != want {
			t.Errorf("%q: %v", h, p)
		}
	}
	for _, h := range []string{"sn%", "10.%.1", "10.1.2.3.%", "10.0.0.0/255.0.255.0", "300.%", "all"} {
		if p, ok := mysqlPeer(h); ok {
			t.Errorf("%q: %v", h, p)
		}
	}
}

// TestBlocks puts a block into files of all shapes and takes it out again: not a
// byte changes.
func TestBlocks(t *testing.T) {
	block := makeBlock([]string{"a", "b"})
	for _, text := range []string{"", "x", "x\n", "\n", "\n\n", "x\ny", "x\r\ny\r\n", "# xcrate\n"} {
		for at := 0; at <= len(text); at++ {
			if at > 0 && text[at-1] != '\n' && at < len(text) {
				continue
			}
			with := insertBlock(text, block, at)
			rest, cut, _, err := cutBlock(with)
			if err != nil || rest != text || strings.Trim(cut, "\n") != strings.Trim(block, "\n") {
				t.Errorf("%q at %d: %q, %q, %v", text, at, rest, cut, err)
			}
			if again := insertBlock(rest, block, at); again != with {
				t.Errorf("%q at %d: not the same again", text, at)
			}
		}
	}
	for _, text := range []string{block + block, "# xcrate: begin\n", "# xcrate: end\n", "# xcrate: begin\n# xcrate: begin\n# xcrate: end\n"} {
		if _, _, _, err := cutBlock(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestPgSettings(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"postgresql.conf":  "# x\nlisten_addresses = 'localhost, it''s'  # c\nPort 5433 # c\nssl=on\ninclude_dir = 'conf.d'\ninclude_if_exists 'none'\ninclude 'more'\n",
		"conf.d/b.conf":    "a = 2\n",
		"conf.d/a.conf":    "a = 1\nb='x\\'y'\n",
		"conf.d/.h.conf":   "a = 3\n",
		"conf.d/note":      "a = 4\n",
		"more":             "ssl off\n",
		"loop/postgresql":  "include 'postgresql'\n",
		"missing.conf":     "include 'not there'\n",
		"listen/none.conf": "listen_addresses = ''\n",
	} {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	root, err := host.OpenRoot(dir)
	check(t, err)
	defer root.Close()
	m := &machine{root: root}
	got, err := m.pgSettings("/postgresql.conf")
	check(t, err)
	if fmt.Sprint(got) != "map[a:2 b:x'y listen_addresses:localhost, it's port:5433 ssl:off]" {
		t.Errorf("settings: %v", got)
	}
	for _, bad := range []string{"/loop/postgresql", "/missing.conf", "/none"} {
		if _, err := m.pgSettings(bad); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestPgListens(t *testing.T) {
	for _, tc := range []struct {
		setting, want, next string
	}{
		{"localhost", "10.0.0.1", "localhost,10.0.0.1"},
		{"*", "10.0.0.1 fd00::1 mgmt01", ""},
		{"0.0.0.0", "10.0.0.1", ""},
		{"0.0.0.0", "fd00::1", "0.0.0.0,fd00::1"},
		{"localhost, 10.0.0.1", "127.0.0.1 10.0.0.1 ::1", ""},
		{"", "10.0.0.1 10.0.0.1", "10.0.0.1"},
		{"localhost", "", ""},
	} {
		next, ok := pgListens(tc.setting, strings.Fields(tc.want))
		if ok != (tc.next == "") || !ok && next != tc.next {
			t.Errorf("%q for %q: %q, %v", tc.setting, tc.want, next, ok)
		}
	}
}

// TestHidden cuts passwords out of what a server says, also where it quotes a part.
func TestHidden(t *testing.T) {
	hash := nativeHash("x")
	for _, said := range []string{hash, hash[:20]} {
		err := hidden(fmt.Errorf("near '%s' at line 1", said), "ALTER USER 'a' IDENTIFIED BY PASSWORD '"+hash+"'")
		if strings.Contains(err.Error(), said[1:]) {
			t.Errorf("error: %v", err)
		}
	}
}
