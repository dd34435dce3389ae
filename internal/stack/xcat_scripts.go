package stack

// xcatScripts is what "xcatconfig -i" and the other scripts of the packages do
// (xCAT-server/sbin/xcatconfig, xCAT.spec): new keys and certificates, rows in
// the database, exports, kernel settings, services enabled and started, the
// firewall stopped and disabled, SELinux switched to permissive and off.
func xcatScripts() Scripts {
	return Scripts{
		Change: []string{"/etc", "/root/.ssh", "/root/.xcat"},
		Make: []string{
			"/opt/xcat", "/usr/sbin/xcatd", "/install", "/install/postscripts", "/tftpboot", "/tftpboot/xcat", "/tftpboot/mypostscripts",
			"/root/.ssh", "/root/.xcat", "/home/conserver", "/var/lib/xcat", "/var/xcat", "/var/log/xcat", "/var/log/consoles",
		},
		// xcatconfig writes SELINUX=disabled and does not ask.
		Settings: []string{
			"/etc/selinux/config", "/etc/sysconfig/selinux",
			"/etc/systemd/system/dbus-org.fedoraproject.FirewallD1.service", "/etc/ufw/ufw.conf",
		},
		Guards: []Service{
			{Role: "firewall", Units: []string{"firewalld", "ufw", "SuSEfirewall2"}},
			{Role: "packet-filter", Units: []string{"nftables", "iptables"}},
		},
	}
}
