package stack

import "time"

// xcatArchs are those mknb knows (plugins/mknb.pm).
func xcatArchs() []string {
	return []string{"x86", "x86_64", "ppc64", "ppc64le", "armv7hf", "aarch64", "riscv64"}
}

// xcatCommands are in the order they are run. Section 4.5 of the reference has what
// each does. They run in the process that is started and not in xcatd (XCATBYPASS),
// so that none waits for a daemon, and none is sent on to service nodes. In that mode
// a plugin that cannot be loaded is no error: the command says so, does nothing, and
// ends with exit code 0 (xCAT/Client.pm).
func xcatCommands() []Command {
	xcat := func(c Command, plugin string) Command {
		c.Dirs = []string{"/opt/xcat/sbin", "/opt/xcat/bin"}
		// "yes": a value that is a directory would be where plugins are looked for.
		c.Env = []string{"PATH=/opt/xcat/sbin:/opt/xcat/bin:/usr/sbin:/usr/bin:/sbin:/bin", "XCATROOT=/opt/xcat", "XCATBYPASS=yes"}
		c.Failures = []string{
			"Error loading module /opt/xcat/lib/perl/xCAT_plugin/" + plugin + ".pm",
			"WARNING: Only allow root", "ERROR: Unable to open basic site table",
		}
		return c
	}
	dhcp := []string{"dhcp4", "kea-dhcp4", "dhcp6", "kea-dhcp6"}
	dhcpConf := []string{"/etc/dhcp", "/etc/dhcp3", "/etc/dhcpd.conf", "/etc/dhcpd6.conf", "/etc/kea"}
	// plugins/dhcp.pm and DHCP/Backend/Kea.pm: the configuration and its backup, the
	// interfaces, and the leases, in which ISC's server keeps reservations.
	dhcpFiles := []string{
		"/etc/dhcp/", "/etc/dhcpd*.conf*", "/etc/kea/", "/etc/sysconfig/dhcpd*", "/etc/default/isc-dhcp-server",
		"/var/lib/dhcpd/", "/var/lib/dhcp/", "/var/lib/kea/",
	}
	var keys []string
	for _, kind := range []string{"rsa", "ed25519", "ecdsa"} {
		keys = append(keys, "/root/.ssh/id_"+kind, "/root/.ssh/id_"+kind+".pub")
	}
	const base = "/opt/xcat/share/xcat/netboot/"
	return []Command{
		{
			ID: "exportfs", Program: "exportfs", Args: []string{"-ra"}, If: CauseRestored, Paths: []string{"/etc/exports", "/etc/exports.d"},
			Roles: []string{"nfs"}, Running: true, Within: time.Minute,
			Why: "the NFS server goes on with the exports it knew before the file was restored",
		},
		xcat(Command{
			ID: "makedhcp-n", Program: "makedhcp", Args: []string{"-n"}, If: CauseNICs, Paths: dhcpConf, Roles: dhcp, Within: 5 * time.Minute,
			Writes: dhcpFiles,
			Why:    "the configuration of the DHCP server names network interfaces, and the host's have other names",
		}, "dhcp"),
		xcat(Command{
			ID: "makedhcp-a", Program: "makedhcp", Args: []string{"-a"}, If: CauseNICs, Paths: dhcpConf, Roles: dhcp, Running: true, Within: 30 * time.Minute,
			Writes: dhcpFiles,
			Why:    "makedhcp -n writes a new configuration, that of Kea without any reservation: each node's is made again",
		}, "dhcp"),
		xcat(Command{
			ID: "mknb-{arch}", Program: "mknb", Args: []string{"{arch}"}, If: CauseBootFile,
			Paths:  []string{base + "genesis-openembedded/{arch}", base + "genesis/{arch}", base + "{arch}"},
			Wants:  keys,
			Writes: []string{"/tftpboot/pxelinux.0", "/tftpboot/xcat/genesis.*", "/tftpboot/xcat/nbfs.*", "/tftpboot/xcat/xnba/nets/", "/tftpboot/pxelinux.cfg/p/", "/tftpboot/etc/"},
			Within: 20 * time.Minute,
			Why:    "the discovery image is not in the snapshot: it holds keys of root and addresses of this machine",
		}, "mknb"),
		{
			ID: "makedns-n", Program: "makedns", Args: []string{"-n"}, If: CauseMissing, Roles: []string{"dns", "dns-chroot"}, Advice: true,
			Paths: []string{"/var/named", "/var/lib/named", "/var/lib/bind", "/etc/bind", "/etc/named.conf"},
			Why:   "no zone was restored; it makes them from /etc/hosts and the table networks, and what was made by hand is lost",
		},
		{
			ID: "makegocons", Program: "makegocons", If: CauseMissing, Roles: []string{"console"}, Advice: true,
			Paths: []string{"/var/lib/goconserver"},
			Why:   "no console was restored; it defines one for each node that has nodehm.cons",
		},
	}
}
