package stack

import (
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
)

// bind binds stack s for a host with the usual homes.
func bind(t testing.TB, s Stack, tables Tables) *Bound {
	t.Helper()
	b, err := s.Bind(tables, []string{"/root", "/home/conserver", "/home/ann", "/home/ann", "", "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func siteTable(keyValues ...string) Tables {
	var rows []map[string]string
	for i := 0; i < len(keyValues); i += 2 {
		rows = append(rows, map[string]string{"key": keyValues[i], "value": keyValues[i+1]})
	}
	return Tables{"site": rows}
}

const leftOut = artifact.Kind("")

// TestDecideKnowsEveryPathOfTheReference holds the rows of the reference's
// section 3 against the decisions.
func TestDecideKnowsEveryPathOfTheReference(t *testing.T) {
	const secrets, config = artifact.KindSecrets, artifact.KindConfig
	const install, tftpboot = artifact.KindInstall, artifact.KindTFTPBoot
	paths := map[artifact.Kind]string{
		secrets: `/etc/xcat/ca/private/ca-key.pem /etc/xcat/ca/openssl.cnf /etc/xcat/cert/server-key.pem
			/etc/xcat/hostkeys/ssh_host_rsa_key /etc/xcat/sshkeys/zone1/.ssh/id_rsa /etc/xcat/cfgloc
			/etc/xcat/cfgloc.olddb /etc/xcat/cfgloc.mysql.backup /etc/xcat/ddns.key /etc/xcat/rhevm/x.pem
			/etc/xcat/krb5_pass /etc/xcat/ad.ldaprc /root/.xcat/client-key.pem /home/conserver/.xcat/client-cred.pem
			/home/ann/.xcat/client-cred.pem /root/.ssh/id_rsa /root/.ssh/authorized_keys /etc/conserver.cf
			/etc/goconserver/server.conf /etc/goconserver/server.conf.bak /var/lib/goconserver/nodes.json
			/etc/named.conf /etc/bind/named.conf /etc/bind/named.conf.local /etc/rndc.key /etc/rndc.conf
			/etc/bind/rndc.key /etc/dhcp/dhcpd.conf /etc/dhcp/dhcpd6.conf /etc/dhcp/dhcpd.conf.xcatbak /etc/dhcpd.conf
			/etc/dhcpd6.conf /etc/dhcpd.conf.xcatbak /etc/dhcp3/dhcpd.conf /etc/kea/kea-dhcp4.conf
			/etc/kea/kea-ctrl-agent.conf /etc/chrony.keys /etc/chrony/chrony.keys /etc/odbc.ini /etc/odbcinst.ini
			/etc/unixODBC/odbc.ini /root/.odbc.ini /install/autoinst/cn01 /tftpboot/mypostscripts/mypostscript.cn01`,
		config: `/etc/xCATMN /etc/xcat/conf.orig/xcat.conf.apach24 /etc/hosts /etc/hosts.xcatbak
			/etc/logrotate.d/xcat /etc/logrotate.d/goconserver /etc/logrotate.d/conserver /var/named/db.cluster
			/var/named/db.cluster.jnl /var/lib/named/db.10 /var/lib/bind/db.10 /etc/named.iscdlv.key
			/etc/named.root.key /etc/named.rfc1912.zones /etc/named/extra.conf /etc/sysconfig/named /etc/bind/db.local
			/etc/default/bind9 /etc/default/named /etc/sysconfig/dhcpd /etc/sysconfig/dhcpd6
			/etc/default/isc-dhcp-server /etc/default/dhcp3-server /var/lib/dhcpd/dhcpd.leases
			/var/lib/dhcpd/dhcpd6.leases /var/lib/dhcp/db/dhcpd.leases /var/lib/dhcp/dhcpd.leases
			/var/lib/kea/kea-leases4.csv /etc/httpd/conf.d/xcat.conf /etc/httpd/conf.d/ssl.conf
			/etc/apache2/conf.d/xcat.conf /etc/apache2/conf-available/xcat.conf.apach24
			/etc/apache2/conf-enabled/xcat.conf /etc/exports /etc/exports.d/a.exports /etc/nfs.conf
			/etc/sysconfig/nfs /etc/default/nfs-kernel-server /etc/ntp.conf /etc/ntp.conf.orig /etc/chrony.conf
			/etc/chrony.conf.xcatbackup /etc/chrony/chrony.conf /etc/cron.daily/xcatsethwclock /etc/rsyslog.conf
			/etc/rsyslog.conf.XCATORIG /etc/rsyslog.d/xcat-cluster.conf /etc/rsyslog.d/remote.conf
			/etc/syslog-ng/syslog-ng.conf /etc/sysctl.d/99-xcat.conf /etc/sysctl.d/99-xcat.conf.xcatbackup
			/etc/systemd/system/xcatd.service.d/db.conf /etc/systemd/system/dhcpd.service.d/a.conf
			/etc/systemd/system/kea-dhcp4.service.d/a.conf /etc/sysconfig/xcat /var/lib/xcat/proxydhcp.cfg
			/var/lib/xcat/pools/p1`,
		install: `/install/custom/install/rocky/my.tmpl /install/custom/any /install/postscripts/syslog
			/install/postscripts/hooks/h /install/postscripts/mypostscript.tmpl
			/install/postscripts/_ssh/authorized_keys /install/postscripts/hostkeys/ssh_host_rsa_key.pub
			/install/postscripts/ca/ca-cert.pem /install/postscripts/_xcat/ca.pem
			/install/postscripts/repos/x/local-repository.tmpl /install/prescripts/p /install/winpostscripts/p
			/install/osimages/img/kits/x /install/kits/k/kit.conf /install/post/otherpkgs/rocky9.6/x86_64/a.rpm
			/install/post/otherpkgs/rocky9.6/x86_64/xcat/xcat-core/xCATsn.rpm /install/post/kernels/k /install/kernels/k
			/install/driverdisk/d.img /install/drivers/d /install/syncfiles/etc/motd /install/static/lite
			/install/nodedata/n /install/onie/o.bin /install/firmware/f /install/utils/u /install/images/readme`,
		tftpboot: `/tftpboot/boot/grub2/cn01 /tftpboot/boot/grub2/grub.cfg-0A000001 /tftpboot/xcat/xnba/nodes/cn01
			/tftpboot/xcat/xnba/nodes/cn01.uefi /tftpboot/pxelinux.cfg/cn01 /tftpboot/pxelinux.cfg/0A000001
			/tftpboot/pxelinux.cfg/01-aa-bb-cc-dd-ee-ff /tftpboot/petitboot/cn01 /tftpboot/etc/0a000001 /tftpboot/yb/x
			/tftpboot/bootmenu /tftpboot/xcat/miccfg /tftpboot/onie-installer /tftpboot/10.0.0.5.info
			/tftpboot/switch.cfg`,
		leftOut: `/etc/xcat/site.sqlite /etc/xcat/site.sqlite-journal /etc/xcat/genesis-scripts-updated
			/etc/xcat/genesis-base-updated /etc/ssh/sshd_config /etc/ssh/ssh_host_rsa_key /etc/resolv.conf
			/etc/nsswitch.conf /etc/hostname /etc/host.conf /etc/sysconfig/network-scripts/ifcfg-eth0
			/etc/NetworkManager/system-connections/a.nmconnection /etc/sysconfig/network/routes /etc/netplan/a.yaml
			/etc/network/interfaces /etc/passwd /etc/shadow /etc/group /etc/gshadow /var/log/consoles/cn01
			/var/log/goconserver/x /var/log/xcat/commands.log /etc/tftpmapfile4xcat.conf /etc/sysconfig/tftp
			/etc/xinetd.d/tftp /etc/default/tftpd-hpa /etc/httpd/conf/httpd.conf /etc/apache2/httpd.conf
			/var/www/html/index.html /opt/xcat/ws/xcatws.cgi /var/lib/nfs/etab /etc/sysctl.conf /etc/selinux/config
			/etc/security/limits.d/a.conf /etc/systemd/system.conf /etc/sysconfig/static-routes
			/etc/systemd/system/xcatd.service.d/xcrate-database.conf
			/etc/sysconfig/static-routes-ipv6 /etc/sudoers /etc/sudoers.d/a /var/spool/cron/root /etc/cron.d/a
			/etc/crontab /etc/profile.d/xcat.sh /etc/profile.d/xcat.csh /etc/profile.d/a.sh /etc/aliases
			/etc/postfix/main.cf /etc/yum.repos.d/a.repo /etc/zypp/repos.d/a.repo /etc/apt/sources.list
			/etc/apt/sources.list.d/a.list /etc/services /etc/hosts.equiv /etc/motd /root/xcat-dbback/site.csv
			/etc/systemimager/x /var/lib/xcat/xcatd-init-state /var/xcat/syncfiles/a /var/xcat/node/syncfiles/a
			/etc/vsftpd/vsftpd.conf /etc/vsftpd.conf /etc/openldap/ldap.conf /etc/confluent/c /var/lib/confluent/c
			/etc/ganglia/g /etc/nagios/n /var/lib/pgsql/data/pg_hba.conf /etc/postgresql/15/main/pg_hba.conf /etc/my.cnf
			/etc/my.cnf.d/a.cnf /etc/mysql/my.cnf /var/lib/mysql/xcatdb/site.ibd /run/xcat/a /var/lock/xcat/a
			/tmp/xcat1/a /xcatpost/a /opt/xcat/share/xcat/install/rocky/compute.tmpl
			/opt/xcat/share/xcat/hamn/activate-mn /opt/xcat/lib/perl/xCAT_schema/user.pm /install/kdump/v
			/install/osdistroupdates/u /install/xcat/xcat-core/a.rpm /install/xcat/xcat-dep/a.rpm
			/install/sysclone/images/i /install/tmp/t /install/vm/d /install/iscsi/d /install/nim/n /install/winroot/w
			/install/utils/windows/winpe/w /install/images/x86_64/win2022.wim /tftpboot/xcat/xnba.kpxe
			/tftpboot/xcat/xnba.efi /tftpboot/xcat/elilo-x64.efi /tftpboot/xcat/esxboot-x64.efi
			/tftpboot/xcat/pxelinux.0 /tftpboot/xcat/undionly.kpxe /tftpboot/boot/grub2/grub2.ppc
			/tftpboot/boot/grub2/powerpc-ieee1275/core.elf /tftpboot/xcat/xnba/nets/10.0.0.0_8
			/tftpboot/pxelinux.cfg/p/10.0.0.0_8 /tftpboot/xcat/osimage/i/vmlinuz
			/tftpboot/xcat/netboot/rocky9.6/x86_64/compute/kernel /tftpboot/winboot/w /tftpboot/Boot/BCD
			/tftpboot/tftpboot.list`,
	}
	b := bind(t, XCAT(), nil)
	for want, list := range paths {
		for _, p := range strings.Fields(list) {
			r := b.Decide(p)
			if r.Ref == "" {
				t.Errorf("%s: no rule decides", p)
			} else if r.Take != want {
				t.Errorf("%s: decided by %q: kind %q, want %q", p, r.Path, r.Take, want)
			}
		}
	}
}

func TestDecideUnderNoRule(t *testing.T) {
	b := bind(t, XCAT(), nil)
	for _, p := range []string{"/", "", "/usr/bin/ls", "/etc", "/etc/xcatalog", "/root", "/home/ann/.ssh/id_rsa", "/installer", "/home/bob/.xcat/a"} {
		if r := b.Decide(p); r != (Rule{}) {
			t.Errorf("%q: decided by %q", p, r.Path)
		}
	}
}

func TestMirrorTrees(t *testing.T) {
	b := bind(t, XCAT(), nil)
	for p, want := range map[string]bool{
		"/etc/xcat/ca": true, "/etc/xcat/cert/ca.pem": true, "/etc/xcat/hostkeys/a": true,
		"/install/postscripts/_ssh": true, "/install/postscripts/hostkeys": true,
		"/install/postscripts/ca": true, "/install/postscripts/_xcat/ca.pem": true,
		"/etc/xcat": false, "/etc/xcat/sshkeys": false, "/install/postscripts": false, "/root/.ssh": false,
	} {
		if got := b.Decide(p).Mirror; got != want {
			t.Errorf("%s: mirror %v, want %v", p, got, want)
		}
	}
}

func TestDecideFollowsSite(t *testing.T) {
	tables := siteTable("installdir", "/data/inst/", "tftpdir", "/data/inst/tftp", "bindconf", "/etc/dns/n.conf",
		"binddir", "/srv/zones", "xcatconfdir", "/srv/xcat", "iscsidir", "/data/inst/lun")
	tables["site"] = append(tables["site"], map[string]string{"key": "installdir", "value": "/old", "disable": "yes"})
	b := bind(t, XCAT(), tables)
	for p, want := range map[string]artifact.Kind{
		"/data/inst/custom/a": artifact.KindInstall, "/data/inst/tftp/a": artifact.KindTFTPBoot,
		"/data/inst/autoinst/a": artifact.KindSecrets, "/etc/dns/n.conf": artifact.KindSecrets,
		"/srv/zones/db.x": artifact.KindConfig, "/srv/xcat/ca/x": artifact.KindSecrets,
		"/etc/xcat/cfgloc": artifact.KindSecrets, "/data/inst/lun/a": leftOut, "/install/a": leftOut, "/old/a": leftOut,
	} {
		if r := b.Decide(p); r.Take != want {
			t.Errorf("%s: kind %q by %q, want %q", p, r.Take, r.Path, want)
		}
	}
}

func TestBindRefusesBadSite(t *testing.T) {
	for _, value := range []string{"install", "/", "/..", "../x", "~/x"} {
		_, err := XCAT().Bind(siteTable("installdir", value), nil)
		if err == nil || !strings.Contains(err.Error(), `"installdir"`) {
			t.Errorf("installdir %q: error %v", value, err)
		}
	}
}

func TestBindRefusesBadRules(t *testing.T) {
	for _, p := range []string{"/etc/[a", "{nothing}/x"} {
		if _, err := (Stack{Rules: []Rule{{Path: p}}}).Bind(nil, nil); err == nil {
			t.Errorf("rule %q: no error", p)
		}
	}
}

func TestDecidePrecedence(t *testing.T) {
	s := Stack{Rules: []Rule{
		{Path: "/a", Ref: "top"},
		{Path: "/a/*", Ref: "any"},
		{Path: "/a/b*", Ref: "b-any"},
		{Path: "/a/b[cd]e", Ref: "class"},
		{Path: "/a/bc", Ref: "first"},
		{Path: "/a/bc", Ref: "second"},
		{Path: "/a/*/deep", Ref: "deep"},
		{Path: "~/h", Ref: "home"},
		{Path: "/home/[x]/h/*", Ref: "below"},
	}}
	b, err := s.Bind(nil, []string{"/home/[x]", "/a/bc"})
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]string{
		"/a": "top", "/a/": "top", "/a/x": "any", "/a/x/y": "any", "/a/bx": "b-any", "/a/bde": "class", "/a/bc": "first",
		"/a/bc/y": "first", "/a/bc/deep": "deep", "/a/bc/deep/z": "deep", "/a/bc/h": "home", "/home/[x]/h": "home",
		"/home/x/h": "", "/home/x/h/i": "below", "/home/[x]/h/i": "home", "/b": "",
	} {
		if got := b.Decide(p).Ref; got != want {
			t.Errorf("%s: %q, want %q", p, got, want)
		}
	}
}

// TestTrieAgreesWithNaiveMatcher compares Decide with a matcher that tries
// every rule in turn, on random rules and paths.
func TestTrieAgreesWithNaiveMatcher(t *testing.T) {
	words := []string{"a", "b", "ab", "abc", "*", "a*", "*b", "?", "a?c", "[ab]", `\*`}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		random := func(from []string) string {
			var p string
			for range 1 + rng.IntN(4) {
				p += "/" + from[rng.IntN(len(from))]
			}
			return p
		}
		var s Stack
		for i := range 1 + rng.IntN(25) {
			s.Rules = append(s.Rules, Rule{Path: random(words), Ref: fmt.Sprint(i)})
		}
		b, err := s.Bind(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			p := random([]string{"a", "b", "ab", "abc", "c", "*"})
			if got, want := b.Decide(p).Ref, naive(s.Rules, p); got != want {
				t.Fatalf("seed %d: %s: rule %q, want %q of %v", seed, p, got, want, s.Rules)
			}
		}
	}
}

// naive is the definition of Decide in its plainest form.
func naive(rules []Rule, p string) string {
	ref, depth, literal, globs := "", -1, -1, 0
	for _, r := range rules {
		pattern, names := strings.Split(r.Path, "/")[1:], strings.Split(p, "/")[1:]
		if len(pattern) > len(names) {
			continue
		}
		fits, plain, wild := true, 0, 0
		for i, c := range pattern {
			ok, _ := path.Match(c, names[i])
			fits = fits && ok
			if strings.ContainsAny(c, `*?[\`) {
				wild++
			}
			if c == `\*` {
				plain++ // the escaped star is text, the backslash is not
			} else if c != "[ab]" {
				plain += len(strings.NewReplacer("*", "", "?", "").Replace(c))
			}
		}
		if fits && (len(pattern) > depth || len(pattern) == depth && (plain > literal || plain == literal && wild < globs)) {
			ref, depth, literal, globs = r.Ref, len(pattern), plain, wild
		}
	}
	return ref
}

func BenchmarkDecide(b *testing.B) {
	bound := bind(b, XCAT(), nil)
	b.ReportAllocs()
	for b.Loop() {
		bound.Decide("/install/custom/netboot/rocky/compute.postinstall")
	}
}
