package pkgmgr

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// rpmSays lists what rpm reads in directory db, as lines of listed.
func rpmSays(t *testing.T, db string, args ...string) string {
	t.Helper()
	format := `%{NAME}-%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}.%{ARCH}\t%|VENDOR?{%{VENDOR}}|\t%|PACKAGER?{%{PACKAGER}}|\t%|SOURCERPM?{%{SOURCERPM}}|\t%{INSTALLTIME}\n`
	out := command(t, "rpm", append([]string{"--dbpath", db, "-qa", "--qf", format}, args...)...)
	lines := slices.DeleteFunc(strings.SplitAfter(out, "\n"), func(s string) bool { return strings.HasPrefix(s, "gpg-pubkey-") || s == "" })
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func listed(all []Installed) string {
	lines := make([]string, 0, len(all))
	for _, p := range all {
		lines = append(lines, fmt.Sprintf("%s\t%s\t%s\t%s\t%d\n", p.NEVRA(), p.Vendor, p.Packager, p.SourceRPM, p.InstallTime))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got != want || strings.Count(want, "\n") < 3 {
		t.Errorf("read:\n%s\nwant:\n%s", got, want)
	}
}

// rpmdbRoot is a root with a sqlite database that rpm itself made, of a few
// packages of every sort and a key.
func rpmdbRoot(t *testing.T) *host.Root {
	t.Helper()
	need(t, "rpm", "rpmbuild")
	root := openRoot(t, t.TempDir())
	dir := t.TempDir()
	packStack(t, dir)
	rpmbuild(t, dir, fullSpec)
	rpms, err := filepath.Glob(filepath.Join(dir, "*.rpm"))
	if err != nil {
		t.Fatal(err)
	}
	rpms = slices.DeleteFunc(rpms, func(p string) bool { return strings.HasSuffix(p, ".src.rpm") })
	args := []string{"--root", root.Dir(), "--dbpath", "/var/lib/rpm", "-i", "--nodeps", "--noscripts", "--ignorearch"}
	command(t, "rpm", append(args, rpms...)...)
	return root
}

// blobs returns all headers of the sqlite database of root.
func blobs(t *testing.T, root *host.Root) [][]byte {
	t.Helper()
	var all [][]byte
	dir := openRoot(t, t.TempDir())
	copyTree(t, root.Path("/var/lib/rpm"), dir.Dir())
	err := eachSQLite(t.Context(), dir, "rpmdb.sqlite", func(b []byte) error {
		all = append(all, bytes.Clone(b))
		return nil
	})
	if err != nil || len(all) < 3 {
		t.Fatalf("%d headers, %v", len(all), err)
	}
	return all
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	command(t, "cp", "-a", from+"/.", to)
}

// berkeley writes headers to a Packages file with Berkeley DB's own db_load.
func berkeley(t *testing.T, file string, all [][]byte, options ...string) {
	t.Helper()
	need(t, "db5.3_load")
	var dump strings.Builder
	dump.WriteString("VERSION=3\nformat=bytevalue\ntype=hash\n" + strings.Join(options, "") + "HEADER=END\n 00000000\n ff000000\n")
	for i, b := range all {
		fmt.Fprintf(&dump, " %02x%02x0000\n %s\n", (i+1)%256, (i+1)/256, hex.EncodeToString(b))
	}
	dump.WriteString("DATA=END\n")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("db5.3_load", file)
	cmd.Stdin = strings.NewReader(dump.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("db5.3_load: %v: %s", err, out)
	}
}

// TestInstalledOnELRoot compares with rpm on a root that is a whole system.
func TestInstalledOnELRoot(t *testing.T) {
	root := openRoot(t, hosttest.ELRoot(t))
	dir := t.TempDir()
	copyTree(t, root.Path("/var/lib/rpm"), dir) // rpm would write in the root
	before := tree(t, root.Path("/var/lib/rpm"))
	temp := t.TempDir()
	got, err := InstalledOn(t.Context(), root, temp)
	if err != nil {
		t.Fatal(err)
	}
	if after := tree(t, root.Path("/var/lib/rpm")); after != before {
		t.Errorf("the database was touched: %s, it was %s", after, before)
	}
	if left := tree(t, temp); strings.Count(left, "\n") != 0 {
		t.Errorf("left behind: %s", left)
	}
	same(t, listed(got), rpmSays(t, dir))
}

// tree lists a directory with sizes and times.
func tree(t *testing.T, dir string) string {
	t.Helper()
	return strings.TrimSpace(command(t, "find", dir, "-mindepth", "1", "-printf", `%p %s %T@ %C@\n`))
}

// TestInstalledOnBerkeley has headers in a file that Berkeley DB's library
// wrote, and that rpm reads as it reads those of EL 8.
func TestInstalledOnBerkeley(t *testing.T) {
	headers := blobs(t, rpmdbRoot(t))
	for i := range 60 { // more buckets than one, and chains of pages
		headers = append(headers, headers[i%len(headers)])
	}
	for name, options := range map[string][]string{
		"plain":  nil,
		"small":  {"db_pagesize=512\n"},
		"chains": {"db_pagesize=512\nh_ffactor=40\n"},
		"big":    {"db_pagesize=65536\n"},
		"swap":   {"db_lorder=4321\n"},
	} {
		t.Run(name, func(t *testing.T) {
			root := openRoot(t, t.TempDir())
			berkeley(t, root.Path("/var/lib/rpm/Packages"), headers, options...)
			got, err := InstalledOn(t.Context(), root, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			same(t, listed(got), rpmSays(t, root.Path("/var/lib/rpm"), "--define", "_db_backend bdb_ro"))
		})
	}
}

// TestInstalledOnNDB reads a file that rpm 4.18.0 wrote with its ndb backend;
// few systems but SUSE's can.
func TestInstalledOnNDB(t *testing.T) {
	root := openRoot(t, t.TempDir())
	write(t, root.Path("/usr/lib/sysimage/rpm/Packages.db"), readFile(t, "testdata/Packages.db"))
	got, err := InstalledOn(t.Context(), root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	same(t, listed(got), string(readFile(t, "testdata/Packages.db.list")))
}

// TestInstalledOnWAL reads what rpm wrote and did not yet bring into the main file.
func TestInstalledOnWAL(t *testing.T) {
	root := rpmdbRoot(t)
	before, err := InstalledOn(t.Context(), root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	header := blobs(t, root)[0]
	db, err := sql.Open("sqlite", root.Path("/var/lib/rpm/rpmdb.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, statement := range []string{"PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0"} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec("INSERT INTO Packages (blob) VALUES (?)", header); err != nil {
		t.Fatal(err)
	}
	files := tree(t, root.Path("/var/lib/rpm"))
	after, err := InstalledOn(t.Context(), root, t.TempDir())
	if err != nil || len(after) != len(before)+1 {
		t.Errorf("%d packages, %v, want %d", len(after), err, len(before)+1)
	}
	if now := tree(t, root.Path("/var/lib/rpm")); now != files || !strings.Contains(files, "-wal") {
		t.Errorf("files %s, were %s", now, files)
	}
}

// TestInstalledOnDamage flips a bit in each part of each sort of database: the
// list is the same or there is an error that names the file.
func TestInstalledOnDamage(t *testing.T) {
	source := rpmdbRoot(t)
	bdb := filepath.Join(t.TempDir(), "Packages")
	berkeley(t, bdb, blobs(t, source))
	for file, content := range map[string][]byte{
		"rpmdb.sqlite": readFile(t, source.Path("/var/lib/rpm/rpmdb.sqlite")),
		"Packages":     readFile(t, bdb),
		"Packages.db":  readFile(t, "testdata/Packages.db"),
	} {
		t.Run(file, func(t *testing.T) {
			root := openRoot(t, t.TempDir())
			path := root.Path("/var/lib/rpm/" + file)
			write(t, path, content)
			whole, err := InstalledOn(t.Context(), root, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			want, found := listed(whole), 0
			try := func(what string, damaged []byte) {
				write(t, path, damaged)
				got, err := InstalledOn(t.Context(), root, t.TempDir())
				switch {
				case err != nil && !strings.Contains(err.Error(), path):
					t.Errorf("%s: error %v does not name %s", what, err, path)
				case err != nil:
					found++
				case listed(got) != want:
					t.Errorf("%s: another list and no error", what)
				}
			}
			for i := range 250 {
				at := i * len(content) / 250
				damaged := bytes.Clone(content)
				damaged[at] ^= 1 << (i % 8)
				try(fmt.Sprint("byte ", at), damaged)
			}
			if found == 0 {
				t.Error("no flipped bit was found")
			}
			for _, size := range []int{0, 1, 100, 4096, len(content) / 2, len(content) - 4096} {
				found = 0
				try(fmt.Sprint("size ", size), content[:size])
				if found == 0 {
					t.Errorf("the first %d bytes passed", size)
				}
			}
		})
	}
}

// meddler is a context in which something happens whenever it is asked, which
// database/sql does from goroutines of its own.
type meddler struct {
	context.Context
	mu     sync.Mutex
	meddle func()
}

func (m *meddler) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meddle()
	return m.Context.Err()
}

// TestInstalledOnBusy writes to the database while it is copied.
func TestInstalledOnBusy(t *testing.T) {
	root := rpmdbRoot(t)
	path := root.Path("/var/lib/rpm/rpmdb.sqlite")
	content := readFile(t, path)
	times := 0
	once := &meddler{Context: t.Context(), meddle: func() {
		if times++; times == 1 {
			write(t, path, content)
		}
	}}
	got, err := InstalledOn(once, root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want, err := InstalledOn(t.Context(), root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	same(t, listed(got), listed(want))
	wal := 0
	always := &meddler{Context: t.Context(), meddle: func() {
		wal++
		write(t, path+"-wal", make([]byte, wal))
	}}
	temp := t.TempDir()
	if _, err := InstalledOn(always, root, temp); !errors.Is(err, errChanged) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want %v", err, errChanged)
	}
	if left := tree(t, temp); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// FuzzDatabase has files that lead astray: whatever they are, reading ends.
func FuzzDatabase(f *testing.F) {
	ndb, err := os.ReadFile("testdata/Packages.db")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ndb)
	bdb := make([]byte, 3*512)
	for at, n := range map[int]uint32{12: bdbHashMagic, 16: 9, 20: 512, 32: 2, 96: 1, 512 + 8: 1} {
		binary.LittleEndian.PutUint32(bdb[at:], n)
	}
	bdb[512+25] = bdbHashSorted
	f.Add(bdb)
	f.Fuzz(func(_ *testing.T, content []byte) {
		for _, read := range []func(io.ReaderAt, int64, func([]byte) error) error{readNDB, readBDB} {
			_ = read(bytes.NewReader(content), int64(len(content)), func(b []byte) error {
				s, err := storedHeader(b)
				if err == nil {
					_, err = installed(s)
				}
				if err == nil {
					_, err = ownedFiles(s)
				}
				return err
			})
		}
	})
}

func TestInstalledOnNone(t *testing.T) {
	root := openRoot(t, t.TempDir())
	if _, err := InstalledOn(t.Context(), root, t.TempDir()); !errors.Is(err, ErrNone) {
		t.Errorf("error %v, want %v", err, ErrNone)
	}
	for _, file := range []string{"rpmdb.sqlite", "Packages"} {
		write(t, root.Path("/var/lib/rpm/"+file), nil)
	}
	if _, err := InstalledOn(t.Context(), root, t.TempDir()); err == nil || !strings.Contains(err.Error(), "both rpmdb.sqlite and Packages") {
		t.Errorf("two databases: error %v", err)
	}
}

func TestInstalledOnCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	temp := t.TempDir()
	if _, err := InstalledOn(ctx, rpmdbRoot(t), temp); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if left := tree(t, temp); left != "" {
		t.Errorf("left behind: %s", left)
	}
}
