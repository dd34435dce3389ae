package stack

import "github.com/xcrate/xcrate/artifact"

// xcatSystem are files of the base distro that xCAT touches or that people
// expect a copy of the node to bring. Most stay as the new host has them.
func xcatSystem() []Rule {
	const config = artifact.KindConfig
	const distro = "belongs to the base distro and to this machine"
	const network = "network configuration suits one machine only"
	const copyIt = "copy what was changed from the old host"
	const setUp = "set up the network as on the old host"
	rows := []Rule{
		take(config, "/etc/sysctl.d/99-xcat.conf*", "kernel settings of xCAT", "3.2"),
		leave("/etc/sysctl.conf", "kernel settings", distro, "xcatconfig -t sets those of xCAT", "3.2"),
		leave("/etc/selinux/config", "SELinux mode", distro, "", "3.2"),
		leave("/etc/resolv.conf", "DNS client", distro, "name the management node first", "3.2"),
		leave("/etc/nsswitch.conf", "order of name services", distro, copyIt, "3.2"),
		leave("/etc/host.conf", "order of name services", distro, copyIt, "3.2"),
		leave("/etc/hostname", "host name", distro, "hostnamectl set-hostname NAME", "3.2"),
		leave("/etc/passwd", "users", distro, "import creates the users that own files of the snapshot", "3.2"),
		leave("/etc/shadow", "passwords of users", distro, "passwd USER", "3.2"),
		leave("/etc/group", "groups", distro, "import creates the groups that own files of the snapshot", "3.2"),
		leave("/etc/gshadow", "passwords of groups", distro, "", "3.2"),
		leave("/etc/sudoers", "sudo rights", distro, copyIt, "3.2"),
		leave("/etc/sudoers.d", "sudo rights", distro, copyIt, "3.2"),
		leave("/var/spool/cron", "users' cron tables", distro, "crontab -l on the old host, crontab FILE on the new", "3.2"),
		leave("/etc/crontab", "cron table", distro, copyIt, "3.2"),
		leave("/etc/cron.*", "cron jobs", distro, copyIt, "3.2"),
		leave("/etc/profile.d", "shell environment", distro, copyIt, "3.2"),
		leave("/etc/aliases", "mail aliases", distro, copyIt, "3.2"),
		leave("/etc/postfix", "mail server", distro, copyIt, "3.2"),
		leave("/etc/services", "names of ports", distro, "", "3.2"),
		leave("/etc/hosts.equiv", "trusted hosts of rsh", distro, copyIt, "3.2"),
		leave("/etc/motd", "message of the day", distro, copyIt, "3.2"),
		leave("/etc/yum.repos.d", "package repositories", distro, copyIt, "3.2"),
		leave("/etc/zypp/repos.d", "package repositories", distro, copyIt, "3.2"),
		leave("/etc/apt/sources.list", "package repositories", distro, copyIt, "3.2"),
		leave("/etc/apt/sources.list.d", "package repositories", distro, copyIt, "3.2"),
		leave("/etc/security/limits.d", "resource limits", distro, copyIt, "3.2"),
		leave("/etc/systemd/system.conf", "settings of systemd", distro, copyIt, "3.2"),
		leave("/etc/sysconfig/network-scripts", "network interfaces (EL)", network, setUp, "3.2"),
		leave("/etc/NetworkManager/system-connections", "network interfaces", network, setUp, "3.2"),
		leave("/etc/sysconfig/network", "network interfaces (SLES)", network, setUp, "3.2"),
		leave("/etc/netplan", "network interfaces (Ubuntu)", network, setUp, "3.2"),
		leave("/etc/network/interfaces", "network interfaces (Debian)", network, setUp, "3.2"),
		leave("/etc/sysconfig/static-routes", "routes", network, "makeroutes", "3.2"),
		leave("/etc/sysconfig/static-routes-ipv6", "routes", network, "makeroutes", "3.2"),
	}
	// Drop-ins of the services xCAT relies on are made for it.
	for _, unit := range []string{
		"dhcpd", "dhcpd6", "isc-dhcp-server", "isc-dhcp-server6", "kea-*", "named", "named-chroot", "bind9",
		"httpd", "apache2", "goconserver", "conserver", "nfs-server", "chronyd", "rsyslog",
	} {
		rows = append(rows, take(config, "/etc/systemd/system/"+unit+".service.d", "drop-ins of "+unit, "3.2"))
	}
	return rows
}
