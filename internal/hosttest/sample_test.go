package hosttest

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// missing skips the test for want of a tool; where everything must run it fails.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("XCRATE_TEST_ALL") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func makeSample(t *testing.T, o SampleOptions) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mn")
	o.SingleOwner = o.SingleOwner || os.Geteuid() != 0
	if err := SampleMN(dir, o); err != nil {
		t.Fatal(err)
	}
	return dir
}

func readTree(t *testing.T, dir string, prefixes ...string) map[string]Node {
	t.Helper()
	tree, err := Tree(dir, prefixes...)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// query returns the rows of one column as quote() writes them.
func query(t *testing.T, file, q string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.Query(q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSample(t *testing.T) {
	dir := makeSample(t, SampleOptions{})
	tree := readTree(t, dir)
	t.Run("database", func(t *testing.T) { checkDatabase(t, dir, tree) })
	t.Run("awkward", func(t *testing.T) { checkAwkward(t, dir, tree) })
	t.Run("owners", func(t *testing.T) { checkOwners(t, tree) })
	t.Run("times", func(t *testing.T) { checkTimes(t, tree) })
	t.Run("canaries", func(t *testing.T) { checkCanaries(t, dir) })
	t.Run("rpms", func(t *testing.T) { checkRPMs(t, dir) })
}

func checkDatabase(t *testing.T, dir string, tree map[string]Node) {
	files, err := filepath.Glob(filepath.Join(dir, "etc/xcat/*.sqlite"))
	if err != nil || len(files) != 73 {
		t.Fatalf("%d SQLite files (%v), want 73", len(files), err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".sqlite")
		if got := query(t, f, `PRAGMA integrity_check`); !slices.Equal(got, []string{"ok"}) {
			t.Errorf("table %q: integrity %q", name, got)
		}
		if mode := tree["etc/xcat/"+name+".sqlite"].Mode; mode != 0o600 {
			t.Errorf("table %q: mode %04o", name, mode)
		}
	}
	for _, c := range []struct{ table, query, want string }{
		{"nodelist", `SELECT count(*) FROM nodelist`, "301"},
		{"ipmi", `SELECT count(DISTINCT password) FROM ipmi WHERE password LIKE 'CANARY-%'`, "300"},
		{"mac", `SELECT count(*) FROM mac`, "300"},
		{"site", `SELECT quote(value) FROM site WHERE key='nullvalue'`, "NULL"},
		{"site", `SELECT quote(value) FROM site WHERE key='emptyvalue'`, "''"},
		{"site", `SELECT value FROM site WHERE key='banner'`, "line one\nline two  \n\n\tline four, \"quoted\"\r\nlast\n"},
		{"site", `SELECT count(*) FROM site WHERE disable IS NOT NULL`, "4"},
		{"nodelist", `SELECT comments FROM nodelist WHERE node='cn0006'`, "Knoten für Jürgen, 東京 ☃"},
		{"hosts", `SELECT ip FROM hosts WHERE node='compute'`, `|\D+(\d+)|10.10.(1+($1-1)/250).(1+($1-1)%250)|`},
		{"litetree", `SELECT quote(directory) FROM litetree WHERE priority='2'`, "''"},
		{"auditlog", `SELECT max(recid) FROM auditlog`, "7"},
	} {
		got := query(t, filepath.Join(dir, "etc/xcat", c.table+".sqlite"), c.query)
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %q, want %q", c.query, got, c.want)
		}
	}
}

// TestSchema compares the tables with those a real xCAT made.
func TestSchema(t *testing.T) {
	tables, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) != 73 {
		t.Errorf("%d tables, want 73", len(tables))
	}
	for _, table := range tables {
		b, err := os.ReadFile("../../testdata/real-mn/sqlite/" + table.name + ".sqlite")
		if err != nil {
			t.Fatal(err)
		}
		// A copy: SQLite wants to write beside the file it reads.
		file := filepath.Join(t.TempDir(), "table.sqlite")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got := query(t, file, `SELECT sql FROM sqlite_master WHERE name='`+table.name+`'`)
		if !slices.Equal(got, []string{table.create()}) {
			t.Errorf("table %q: %s, want %s", table.name, table.create(), got)
		}
	}
}

func checkAwkward(t *testing.T, dir string, tree map[string]Node) {
	odd := func(p string) Node {
		n, ok := tree[oddDir+p]
		if !ok {
			t.Errorf("no %q", p)
		}
		return n
	}
	big := tree["install/custom/other/big-elsewhere"].HardlinkOf
	if first := odd("links/big"); first.HardlinkOf != "" || odd("links/big-again").HardlinkOf != oddDir+"links/big" || big != oddDir+"links/big" {
		t.Errorf("hard links: %q, %q", first.HardlinkOf, big)
	}
	if n := odd("sparse"); !n.Sparse || n.Size != 8<<20 {
		t.Errorf("sparse file: %+v", n)
	}
	b, err := os.ReadFile(filepath.Join(dir, oddDir, "sparse"))
	if err != nil || !bytes.HasPrefix(b, []byte("start")) || string(b[4<<20:4<<20+6]) != "middle" || !bytes.HasSuffix(b, []byte("end")) {
		t.Errorf("sparse file: wrong data (%v)", err)
	}
	for p, want := range map[string]uint32{"setuid": 0o4755, "setgid": 0o2755, "sticky": 0o1777, "setgid-dir": 0o2775} {
		if n := odd(p); n.Mode != want {
			t.Errorf("%s: mode %04o, want %04o", p, n.Mode, want)
		}
	}
	for p, want := range map[string]string{"fifo": "fifo", "socket": "socket", "empty dir": "dir", "links/dangling": "symlink", "names/new\nline": "file", "names/latin1-\xfc\xdf": "file"} {
		if n := odd(p); n.Type != want {
			t.Errorf("%q: a %s, want %s", p, n.Type, want)
		}
	}
	odd("names/" + strings.Repeat("n", 255))
	longest := ""
	for p := range tree {
		if len(p) > len(longest) {
			longest = p
		}
	}
	if len(longest) <= 300 {
		t.Errorf("longest path has %d bytes", len(longest))
	}
	if got := odd("xattr").Xattrs["user.note"]; got != "value with \x00 and \xff\n" {
		t.Errorf("xattr: %q", got)
	}
	if os.Geteuid() != 0 {
		return
	}
	if n := odd("readonly-dir"); n.Mode != 0o555 {
		t.Errorf("readonly-dir: mode %04o", n.Mode)
	}
	if n := odd("null"); n.Type != "char" || n.Device != "1:3" || odd("unreadable").Mode != 0 {
		t.Errorf("device: %+v", n)
	}
	if odd("cap").Xattrs["security.capability"] != netRaw || odd("xattr").Xattrs["trusted.site"] == "" {
		t.Error("xattrs of root are missing")
	}
}

func checkOwners(t *testing.T, tree map[string]Node) {
	if os.Geteuid() != 0 {
		t.Skip("owners need root")
	}
	for p, want := range map[string]string{
		"var/named/db.cluster.lab": "named:named", "var/lib/dhcpd/dhcpd.leases": "dhcpd:dhcpd", "etc/named.conf": "root:named",
		"etc/xcat/hostkeys/ssh_host_rsa_key": "root:ssh_keys", "home/conserver/.xcat/client-cred.pem": "conserver:conserver",
		"home/alice/.xcat/ca.pem": "alice:alice", oddDir + "owners/nameless": "54321:54322", "etc/chrony.keys": "root:chrony",
	} {
		if n := tree[p]; n.User+":"+n.Group != want {
			t.Errorf("%s: owner %s:%s, want %s", p, n.User, n.Group, want)
		}
	}
}

func checkTimes(t *testing.T, tree map[string]Node) {
	if n := tree[oddDir+"times/before-1970"]; n.Sec != -86400*365 || n.Nsec != 250_000_000 {
		t.Errorf("before-1970: %d %d", n.Sec, n.Nsec)
	}
	nanos := 0
	for p, n := range tree {
		if n.Nsec%1000 != 0 {
			nanos++
		}
		if !strings.HasPrefix(p, oddDir+"times/") && (n.Sec < buildTime().Unix() || n.Sec > 1_751_000_000) {
			t.Errorf("%q: mtime %d is not of the sample", p, n.Sec)
		}
	}
	if nanos < len(tree)/2 {
		t.Errorf("only %d of %d have nanoseconds", nanos, len(tree))
	}
}

func checkCanaries(t *testing.T, dir string) {
	for _, p := range []string{
		"etc/shadow", "etc/xcat/ca/private/ca-key.pem", "etc/xcat/cert/server-cred.pem", "etc/xcat/cert/server-key.pem", "etc/xcat/ddns.key",
		"etc/xcat/hostkeys/ssh_host_ecdsa_key", "etc/ssh/ssh_host_ed25519_key", "root/.ssh/id_rsa", "root/.xcat/client-cred.pem",
		"home/conserver/.xcat/client-key.pem", "home/alice/.xcat/client-cred.pem", "etc/xcat/sshkeys/secure/.ssh/id_rsa", "etc/dhcp/dhcpd.conf",
		"etc/named.conf", "etc/rndc.key", "etc/chrony.keys", "var/lib/goconserver/nodes.json", "etc/xcat/passwd.sqlite", "etc/xcat/pdu.sqlite",
		"etc/xcat/token.sqlite", "install/autoinst/cn0001", "tftpboot/mypostscripts/mypostscript.cn0001", "root/xcat-dbback/passwd.csv",
		imageDir + "rootimg/etc/shadow",
	} {
		b, err := os.ReadFile(filepath.Join(dir, p))
		if err != nil || !bytes.Contains(b, []byte(Canary)) {
			t.Errorf("%s: no canary (%v)", p, err)
		}
	}
	for _, p := range []string{"etc/xcat/ca/ca-cert.pem", "root/.ssh/id_rsa.pub", "install/postscripts/_ssh/authorized_keys", "etc/hosts", "etc/xcat/nodelist.sqlite"} {
		b, err := os.ReadFile(filepath.Join(dir, p))
		if err != nil || bytes.Contains(b, []byte(Canary)) {
			t.Errorf("%s: a canary in what is public (%v)", p, err)
		}
	}
}

func checkRPMs(t *testing.T, dir string) {
	var files []string
	for _, d := range []string{coreDir, depDir} {
		found, err := filepath.Glob(filepath.Join(dir, d, "*.rpm"))
		if err != nil || len(found) < 8 {
			t.Fatalf("%s: %d rpms (%v)", d, len(found), err)
		}
		files = append(files, found...)
	}
	if _, err := exec.LookPath("rpm"); err != nil {
		missing(t, "rpm is missing: apt-get install rpm")
	}
	out, err := exec.Command("rpm", append([]string{"-qp", "--qf", "%{NAME} %{EPOCH} %{VERSION}-%{RELEASE} %{ARCH} %{BUILDTIME} [%{FILENAMES}=%{FILEDIGESTS},]\n"}, files...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"xCAT (none) 2.17.0-snap202411131023 x86_64 1731493423 ", "perl-xCAT 4 2.17.0-snap202411131023 noarch ",
		"xCAT-genesis-scripts-x86_64 1 ", "xCAT-genesis-base-x86_64 2 ", "goconserver (none) 0.3.3-snap202011021058 x86_64 ", "/etc/xCATMN=",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	for rpm, want := range map[string]string{"xCAT-2": "xCAT-server = 4:2.17.0-snap202411131023", "xCAT-client-": "perl-xCAT = 4:2.17.0-snap202411131023"} {
		i := slices.IndexFunc(files, func(f string) bool { return strings.HasPrefix(filepath.Base(f), rpm) })
		if out, err := exec.Command("rpm", "-qp", "--requires", files[i]).Output(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: requires %s (%v), want %q", rpm, out, err, want)
		}
	}
	// What the package owns is what lies in the tree: all files, no digest off.
	var verify []string
	for _, f := range files {
		if b := filepath.Base(f); !strings.HasPrefix(b, "xCATsn") {
			verify = append(verify, f)
		}
	}
	out, err = exec.Command("rpm", append([]string{"-Vp", "--nodeps", "--noscripts", "--nouser", "--nogroup", "--root", dir}, packagesIn(t, dir, verify)...)...).CombinedOutput()
	if os.Geteuid() == 0 && (err != nil || len(bytes.TrimSpace(out)) > 0) {
		t.Errorf("packages and tree differ: %s (%v)", out, err)
	}
}

// packagesIn returns the files' paths as they are inside root dir.
func packagesIn(t *testing.T, dir string, files []string) []string {
	t.Helper()
	var in []string
	for _, f := range files {
		p, ok := strings.CutPrefix(f, dir)
		if !ok {
			t.Fatalf("%s is not in %s", f, dir)
		}
		in = append(in, p)
	}
	return in
}

func TestSampleIsTheSameForOneSeed(t *testing.T) {
	o := SampleOptions{Nodes: 20, Seed: 7, InstallFiles: 5, InstallBytes: 100_001}
	a, b := readTree(t, makeSample(t, o)), readTree(t, makeSample(t, o))
	if diff := DiffTrees(a, b, DiffOptions{}); len(diff) > 0 {
		t.Errorf("same seed, different trees:\n%s", strings.Join(diff, "\n"))
	}
	var bytes int64
	for p, n := range a {
		if strings.HasPrefix(p, "install/custom/bulk/") {
			bytes += n.Size
		}
	}
	if bytes != o.InstallBytes {
		t.Errorf("bulk: %d bytes, want %d", bytes, o.InstallBytes)
	}
	o.Seed = 8
	diff := DiffTrees(a, readTree(t, makeSample(t, o)), DiffOptions{})
	if !slices.ContainsFunc(diff, func(s string) bool { return strings.HasPrefix(s, `! "root/.ssh/id_rsa" digest`) }) {
		t.Error("another seed, the same key")
	}
}

// TestBulk compresses what the bulk is made of: text shrinks to less than half,
// and a third of the bytes are rpms, which do not shrink.
func TestBulk(t *testing.T) {
	root := makeSample(t, SampleOptions{Nodes: 1, InstallFiles: 100, InstallBytes: 4 << 20})
	packed, plain, n := map[string]int{}, map[string]int{}, 0
	err := filepath.WalkDir(filepath.Join(root, "install/custom/bulk"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		content, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(content); err != nil {
			return err
		}
		packed[filepath.Ext(p)] += b.Len()
		plain[filepath.Ext(p)] += len(content)
		return z.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	rpms, text := plain[".rpm"], plain[""]
	if n != 100 || rpms+text != 4<<20 || rpms < 1<<20 || rpms > 3<<19 {
		t.Errorf("%d files, bytes by suffix %v", n, plain)
	}
	if packed[""] > text/2 || packed[".rpm"] < rpms*9/10 {
		t.Errorf("%v bytes, compressed %v", plain, packed)
	}
}

func TestSampleRefuses(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := SampleMN(full, SampleOptions{SingleOwner: true}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("full directory: %v", err)
	}
	if err := BaseRoot(full); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("full directory: %v", err)
	}
	if err := SampleMN(filepath.Join(full, "new"), SampleOptions{Nodes: 1 << 20}); err == nil {
		t.Error("a million nodes were taken")
	}
}

func TestBaseRoot(t *testing.T) {
	base, mn := filepath.Join(t.TempDir(), "base"), makeSample(t, SampleOptions{Nodes: 1})
	if err := BaseRoot(base); err != nil {
		t.Fatal(err)
	}
	tree := readTree(t, base)
	for p := range tree {
		if strings.Contains(strings.ToLower(p), "xcat") || strings.HasPrefix(p, "install") {
			t.Errorf("%q in a fresh install", p)
		}
	}
	a, err := readAccounts(mn)
	if err != nil {
		t.Fatal(err)
	}
	b, err := readAccounts(base)
	if err != nil {
		t.Fatal(err)
	}
	if a.users["named"] == b.users["named"] || a.groups["ssh_keys"] == b.groups["ssh_keys"] || b.users["conserver"] != 0 {
		t.Errorf("accounts are the same: %v, %v", a, b)
	}
	for _, root := range []string{mn, base} {
		b, err := os.ReadFile(filepath.Join(root, "etc/os-release"))
		if err != nil || !strings.Contains(string(b), `VERSION_ID="9.6"`) {
			t.Errorf("%s: os-release %q (%v)", root, b, err)
		}
		elf, err := os.ReadFile(filepath.Join(root, "bin/bash"))
		if err != nil || len(elf) != 64 || elf[18] != 62 {
			t.Errorf("%s: bash is not an x86-64 ELF (%v)", root, err)
		}
	}
}
