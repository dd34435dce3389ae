package stack

// xcatServices are in start order; xcatd starts TFTP itself. The candidates are
// those of %svchash in perl-xCAT/xCAT/Utils.pm with the names of current
// distros. Both named and named-chroot may be there, one of them enabled.
func xcatServices() []Service {
	return []Service{
		{Role: "postgresql", Units: []string{"postgresql"}},
		{Role: "mariadb", Units: []string{"mariadb", "mysqld", "mysql"}},
		{Role: "xcatd", Units: []string{"xcatd"}},
		{Role: "dns", Units: []string{"named", "bind9"}},
		{Role: "dns-chroot", Units: []string{"named-chroot"}},
		{Role: "dhcp4", Units: []string{"dhcpd", "isc-dhcp-server", "dhcp3-server"}},
		{Role: "dhcp6", Units: []string{"dhcpd6", "isc-dhcp-server6"}},
		{Role: "kea-dhcp4", Units: []string{"kea-dhcp4", "kea-dhcp4-server", "isc-kea-dhcp4-server"}},
		{Role: "kea-dhcp6", Units: []string{"kea-dhcp6", "kea-dhcp6-server", "isc-kea-dhcp6-server"}},
		{Role: "kea-dhcp-ddns", Units: []string{"kea-dhcp-ddns", "kea-dhcp-ddns-server", "isc-kea-dhcp-ddns-server"}},
		{Role: "kea-ctrl-agent", Units: []string{"kea-ctrl-agent", "kea-ctrl-agent-server", "isc-kea-ctrl-agent"}},
		{Role: "time", Units: []string{"chronyd", "chrony", "ntpd", "ntp"}, Both: true},
		{Role: "console", Units: []string{"goconserver"}},
		{Role: "console-legacy", Units: []string{"conserver"}},
		{Role: "web", Units: []string{"httpd", "apache2"}},
		{Role: "nfs", Units: []string{"nfs-server", "nfs-kernel-server", "nfsserver", "nfs"}},
		{Role: "syslog", Units: []string{"rsyslog", "syslog", "syslogd"}, Both: true},
	}
}

// xcatPackages follow the Requires of xCAT.spec and debian/control. Not every node
// has, and so not in Install: conserver-xcat (legacy, goconserver took its place),
// xCAT-release (brings repositories of the internet) and the add-ons.
func xcatPackages() Packages {
	return Packages{
		Install: []string{
			"xCAT", "perl-xCAT", "xCAT-client", "xCAT-server", "xCAT-probe", "xCAT-buildkit",
			"xCAT-genesis-scripts-*", "xCAT-genesis-base-*", "xCAT-openbmc-py",
			"xcat", "perl-xcat", "xcat-client", "xcat-server", "xcat-probe", "xcat-buildkit",
			"xcat-genesis-scripts-*", "xcat-genesis-base-*",
			"goconserver", "grub2-xcat", "xnba-undi", "syslinux-xcat", "ipmitool-xcat", "elilo-xcat", "esxboot-xcat",
			"perl-IO-Stty", "perl-HTTP-Async", "perl-Net-HTTPS-NB", "perl-Crypt-*",
		},
		Own:     []string{"xCAT", "xCAT-*", "xCATsn", "xcat", "xcat-*", "xcatsn", "perl-xCAT", "*-xcat", "goconserver", "xnba-undi"},
		Except:  []string{"*-debuginfo", "*-debugsource", "*-dbgsym"},
		Drivers: []string{"perl-DBD-*", "libdbd-*-perl"},
		Companions: []string{
			"postgresql-server", "postgresql[0-9]*-server", "postgresql", "postgresql-[0-9]*",
			"mariadb-server", "mariadb[0-9]*-server", "mysql-server", "mysql[0-9]*-server", "mysql-community-server", "mariadb",
			"bind", "bind9", "bind-chroot",
			"dhcp-server", "isc-dhcp-server", "kea", "kea-hooks", "kea-dhcp[46]-server", "kea-dhcp-ddns-server", "kea-ctrl-agent",
			"tftp-server", "tftpd-hpa", "httpd", "apache2",
			"nfs-utils", "nfs-kernel-server", "chrony", "ntp", "rsyslog", "rsync", "nmap", "net-tools",
		},
		// Each and what lies directly in it: xcat-core and xcat-dep may be symlinks.
		Trees: []string{
			"{installdir}/xcat", "{installdir}/xcat/*",
			"{installdir}/post/otherpkgs/*/xcat", "{installdir}/post/otherpkgs/*/xcat/*",
			"{installdir}/post/otherpkgs/*/*/xcat", "{installdir}/post/otherpkgs/*/*/xcat/*",
		},
	}
}
