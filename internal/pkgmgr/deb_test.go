package pkgmgr

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
)

// TestReadDebAsDpkg compares with what dpkg-deb says of debs it built.
func TestReadDebAsDpkg(t *testing.T) {
	dir := t.TempDir()
	makeDebs(t, dir)
	found := find(t, dir)
	if len(found.Packages) != 4 {
		t.Fatalf("%d packages, want 4", len(found.Packages))
	}
	for _, p := range found.Packages {
		b := readFile(t, p.From)
		p, c, err := ReadDeb(p.From, bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, p.File)
		if p.Size != int64(len(b)) || p.Digest != digest.FromBytes(b) || p.BuildTime != built.Unix() || !bytes.Equal(readFile(t, path), b) {
			t.Errorf("package %+v", p)
		}
		for _, f := range c.fields {
			// dpkg-deb folds lines, and leaves out an epoch of 0.
			want := strings.Join(strings.Fields(command(t, "dpkg-deb", "-f", path, f.name)), " ")
			if got := strings.TrimPrefix(strings.Join(strings.Fields(c.Get(f.name)), " "), "0:"); got != want {
				t.Errorf("%s: %s is %q, want %q", p.File, f.name, got, want)
			}
		}
		if want := p.Name + " " + c.Get("Version") + " " + p.Arch; want != fmt.Sprintf("%s %s %s", p.Name, debVersion(p.Package), p.Arch) {
			t.Errorf("%+v, want %s", p, want)
		}
	}
}

// TestDebInstalled has what is installed and its file under one name.
func TestDebInstalled(t *testing.T) {
	need(t, "dpkg")
	dir := t.TempDir()
	makeDebs(t, dir)
	root := openRoot(t, t.TempDir())
	write(t, root.Path(dpkgStatus), nil)
	var want []string
	for _, p := range find(t, dir).Packages {
		want = append(want, p.NEVRA())
		command(t, "dpkg", "--root="+root.Dir(), "--force-all", "--force-script-chrootless", "--log=/dev/null", "-i", p.From)
	}
	slices.Sort(want)
	all, err := InstalledOn(t.Context(), root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range all {
		got = append(got, p.NEVRA())
	}
	if !slices.Equal(got, want) || len(got) != 4 {
		t.Errorf("installed %q, files %q", got, want)
	}
}

// TestFindDebs has rpms and debs in one place, and what is left out of it.
func TestFindDebs(t *testing.T) {
	dir := t.TempDir()
	pack(t, dir, packed{RPMMetaData: meta("a", "1", "1")})
	path := makeDeb(t, filepath.Join(dir, "pool"), madeDeb{name: "b", version: "1"})
	content := readFile(t, path)
	write(t, filepath.Join(dir, "again.deb"), content)
	write(t, filepath.Join(dir, "blob"), content)
	for _, name := range []string{"c.udeb", "c.ddeb", "c.dsc"} {
		write(t, filepath.Join(dir, name), nil)
	}
	if err := os.Symlink("blob", filepath.Join(dir, "link.deb")); err != nil {
		t.Fatal(err)
	}
	check := func(l Listing) {
		t.Helper()
		wantNEVRAs(t, l, "a-1-1.noarch", "b-1.all")
		var left []string
		for _, o := range l.LeftOut {
			left = append(left, strings.TrimPrefix(filepath.Base(o.Path), "packages.tar:")+" "+o.What)
		}
		if want := []string{"c.ddeb debug symbols", "c.dsc source deb", "c.udeb udeb"}; !slices.Equal(left, want) {
			t.Errorf("left out %q, want %q", left, want)
		}
		if FormatOf(l.Offers[0].Package) != RPM || FormatOf(l.Offers[1].Package) != Deb {
			t.Errorf("formats of %v", l.Offers)
		}
	}
	check(listedBy(t, open(t, dir, SourceOptions{})))
	file := filepath.Join(t.TempDir(), "packages.tar")
	command(t, "tar", "-C", dir, "--sort=name", "--exclude=link.deb", "-cf", file, ".")
	s := open(t, file, SourceOptions{})
	l := listedBy(t, s)
	check(l)
	p, err := s.Fetch(t.Context(), l.Offers[1])
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	write(t, path, append(content, '\n', '\n'))
	_, err = Find(t.Context(), openRoot(t, "/"), dir, FindOptions{})
	wantError(t, err, "deb "+path)
	write(t, path, readFile(t, makeDeb(t, t.TempDir(), madeDeb{name: "b", version: "1", files: map[string]string{"/etc/b": ""}})))
	_, err = Find(t.Context(), openRoot(t, "/"), dir, FindOptions{})
	wantError(t, err, path, "differ")
	write(t, path, []byte("text"))
	_, err = Find(t.Context(), openRoot(t, "/"), dir, FindOptions{})
	wantError(t, err, "deb "+path)
}

// TestCheckDeb finds no signature, and a file that changed.
func TestCheckDeb(t *testing.T) {
	path := makeDeb(t, t.TempDir(), madeDeb{name: "b", version: "1"})
	if s := checkFile(t, Keyring{}, path); !reflect.DeepEqual(s, Signature{State: NotSigned}) {
		t.Errorf("%+v", s)
	}
	p := find(t, filepath.Dir(path)).Packages[0]
	write(t, path, append(readFile(t, path), '\n'))
	_, err := Keyring{}.Check(t.Context(), p)
	wantError(t, err, "deb "+path, "it changed")
}

// TestReadDebRefusesDamage flips bytes of what is packed, and cuts the file: what
// passes must say and hold what the whole one does, and none may panic.
func TestReadDebRefusesDamage(t *testing.T) {
	for packing, step := range map[string]int{"gzip": 1, "xz": 7, "zstd": 1, "none": 1} {
		t.Run(packing, func(t *testing.T) {
			whole := readFile(t, makeDeb(t, t.TempDir(), madeDeb{name: "a", version: "1-1", packing: packing, files: map[string]string{"/usr/share/a": "content"}}))
			if _, _, err := ReadDeb("a.deb", bytes.NewReader(whole), int64(len(whole))); err != nil {
				t.Fatal(err)
			}
			refuse := func(what string, at int, b []byte) {
				t.Helper()
				if _, _, err := ReadDeb("a.deb", bytes.NewReader(b), int64(len(b))); err == nil || !strings.Contains(err.Error(), "deb a.deb: ") {
					t.Errorf("%s at byte %d of %d: error %v", what, at, len(whole), err)
				}
			}
			packed, content := tarsOf(t, whole)
			for i := 0; i < len(whole); i += step {
				if i < len(whole)-1 || whole[i] != '\n' { // of the padding nobody asks
					refuse("cut", i, whole[:i])
				}
				b := slices.Clone(whole)
				b[i] ^= 0x10
				_, _, err := ReadDeb("a.deb", bytes.NewReader(b), int64(len(b)))
				if err == nil && packed[i] && packing != "none" {
					if _, got := tarsOf(t, b); got != content {
						t.Errorf("flipped at byte %d of %d: other content passed", i, len(whole))
					}
				}
			}
			refuse("more", len(whole), append(slices.Clone(whole), "something"...))
			if _, _, err := ReadDeb("a.deb", bytes.NewReader(whole), int64(len(whole))+1); err == nil {
				t.Error("a file shorter than its size passed")
			}
			if packing == "none" { // all that shows it are the package's own digests
				refuse("other", bytes.Index(whole, []byte("content")), bytes.Replace(whole, []byte("content"), []byte("kontent"), 1))
			}
		})
	}
}

// tarsOf says which bytes of a deb lie in its two tars, and what they unpack to.
func tarsOf(t *testing.T, deb []byte) (in []bool, content string) {
	t.Helper()
	ar, err := newAr(bytes.NewReader(deb))
	if err != nil {
		t.Fatal(err)
	}
	in = make([]bool, len(deb))
	for {
		m, err := ar.next()
		if err != nil {
			return in, content
		}
		if !strings.Contains(m.name, ".tar") {
			continue
		}
		for i := ar.in.n; i < ar.in.n+m.size; i++ {
			in[i] = true
		}
		plain, done, err := unpack(ar)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(plain)
		if err != nil {
			t.Fatal(err)
		}
		done()
		content += string(b)
	}
}

// arOf is an ar archive of members: names and contents in turn.
func arOf(members ...string) []byte {
	b := []byte(arMagic)
	for i := 0; i+1 < len(members); i += 2 {
		b = fmt.Appendf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", members[i], built.Unix(), 0, 0, "100644", len(members[i+1]), members[i+1])
		if len(members[i+1])%2 == 1 {
			b = append(b, '\n')
		}
	}
	return b
}

// tarText is a tar of files: names and contents in turn.
func tarText(t testing.TB, entries ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i+1 < len(entries); i += 2 {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: entries[i], Mode: 0o644, Size: int64(len(entries[i+1]))}); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(entries[i+1]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const smallControl = "Package: aa\nVersion: 1\nArchitecture: all\n"

// debOf is a deb with this control file and these files: names and contents in turn.
func debOf(t testing.TB, control string, entries ...string) []byte {
	return arOf("debian-binary", "2.0\n", "control.tar", tarText(t, "./control", control), "data.tar", tarText(t, entries...))
}

// TestReadDebForms reads what dpkg reads and dpkg-deb does not write.
func TestReadDebForms(t *testing.T) {
	control, data := tarText(t, "control", smallControl), tarText(t)
	for name, b := range map[string][]byte{
		"GNU names":    arOf("debian-binary/", "2.0\n", "control.tar/", control, "data.tar/", data),
		"later minor":  arOf("debian-binary", "2.1\nmore\n", "control.tar", control, "data.tar", data),
		"more members": arOf("debian-binary", "2.0\n", "_new", "x", "control.tar", control, "_x", "", "data.tar", data, "_gpgorigin", "signed"),
		"no padding":   bytes.TrimSuffix(arOf("debian-binary", "2.0\n", "control.tar", control, "data.tar", data, "x", "x"), []byte("\n")),
		"blank lines":  debOf(t, "\n"+strings.ReplaceAll(smallControl, "\n", "\r\n")+"\n \n\n"),
		"escaped sums": arOf("debian-binary", "2.0\n", "control.tar", tarText(t, "control", smallControl, "md5sums",
			"\\d41d8cd98f00b204e9800998ecf8427e  usr/a\\\\b\nd41d8cd98f00b204e9800998ecf8427e *./c\n"), "data.tar", tarText(t, `./usr/a\b`, "", "c", "")),
	} {
		p, _, err := ReadDeb(name, bytes.NewReader(b), int64(len(b)))
		if err != nil || p.NEVRA() != "aa-1.all" || p.File != "aa_1_all.deb" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestReadDebHostile(t *testing.T) {
	control, data := tarText(t, "control", smallControl), tarText(t)
	member := func(name, content string) []byte {
		return arOf("debian-binary", "2.0\n", "control.tar", control, name, content)
	}
	sums := func(sums string) []byte {
		return arOf("debian-binary", "2.0\n", "control.tar", tarText(t, "control", smallControl, "md5sums", sums), "data.tar", tarText(t, "./etc/a", "a"))
	}
	for _, tt := range []struct {
		name string
		deb  []byte
		want string
	}{
		{"empty", nil, "truncated"},
		{"text", []byte("some text that is no package"), "not a deb file"},
		{"library", arOf("x.o", "x"), `member "x.o": not a deb file`},
		{"version", arOf("debian-binary", "3.0\n"), "deb format"},
		{"long version", arOf("debian-binary", "2.0\n"+strings.Repeat("x", maxDebFormat)), "more than"},
		{"alone", arOf("debian-binary", "2.0\n"), "member control.tar: truncated"},
		{"order", arOf("debian-binary", "2.0\n", "data.tar", data), `member "data.tar" where control.tar is to be`},
		{"no data", arOf("debian-binary", "2.0\n", "control.tar", control), "member data.tar: truncated"},
		{"compression", member("data.tar.lzma", data), "member data.tar.lzma: a compression"},
		{"other compression", member("data.tar.xz", data), "member data.tar.xz: its content is no xz"},
		{"no tar", member("data.tar", strings.Repeat("x", 512)), "member data.tar: archive/tar"},
		{"size", bytes.Replace(member("data.tar", data), []byte("1024 "), []byte("-1   "), 1), `damaged header: member "data.tar"`},
		{"promise", bytes.Replace(member("data.tar", data), []byte("1024      "), []byte("9999999999"), 1), "truncated"},
		{"no control", arOf("debian-binary", "2.0\n", "control.tar", data, "data.tar", data), "no control file"},
		{"control twice", arOf("debian-binary", "2.0\n", "control.tar", tarText(t, "control", smallControl, "./control", ""), "data.tar", data), "twice"},
		{"large control", debOf(t, smallControl+strings.Repeat(" x\n", maxControl)), "more than"},
		{"empty control", debOf(t, "\n"), "it is empty"},
		{"zero byte", debOf(t, smallControl+"X: \x00\n"), "byte 0x0"},
		{"paragraphs", debOf(t, smallControl+"\nPackage: b\n"), "more than one paragraph"},
		{"field twice", debOf(t, smallControl+"package: b\n"), `field "package" twice`},
		{"no field", debOf(t, smallControl+"some text\n"), "line 4: no field"},
		{"continued", debOf(t, " "+smallControl), "line 1: it continues nothing"},
		{"no name", debOf(t, "Version: 1\nArchitecture: all\n"), `name "": not one`},
		{"path", debOf(t, strings.Replace(smallControl, "aa", "../a", 1)), `name "../a": not one`},
		{"option", debOf(t, strings.Replace(smallControl, "aa", "-y", 1)), `name "-y": not one`},
		{"empty revision", debOf(t, strings.Replace(smallControl, ": 1", ": 1-", 1)), `version "1-": not one`},
		{"digest", sums("00000000000000000000000000000000  etc/a\n"), `file "./etc/a": MD5 digest 0cc175b9c0f1b6a831c399e269772661`},
		{"no digest", sums("etc/a\n"), "md5sums"},
		{"odd digest", sums(strings.Repeat("x", 32) + "  etc/a\n"), "md5sums"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := ReadDeb("x.deb", bytes.NewReader(tt.deb), int64(len(tt.deb)))
			wantError(t, err, "deb x.deb: ", tt.want)
		})
	}
}

// TestReadDebLink has two names of one file, of which one digest is wrong.
func TestReadDebLink(t *testing.T) {
	need(t, "dpkg-deb")
	for _, right := range []bool{true, false} {
		top := t.TempDir()
		write(t, filepath.Join(top, "usr/a"), []byte("a"))
		if err := os.Link(filepath.Join(top, "usr/a"), filepath.Join(top, "usr/b")); err != nil {
			t.Fatal(err)
		}
		sums := "0cc175b9c0f1b6a831c399e269772661  usr/a\n0cc175b9c0f1b6a831c399e269772661  usr/b\n"
		if !right {
			sums = strings.Replace(sums, "0cc", "1cc", 1)
			sums = strings.Replace(sums, "\n0", "\n1", 1)
			sums = strings.Replace(sums, "1cc175b9c0f1b6a831c399e269772661  usr/a", "0cc175b9c0f1b6a831c399e269772661  usr/a", 1)
		}
		write(t, filepath.Join(top, "DEBIAN/md5sums"), []byte(sums))
		write(t, filepath.Join(top, "DEBIAN/control"), []byte(smallControl+"Maintainer: x <x@y.example>\nDescription: x\n"))
		file := filepath.Join(t.TempDir(), "x.deb")
		command(t, "dpkg-deb", "--root-owner-group", "-b", top, file)
		b := readFile(t, file)
		_, _, err := ReadDeb("x.deb", bytes.NewReader(b), int64(len(b)))
		if right && err != nil {
			t.Error(err)
		}
		if !right {
			wantError(t, err, "usr/", "MD5 digest")
		}
	}
}

func TestCheckDebName(t *testing.T) {
	good := artifact.Package{Name: "libg++2.0-x", Epoch: "4", Version: "1.0~rc1-2+b", Release: "0ubuntu1~22.04.1+x", Arch: "kfreebsd-amd64"}
	if err := checkDebName(good); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(*artifact.Package){
		"option":       func(p *artifact.Package) { p.Name = "-y" },
		"glob":         func(p *artifact.Package) { p.Name = "kernel*" },
		"path":         func(p *artifact.Package) { p.Name = "../x" },
		"release":      func(p *artifact.Package) { p.Name = "x/stable" },
		"version":      func(p *artifact.Package) { p.Name = "x=1" },
		"upper case":   func(p *artifact.Package) { p.Name = "Xx" },
		"empty":        func(p *artifact.Package) { p.Version = "" },
		"line":         func(p *artifact.Package) { p.Version = "1\n2" },
		"colon":        func(p *artifact.Package) { p.Version = "1:2" },
		"dash":         func(p *artifact.Package) { p.Version = "-1" },
		"revision":     func(p *artifact.Package) { p.Release = "1-1" },
		"epoch":        func(p *artifact.Package) { p.Epoch = "x" },
		"architecture": func(p *artifact.Package) { p.Arch = "a/b" },
	} {
		t.Run(name, func(t *testing.T) {
			p := good
			if edit(&p); checkDebName(p) == nil {
				t.Errorf("%+v passed", p)
			}
		})
	}
}

// TestCompareDebs compares all pairs as dpkg does.
func TestCompareDebs(t *testing.T) {
	need(t, "dpkg")
	versions := []string{
		"0", "1", "01", "1-0", "1-1", "1.0", "1.00", "1a", "1.a", "1+", "1~", "1~~", "1~~a", "1~a", "1a~", "1+b1", "1.0+dfsg-1", "1.0.1-1", "1.0-1ubuntu2",
		"1.0-1+b1", "1.0-1~bpo1", "1:0.1", "0:1", "2:1~rc1", "10", "9", "1.10", "1.9", "1.0z", "1.0Z", "99999999999999999999", "100000000000000000000",
	}
	for _, a := range versions {
		for _, b := range versions {
			var p, q artifact.Package
			p.Epoch, p.Version, p.Release = splitDebVersion(a)
			q.Epoch, q.Version, q.Release = splitDebVersion(b)
			p.File = "x.deb"
			got := CompareEVR(p, q)
			op := "eq"
			if got < 0 {
				op = "lt"
			} else if got > 0 {
				op = "gt"
			}
			if err := exec.Command("dpkg", "--compare-versions", a, op, b).Run(); err != nil {
				t.Errorf("%s is not %s %s for dpkg", a, op, b)
			}
		}
	}
	if RPM.CompareEVR(artifact.Package{Version: "1a"}, artifact.Package{Version: "1+"}) == Deb.CompareEVR(artifact.Package{Version: "1a"}, artifact.Package{Version: "1+"}) {
		t.Error("both formats compare alike: the test shows nothing")
	}
}

// FuzzReadDeb reads anything without a crash, and never names what no package may
// be called.
func FuzzReadDeb(f *testing.F) {
	f.Add(debOf(f, smallControl))
	f.Add(debOf(f, smallControl+"Depends: b (>= 1),\n c\n", "./etc/a", "a"))
	f.Add(arOf("debian-binary", "2.0\n", "control.tar", tarText(f, "control", smallControl, "md5sums", "0cc175b9c0f1b6a831c399e269772661  etc/a\n"), "data.tar", tarText(f, "etc/a", "a"), "_x", "y"))
	f.Add([]byte(arMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, c, err := ReadDeb("x", bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if checkDebName(p.Package) != nil || debVersion(p.Package) != c.Get("Version") || strings.ContainsAny(p.File, "/\n") {
			t.Errorf("%+v of %q", p, b)
		}
	})
}

// TestDebArch asks dpkg what it calls the processors of machines.
func TestDebArch(t *testing.T) {
	need(t, "dpkg-architecture")
	for arch, cpu := range map[string]string{"x86_64": "x86_64", "aarch64": "aarch64", "ppc64le": "powerpc64le", "i686": "i686", "s390x": "s390x", "riscv64": "riscv64"} {
		want := strings.TrimSpace(command(t, "sh", "-c", `dpkg-architecture -f -t "$1-linux-gnu" -qDEB_HOST_ARCH 2>/dev/null`, "sh", cpu))
		if got := DebArch(arch); got != want {
			t.Errorf("%s is %s, want %s", arch, got, want)
		}
	}
	if got := DebArch("armv7hl"); got != "armhf" {
		t.Errorf("armv7hl is %s", got)
	}
}
