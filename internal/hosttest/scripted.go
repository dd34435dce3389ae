package hosttest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/rpmpack"
	"golang.org/x/sys/unix"
)

// Script is what the scripts of xCAT's packages do to a fresh host, as a sample
// that needs nothing but a shell: a CA, keys and rows of its own, an account, a
// line in exports, services enabled, firewall and SELinux switched off (xCAT.spec
// and xcatconfig of xcat-core).
const Script = `mkdir -p /etc/xcat/ca/private /etc/xcat/hostkeys /root/.xcat /root/.ssh /install/postscripts/_ssh /var/log/xcat
echo "CA of the installation" >/etc/xcat/ca/ca-cert.pem
echo "key of the installation" >/etc/xcat/ca/private/ca-key.pem
echo "stale" >/etc/xcat/ca/of-the-installation.pem
echo "host key" >/etc/xcat/hostkeys/ssh_host_rsa_key
echo "credential" >/root/.xcat/client-key.pem
echo "key" >>/root/.ssh/authorized_keys
echo "key" >/install/postscripts/_ssh/authorized_keys
cp /opt/xcat/share/rows.sqlite /etc/xcat/policy.sqlite
cp /opt/xcat/share/rows.sqlite /etc/xcat/made.sqlite
getent passwd conserver >/dev/null || useradd -r -m -d /home/conserver conserver
echo "/install *(rw,no_root_squash)" >>/etc/exports
[ ! -e /etc/selinux/config ] || sed -i s/enforcing/disabled/ /etc/selinux/config
wants=/etc/systemd/system/multi-user.target.wants
rm -f $wants/firewalld.service
mkdir -p $wants
ln -sf /usr/lib/systemd/system/xcatd.service $wants/xcatd.service
ln -sf /usr/lib/systemd/system/kea-dhcp4.service $wants/kea-dhcp4.service
date >>/var/log/xcat/scripts
`

// ScriptedOptions say what ScriptedPackages makes.
type ScriptedOptions struct {
	// Script is run when package xCAT is installed, by default Script.
	Script string
	// Version is that of all packages, by default that of the sample MN.
	Version string
	// Requires are more requirements of package xCAT.
	Requires []string
}

// ScriptedPackages writes packages to dir that are to a management node's what a
// model is to a ship: named as xCAT's, with epochs and exact versions between them,
// and with scripts that do what those do. rows is a SQLite file for the database.
func ScriptedPackages(dir, rows string, o ScriptedOptions) error {
	if o.Script == "" {
		o.Script = Script
	}
	if o.Version == "" {
		o.Version = xcatVersion
	}
	b, err := os.ReadFile(rows)
	if err != nil {
		return err
	}
	unit := "[Unit]\nDescription=%s\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
	exact := func(name, epoch string) string { return name + "=" + epoch + o.Version + "-" + xcatRelease }
	for _, p := range []scripted{
		{
			rpmSpec: core("xCAT", "x86_64", rpmpack.NoEpoch).need(append(o.Requires, exact("xCAT-server", "4:"), "goconserver>=0.3.3")...),
			content: map[string]string{"/etc/xCATMN": "1\n", "/opt/xcat/share/rows.sqlite": string(b)}, post: o.Script,
		},
		{rpmSpec: core("perl-xCAT", "noarch", 4), content: map[string]string{"/opt/xcat/lib/perl/xCAT/Version.pm": "sub Version { return 'Version " + o.Version + " (git commit 0, built now)'; }\n"}},
		{rpmSpec: core("xCAT-server", "noarch", 4).need(exact("perl-xCAT", "4:")), content: map[string]string{
			"/opt/xcat/sbin/xcatd": "#!/bin/sh\n", "/usr/lib/systemd/system/xcatd.service": fmt.Sprintf(unit, "xCAT"),
			"/usr/lib/systemd/system/kea-dhcp4.service": fmt.Sprintf(unit, "DHCP"),
		}},
		{rpmSpec: dep("goconserver", "0.3.3", "snap202011021058", "x86_64"), content: map[string]string{"/usr/bin/goconserver": "#!/bin/sh\n"}},
	} {
		if p.name != "goconserver" {
			p.version = o.Version
		}
		if err := p.write(dir); err != nil {
			return fmt.Errorf("package %s: %w", p.name, err)
		}
	}
	return nil
}

// scripted is a package whose files are not those of the sample's tree.
type scripted struct {
	rpmSpec
	content map[string]string
	links   map[string]string
	post    string
}

// isProgram tells scripts and binaries from other files of a package.
func isProgram(body string) bool {
	return strings.HasPrefix(body, "#!") || strings.HasPrefix(body, "\x7fELF")
}

func (p scripted) write(dir string) error {
	r, err := p.rpmSpec.pack()
	if err != nil {
		return err
	}
	for name, body := range p.content {
		mode := uint(0o644)
		if isProgram(body) {
			mode = 0o755
		}
		r.AddFile(rpmpack.RPMFile{Name: name, Body: []byte(body), Mode: mode, Owner: "root", Group: "root", MTime: uint32(buildTime().Unix())})
	}
	for name, to := range p.links {
		r.AddFile(rpmpack.RPMFile{Name: name, Body: []byte(to), Mode: unix.S_IFLNK | 0o777, Owner: "root", Group: "root", MTime: uint32(buildTime().Unix())})
	}
	if p.post != "" {
		r.AddPostin(p.post)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, p.name+"-"+p.version+"-"+p.release+"."+p.arch+".rpm"), b.Bytes(), 0o644)
}
