package pkgmgr

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// madeDeb is a deb made by dpkg-deb.
type madeDeb struct {
	name, version, arch string // arch "" is all
	fields              string // more of the control file, each line ended
	files               map[string]string
	postinst            string
	packing             string // of control and data: "gzip" where it is ""
	noSums              bool
}

// makeDeb writes d to directory dir and returns its path. What time it is does
// not matter to the bytes.
func makeDeb(t *testing.T, dir string, d madeDeb) string {
	t.Helper()
	need(t, "dpkg-deb")
	if d.arch == "" {
		d.arch = "all"
	}
	top := t.TempDir()
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Someone <some@one.example>\n%s", d.name, d.version, d.arch, d.fields)
	if !strings.Contains(d.fields, "Description:") {
		control += "Description: test package " + d.name + "\n"
	}
	for name, body := range d.files {
		write(t, filepath.Join(top, name), []byte(body))
	}
	if !d.noSums {
		// As dh_md5sums has it: without the escapes of md5sum.
		sums := command(t, "sh", "-c", `cd "$1" && find . -type f -printf '%P\0' | sort -z | xargs -0 -r md5sum | sed -e '/^\\/{s/^\\//;s/\\\\/\\/g}'`, "sh", top)
		write(t, filepath.Join(top, "DEBIAN/md5sums"), []byte(sums))
	}
	write(t, filepath.Join(top, "DEBIAN/control"), []byte(control))
	if d.postinst != "" {
		write(t, filepath.Join(top, "DEBIAN/postinst"), []byte(d.postinst))
		if err := os.Chmod(filepath.Join(top, "DEBIAN/postinst"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if d.packing == "" {
		d.packing = "gzip"
	}
	_, file, ok := strings.Cut(d.version, ":")
	if !ok {
		file = d.version
	}
	path := filepath.Join(dir, d.name+"_"+file+"_"+d.arch+".deb")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, "env", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", built.Unix()), "dpkg-deb", "--root-owner-group", "--uniform-compression", "-Z"+d.packing, "-b", top, path)
	return path
}

// makeDebs writes a set of debs to dir that is to xCAT's what a model is to a
// ship: a native and others, an epoch, characters that URLs escape, scripts, all
// fields of relations, and each compression.
func makeDebs(t *testing.T, dir string) {
	t.Helper()
	makeDeb(t, dir, madeDeb{name: "xcat", version: "2.17.0-snap1", arch: "amd64", packing: "xz", files: map[string]string{"/etc/xCATMN": "1\n"}, fields: `Source: xcat (2.17.0)
Section: admin
Priority: optional
Installed-Size: 12
Pre-Depends: dpkg (>= 1.15)
Depends: xcat-server (>= 2.13), libdbd-sqlite3-perl | perl-x,
 apache2
Recommends: bind9
Suggests: nmap
Enhances: better
Breaks: worse (<< 2)
Conflicts: enemy
Replaces: worse
Provides: management-node (= 2.17)
Multi-Arch: foreign
Homepage: https://example.com/?a=1&b=2
X-Odd: café
Description: first line: of several
 more of it
 .
 	with a tab
`})
	makeDeb(t, dir, madeDeb{name: "xcat-server", version: "4:2.17.0~rc1+git.3-0.1", packing: "zstd", postinst: "#!/bin/sh\nexit 0\n", files: map[string]string{"/opt/xcat/sbin/xcatd": "#!/bin/sh\n"}})
	makeDeb(t, dir, madeDeb{name: "libg++", version: "0:1.0+b", files: map[string]string{`/usr/lib/odd\x2dname`: "odd", "/usr/lib/a b": "blank"}})
	makeDeb(t, dir, madeDeb{name: "empty", version: "1", packing: "none", noSums: true})
}
