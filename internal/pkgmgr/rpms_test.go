package pkgmgr

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/rpmpack"

	"github.com/xcrate/xcrate/internal/host"
)

// need ends the test where a program is not there: with a failure on CI.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		const hint = "apt-get install rpm dnf createrepo-c debootstrap db5.3-util gnupg acl libcap2-bin dpkg-dev apt-utils"
		if os.Getenv("CI") == "true" || os.Getenv("XCRATE_TEST_ALL") == "1" {
			t.Fatalf("%s is missing: %s", tool, hint)
		}
		t.Skipf("%s is missing: %s", tool, hint)
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, &stderr)
	}
	return string(out)
}

var built = time.Unix(1700000000, 0)

// packed is an rpm made by rpmpack: its metadata, files by path, scripts.
type packed struct {
	rpmpack.RPMMetaData
	files  map[string]string
	postin string
}

// pack writes p to directory dir and returns its path.
func pack(t *testing.T, dir string, p packed) string {
	t.Helper()
	p.Summary, p.Licence = "Test package "+p.Name, "Apache-2.0"
	if p.Release == "" {
		p.Release = "1"
	}
	if p.Epoch != rpmpack.NoEpoch && p.Epoch > 0 {
		// rpmpack leaves the epoch out of what a package provides of itself.
		p.Provides = append(p.Provides, &rpmpack.Relation{Name: p.Name, Version: fmt.Sprintf("%d:%s-%s", p.Epoch, p.Version, p.Release), Sense: rpmpack.SenseEqual})
	}
	if p.BuildTime.IsZero() {
		p.BuildTime = built
	}
	r, err := rpmpack.NewRPM(p.RPMMetaData)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range p.files {
		r.AddFile(rpmpack.RPMFile{Name: name, Body: []byte(body), Mode: 0o644, Owner: "root", Group: "root", MTime: uint32(built.Unix())})
	}
	if p.postin != "" {
		r.AddPostin(p.postin)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	arch := p.Arch
	if arch == "" {
		arch = "noarch"
	}
	path := filepath.Join(dir, p.Name+"-"+p.Version+"-"+p.Release+"."+arch+".rpm")
	write(t, path, b.Bytes())
	return path
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func needs(t *testing.T, relations ...string) rpmpack.Relations {
	t.Helper()
	var all rpmpack.Relations
	for _, r := range relations {
		if err := all.Set(r); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// packStack writes a set of packages to dir that is to xCAT's what a model is
// to a ship: epochs, exact versions between them, a file and a rich
// dependency, both architectures.
func packStack(t *testing.T, dir string) {
	t.Helper()
	meta := func(name string, epoch uint32, arch string, requires ...string) rpmpack.RPMMetaData {
		return rpmpack.RPMMetaData{Name: name, Version: "2.17.0", Release: "snap1", Epoch: epoch, Arch: arch, Requires: needs(t, requires...)}
	}
	pack(t, dir, packed{
		RPMMetaData: meta("xCAT", rpmpack.NoEpoch, "x86_64", "xCAT-server = 4:2.17.0-snap1", "/opt/xcat/bin/tabdump", "(xCAT-probe if el-base)"),
		files:       map[string]string{"/etc/xCATMN": "1\n"},
	})
	pack(t, dir, packed{
		RPMMetaData: meta("xCAT-server", 4, "noarch", "xCAT-client = 4:2.17.0", "/bin/sh"),
		files:       map[string]string{"/opt/xcat/sbin/xcatd": "#!/bin/sh\n"},
		postin:      "echo done >/etc/xcat-post\n",
	})
	pack(t, dir, packed{RPMMetaData: meta("xCAT-client", 4, "noarch"), files: map[string]string{"/opt/xcat/bin/tabdump": "#!/bin/sh\n"}})
	pack(t, dir, packed{RPMMetaData: meta("xCAT-probe", 4, "noarch"), files: map[string]string{"/opt/xcat/bin/xcatprobe": "#!/bin/sh\n"}})
	pack(t, dir, packed{RPMMetaData: meta("xCAT-genesis-base-x86_64", 2, "noarch"), files: map[string]string{"/opt/xcat/share/fs": strings.Repeat("genesis ", 999)}})
}

// fullSpec has one of everything a header can say.
const fullSpec = `
Name: full
Epoch: 7
Version: 1.0~rc1
Release: 2^git3
Summary: All & <everything>
License: Apache-2.0
Group: System/Base
Vendor: The "vendor"
Packager: Someone <some@one.example>
URL: https://example.com/?a=1&b=2
AutoReqProv: no
Provides: capability, versioned = 3:4-5, /usr/bin/virtual
Requires: plain, lower < 1, higher >= 2:3-4, (rich or (other and third >= 2)), twice, twice, capability
Requires: /etc/full/conf, /usr/share/full/data, libc.so.6(GLIBC_2.4)(64bit)
Requires(pre): /usr/sbin/useradd
Requires(post): plain
Conflicts: enemy > 9
Obsoletes: older <= 1:2-3
Recommends: nice
Suggests: nicer = 1
Supplements: (this and that)
Enhances: better
%description
Several lines,
with	tab, & ampersand, caf` + "\u00e9" + `.
%install
mkdir -p %{buildroot}/etc/full %{buildroot}/usr/share/full %{buildroot}/usr/sbin %{buildroot}/var/log
echo 1 >%{buildroot}/etc/full/conf
echo 2 >"%{buildroot}/usr/share/full/data & more"
echo 3 >%{buildroot}/usr/share/full/data
echo 4 >%{buildroot}/usr/sbin/fulld
%files
%dir /etc/full
%config /etc/full/conf
/usr/share/full
/usr/sbin/fulld
%ghost /var/log/full.log
%changelog
` + changes

const changes = `* Wed Nov 15 2023 Someone <some@one.example> - 1.0-2
- Second of the day
* Wed Nov 15 2023 Other <o@one.example> - 1.0-1
- First & <second>
* Thu Jan 01 2015 Old
- Old
`

// rpmbuild builds spec and writes the rpm, and its source rpm, to dir.
func rpmbuild(t *testing.T, dir, spec string) {
	t.Helper()
	need(t, "rpmbuild")
	top := t.TempDir()
	file := filepath.Join(top, "test.spec")
	write(t, file, []byte(spec))
	command(t, "rpmbuild", "--quiet", "-ba", "--nodeps", "--define", "_topdir "+top, "--define", "_build_id_links none", file)
	command(t, "sh", "-c", `cp "$1"/RPMS/*/*.rpm "$1"/SRPMS/*.rpm "$2"`, "sh", top, dir)
}

func openRoot(t *testing.T, dir string) *host.Root {
	t.Helper()
	root, err := host.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// find returns the packages in dir of this machine.
func find(t *testing.T, dir string) Found {
	t.Helper()
	found, err := Find(t.Context(), openRoot(t, "/"), dir, FindOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
