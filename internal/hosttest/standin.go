package hosttest

import (
	"fmt"
	"maps"

	"github.com/google/rpmpack"
)

// standIn is a package of a stand-in for xCAT that really runs.
type standIn struct {
	name, deb    string
	epoch        uint32
	arch         string
	requires     []string // by name of rpm; "=" in front pins the version as xCAT's do
	debRequires  string
	content      map[string]string
	links        map[string]string
	post         string
	debPost      string // where it is another
	version, rel string // xCAT's where empty
}

// clientCommands are those whose names lead to the one program.
func clientCommands() map[string]string {
	links := map[string]string{}
	for _, name := range []string{"lsxcatd", "nodels", "tabdump"} {
		links["/opt/xcat/bin/"+name] = "../sbin/xcatd"
	}
	for _, name := range []string{"makedhcp", "makedns", "makegocons", "makehosts", "makeknownhosts", "makenetworks", "makentp", "mknb", "xcatconfig", "tabdump"} {
		links["/opt/xcat/sbin/"+name] = "xcatd"
	}
	return links
}

// xcatdUnit is that of xCAT-server/etc/init.d/xcatd.service.
const xcatdUnit = `[Unit]
Description=xCAT management service
After=network.target syslog.service

[Service]
EnvironmentFile=-/etc/sysconfig/xcat
Type=forking
PIDFile=/run/xcatd.pid
TimeoutStartSec=600
KillMode=mixed
Restart=on-failure
ExecStart=/opt/xcat/sbin/xcatd

[Install]
WantedBy=multi-user.target
`

const consoleUnit = "[Unit]\nDescription=goconserver console daemon\n[Service]\nExecStart=/usr/bin/goconserver\n[Install]\nWantedBy=multi-user.target\n"

// webConf is what package xCAT has the web server show.
const webConf = `Alias /install /install
Alias /tftpboot /tftpboot
<Directory "/install">
  Require all granted
</Directory>
<Directory "/tftpboot">
  Require all granted
</Directory>
`

// profile is what the script of xCAT-client writes.
const profile = `cat >/etc/profile.d/xcat.sh <<'EOF'
XCATROOT=/opt/xcat
PATH=$XCATROOT/bin:$XCATROOT/sbin:$XCATROOT/share/xcat/tools:$PATH
export XCATROOT PATH
EOF
chmod 755 /etc/profile.d/xcat.sh
`

// standIns are the packages; xcatd is the program that all of xCAT is.
func standIns(xcatd []byte) []standIn {
	version := "sub Version { return 'Version " + xcatVersion + " (git commit 0, built now)'; }\n"
	own := map[string]string{
		"/etc/xCATMN": "1\n", "/etc/logrotate.d/xcat": "/var/log/xcat/*.log {\n  weekly\n}\n",
		"/install/postscripts/syslog": "#!/bin/sh\necho syslog\n", "/install/postscripts/otherpkgs": "#!/bin/sh\necho otherpkgs\n",
		"/install/prescripts/example": "#!/bin/sh\n",
		"/etc/httpd/conf.d/xcat.conf": webConf, "/etc/xcat/conf.orig/xcat.conf.apach24": webConf,
	}
	return []standIn{
		{
			name: "xCAT", deb: "xcat", epoch: rpmpack.NoEpoch, arch: "x86_64", content: own,
			requires:    []string{"=xCAT-server", "=xCAT-client", "=xCAT-genesis-scripts-x86_64", "goconserver>=0.3.3", "xnba-undi", "httpd", "bind", "nfs-utils", "/usr/sbin/dhcpd"},
			debRequires: "xcat-server, xcat-client, xcat-genesis-scripts-amd64, goconserver, xnba-undi, apache2, isc-dhcp-server, tftpd-hpa",
			post: "rm -f /etc/httpd/conf.d/xcat.conf\ncp /etc/xcat/conf.orig/xcat.conf.apach24 /etc/httpd/conf.d/xcat.conf\n" +
				"mkdir -p /var/run/xcat\ncp /install/postscripts/otherpkgs /install/postscripts/xHRM\n/opt/xcat/sbin/xcatconfig -i\n",
			debPost: "set -e\n/opt/xcat/sbin/xcatconfig -i\nln -sf ../conf-available/xcat.conf /etc/apache2/conf-enabled/xcat.conf\n" +
				"systemctl restart apache2 || true\n",
		},
		{name: "perl-xCAT", deb: "perl-xcat", epoch: 4, arch: "noarch", content: map[string]string{"/opt/xcat/lib/perl/xCAT/Version.pm": version}},
		{
			name: "xCAT-client", deb: "xcat-client", epoch: 4, arch: "noarch", requires: []string{"=perl-xCAT"}, debRequires: "perl-xcat",
			content: map[string]string{"/opt/xcat/share/doc/xcat": "client\n"}, links: clientCommands(), post: profile,
		},
		{
			name: "xCAT-server", deb: "xcat-server", epoch: 4, arch: "noarch", requires: []string{"=perl-xCAT", "=xCAT-client"}, debRequires: "perl-xcat, xcat-client",
			content: map[string]string{
				"/opt/xcat/sbin/xcatd": string(xcatd), "/usr/lib/systemd/system/xcatd.service": xcatdUnit,
				"/opt/xcat/share/xcat/install/rocky/compute.rocky9.tmpl": "#INCLUDE_DEFAULT_PKGLIST#\n",
			},
			post: "ln -sf /opt/xcat/sbin/xcatd /usr/sbin/xcatd\nsystemctl daemon-reload\nsystemctl enable xcatd\n",
		},
		{
			name: "xCAT-genesis-scripts-x86_64", deb: "xcat-genesis-scripts-amd64", epoch: 1, arch: "noarch",
			content: map[string]string{"/opt/xcat/share/xcat/netboot/genesis/x86_64/fs/usr/bin/doxcat": "#!/bin/sh\n"},
			post:    "mkdir -p /etc/xcat\ntouch /etc/xcat/genesis-scripts-updated\n",
		},
		{
			name: "goconserver", deb: "goconserver", epoch: rpmpack.NoEpoch, arch: "x86_64", version: "0.3.3", rel: "snap202011021058",
			content: map[string]string{"/usr/bin/goconserver": "#!/bin/bash\nexec -a goconserver /opt/xcat/sbin/xcatd\n", "/usr/lib/systemd/system/goconserver.service": consoleUnit},
		},
		{
			name: "xnba-undi", deb: "xnba-undi", epoch: rpmpack.NoEpoch, arch: "noarch", version: "1.21.1", rel: "1",
			content: map[string]string{"/tftpboot/xcat/xnba.kpxe": "boot loader\n"},
		},
	}
}

// StandInPackages writes packages to dir that make a fresh host a management node
// that runs: rpms, or debs, with xCAT's names, epochs, paths, units and scripts,
// and one program that is its daemon and its commands, built from
// internal/hosttest/xcatd. Debs need dpkg-deb. script is put in front of that of
// package xCAT.
func StandInPackages(dir string, xcatd []byte, debs bool, script string) error {
	for _, p := range standIns(xcatd) {
		if p.version == "" {
			p.version, p.rel = xcatVersion, xcatRelease
		}
		if p.name == "xCAT" {
			p.post, p.debPost = script+p.post, script+p.debPost
		}
		var err error
		if debs {
			err = p.writeDeb(dir)
		} else {
			err = p.writeRPM(dir)
		}
		if err != nil {
			return fmt.Errorf("package %s: %w", p.name, err)
		}
	}
	return nil
}

func (p standIn) writeRPM(dir string) error {
	epochs := map[string]string{"xCAT-server": "4:", "xCAT-client": "4:", "perl-xCAT": "4:", "xCAT-genesis-scripts-x86_64": "1:"}
	s := scripted{rpmSpec: rpmSpec{name: p.name, version: p.version, release: p.rel, arch: p.arch, epoch: p.epoch}, content: p.content, links: p.links, post: p.post}
	for _, r := range p.requires {
		if r[0] == '=' {
			r = exactly(r[1:], epochs[r[1:]])
		}
		s.requires = append(s.requires, r)
	}
	return s.write(dir)
}

func (p standIn) writeDeb(dir string) error {
	arch := map[string]string{"noarch": "all", "x86_64": "amd64"}[p.arch]
	post := p.post
	if p.debPost != "" {
		post = p.debPost
	}
	content := p.content
	if p.name == "xCAT" {
		content = maps.Clone(content)
		content["/etc/apache2/conf-available/xcat.conf"] = content["/etc/httpd/conf.d/xcat.conf"]
		delete(content, "/etc/httpd/conf.d/xcat.conf")
	}
	return deb{p.deb, arch, p.debRequires, post, content, p.links}.write(dir)
}
