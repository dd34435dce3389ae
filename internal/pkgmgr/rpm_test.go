package pkgmgr

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/rpmpack"
	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
)

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestReadAsRPM compares with what rpm itself says of an rpm it built.
func TestReadAsRPM(t *testing.T) {
	dir := t.TempDir()
	rpmbuild(t, dir, fullSpec)
	path := filepath.Join(dir, "full-1.0~rc1-2^git3.x86_64.rpm")
	b := readFile(t, path)
	p, d, err := Read(path, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if p.NEVRA() != "full-7:1.0~rc1-2^git3.x86_64" || p.File != filepath.Base(path) || p.Size != int64(len(b)) || p.Digest != digest.FromBytes(b) {
		t.Errorf("package %+v", p)
	}
	query := func(format string) string { return command(t, "rpm", "-qp", "--qf", format, path) }
	for format, got := range map[string]string{
		"%{SUMMARY}": d.Summary, "%{DESCRIPTION}": d.Description, "%{LICENSE}": d.License, "%{VENDOR}": d.Vendor, "%{GROUP}": d.Group,
		"%{URL}": d.URL, "%{PACKAGER}": d.Packager, "%{BUILDHOST}": d.BuildHost, "%{SOURCERPM}": d.SourceRPM,
	} {
		if want := query(format); got != want {
			t.Errorf("%s is %q, want %q", format, got, want)
		}
	}
	var files, logs strings.Builder
	for _, f := range d.Files {
		files.WriteString(f.Path + "\n")
	}
	for _, c := range d.Changelogs {
		logs.WriteString(c.Author + "\n" + c.Text + "\n")
	}
	if want := query(`[%{FILENAMES}\n]`); files.String() != want {
		t.Errorf("files %q, want %q", &files, want)
	}
	if want := query(`[%{CHANGELOGNAME}\n%{CHANGELOGTEXT}\n]`); logs.String() != want || len(d.Changelogs) != 3 {
		t.Errorf("changelogs %q, want %q", &logs, want)
	}
	for _, want := range []File{{"/etc/full", true, false}, {"/var/log/full.log", false, true}, {"/usr/sbin/fulld", false, false}} {
		if !slices.Contains(d.Files, want) {
			t.Errorf("files %+v, want %+v among them", d.Files, want)
		}
	}
	want := []Dependency{
		{Name: "(rich or (other and third >= 2))"},
		{Name: "higher", Flags: "GE", Epoch: "2", Version: "3", Release: "4"},
		{Name: "lower", Flags: "LT", Epoch: "0", Version: "1"},
		{Name: "/usr/sbin/useradd", Pre: true},
		{Name: "plain"},
		{Name: "plain", Pre: true},
	}
	for _, w := range want {
		if !slices.Contains(d.Requires, w) {
			t.Errorf("requires %+v, want %+v among them", d.Requires, w)
		}
	}
}

// TestReadRefusesDamage flips each byte from the main header on, and cuts the
// file at each length: no such file may pass, and none may panic.
func TestReadRefusesDamage(t *testing.T) {
	path := pack(t, t.TempDir(), packed{RPMMetaData: meta("a", "1", "1"), files: map[string]string{"/etc/a": "a"}})
	whole := readFile(t, path)
	p, _, err := Read("a.rpm", bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(what string, at int, b []byte) {
		t.Helper()
		if _, _, err := Read("a.rpm", bytes.NewReader(b), int64(len(b))); err == nil || !strings.Contains(err.Error(), "rpm a.rpm: ") {
			t.Errorf("%s at byte %d: error %v", what, at, err)
		}
	}
	for i := range whole {
		refuse("cut", i, whole[:i])
		b := slices.Clone(whole)
		b[i] ^= 0x10
		if int64(i) >= p.HeaderStart || i < 4 {
			refuse("flipped", i, b)
		} else {
			_, _, _ = Read("a.rpm", bytes.NewReader(b), int64(len(b)))
		}
	}
	refuse("more", len(whole), append(slices.Clone(whole), 0))
	if _, _, err := Read("a.rpm", bytes.NewReader(whole), int64(len(whole))+1); err == nil {
		t.Error("a file shorter than its size passed")
	}
}

// TestReadOldDigest reads rpms that have what rpms had before 2017: one MD5
// over header and payload.
func TestReadOldDigest(t *testing.T) {
	path := pack(t, t.TempDir(), packed{RPMMetaData: meta("a", "1", "1"), files: map[string]string{"/etc/a": "a"}})
	whole := readFile(t, path)
	p, _, err := Read("a.rpm", bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	header := slices.Clone(whole[p.HeaderStart:p.HeaderEnd])
	hide(header, tagPayloadDigest)
	body := append(header, whole[p.HeaderEnd:]...)
	sum := md5.Sum(body)
	old := slices.Concat(whole[:leadSize], signature(sigMD5, sum[:]), body)
	if got, _, err := Read("old.rpm", bytes.NewReader(old), int64(len(old))); err != nil || got.NEVRA() != "a-1-1.noarch" {
		t.Errorf("%+v, %v", got, err)
	}
	old[len(old)-1] ^= 1
	if _, _, err := Read("old.rpm", bytes.NewReader(old), int64(len(old))); err == nil || !strings.Contains(err.Error(), "MD5 digest") {
		t.Errorf("damaged payload: error %v", err)
	}
	none := slices.Concat(whole[:leadSize], signature(9999, sum[:]), body)
	if _, _, err := Read("none.rpm", bytes.NewReader(none), int64(len(none))); err == nil || !strings.Contains(err.Error(), "no digest") {
		t.Errorf("no digest: error %v", err)
	}
}

// hide gives a tag in a header a number that nobody asks for.
func hide(header []byte, tag uint32) {
	for i := sectionIntro; i+4 <= len(header); i += sectionEntry {
		if binary.BigEndian.Uint32(header[i:]) == tag {
			binary.BigEndian.PutUint32(header[i:], 0x7fffffff)
			return
		}
	}
}

// signature is a signature header with one binary tag, padded.
func signature(tag uint32, value []byte) []byte {
	b := []byte("\x8e\xad\xe8\x01\x00\x00\x00\x00")
	for _, n := range []uint32{1, uint32(len(value)), tag, typeBin, 0, uint32(len(value))} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	b = append(b, value...)
	return append(b, make([]byte, (8-len(b)%8)%8)...)
}

// TestReadHostileSizes reads headers that promise more than the file has: the
// promise must not be believed.
func TestReadHostileSizes(t *testing.T) {
	lead := append([]byte("\xed\xab\xee\xdb"), make([]byte, leadSize-4)...)
	for name, numbers := range map[string][]uint32{
		"tags":  {0xffffffff, 16},
		"none":  {0, 16},
		"store": {1, 0xffffffff},
		"large": {65535, maxStore},
	} {
		t.Run(name, func(t *testing.T) {
			b := append(slices.Clone(lead), "\x8e\xad\xe8\x01\x00\x00\x00\x00"...)
			for _, n := range numbers {
				b = binary.BigEndian.AppendUint32(b, n)
			}
			b = append(b, make([]byte, 100)...)
			allocs := testing.Benchmark(func(tb *testing.B) {
				for tb.Loop() {
					if _, _, err := Read("x", bytes.NewReader(b), int64(len(b))); err == nil {
						tb.Fatal("no error")
					}
				}
			})
			if n := allocs.AllocedBytesPerOp(); n > 1<<20 {
				t.Errorf("%d bytes allocated for a file of %d", n, len(b))
			}
		})
	}
}

func TestReadSource(t *testing.T) {
	dir := t.TempDir()
	rpmbuild(t, dir, fullSpec)
	b := readFile(t, filepath.Join(dir, "full-1.0~rc1-2^git3.src.rpm"))
	if _, _, err := Read("s", bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrSource) {
		t.Errorf("error %v, want %v", err, ErrSource)
	}
}

func TestReadEpoch(t *testing.T) {
	for name, tt := range map[string]struct {
		epoch uint32
		want  string
	}{"absent": {rpmpack.NoEpoch, ""}, "zero": {0, "0"}, "four": {4, "4"}} {
		t.Run(name, func(t *testing.T) {
			m := meta("a", "1", "1")
			m.Epoch = tt.epoch
			b := readFile(t, pack(t, t.TempDir(), packed{RPMMetaData: m}))
			p, _, err := Read("a", bytes.NewReader(b), int64(len(b)))
			if err != nil || p.Epoch != tt.want {
				t.Errorf("epoch %q, %v, want %q", p.Epoch, err, tt.want)
			}
		})
	}
}

func TestCheckName(t *testing.T) {
	good := artifact.Package{Name: "gtk2.0-c++_x", Epoch: "4", Version: "1.0~rc1", Release: "2^git+3.el9", Arch: "x86_64"}
	if err := checkName(good); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(*artifact.Package){
		"option":  func(p *artifact.Package) { p.Name = "-y" },
		"group":   func(p *artifact.Package) { p.Name = "@core" },
		"glob":    func(p *artifact.Package) { p.Name = "kernel*" },
		"path":    func(p *artifact.Package) { p.Name = "../x" },
		"empty":   func(p *artifact.Package) { p.Release = "" },
		"line":    func(p *artifact.Package) { p.Version = "1\n2" },
		"epoch":   func(p *artifact.Package) { p.Epoch = "x" },
		"arch":    func(p *artifact.Package) { p.Arch = "a/b" },
		"hyphens": func(p *artifact.Package) { p.Version = "1-2" },
	} {
		t.Run(name, func(t *testing.T) {
			p := good
			if edit(&p); checkName(p) == nil {
				t.Errorf("%+v passed", p)
			}
		})
	}
}

func TestSplitEVR(t *testing.T) {
	for in, want := range map[string][3]string{
		"": {}, "1": {"0", "1", ""}, "1-2": {"0", "1", "2"}, "3:1-2": {"3", "1", "2"}, ":1": {"0", "1", ""}, "a:1-2": {"0", "a:1", "2"},
	} {
		if e, v, r := splitEVR(in); [3]string{e, v, r} != want {
			t.Errorf("%q is %q %q %q, want %q", in, e, v, r, want)
		}
	}
}
