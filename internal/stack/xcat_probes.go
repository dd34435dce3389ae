package stack

// xcatProbes are the health checks of an xCAT management node that change nothing:
// xcatprobe xcatmn is none, it defines a node and edits /etc/hosts.
func xcatProbes() Probes {
	return Probes{
		Daemon: "xcatd",
		Ports: []Port{
			{Key: "xcatdport", Default: "3001", What: "requests of clients"},
			{Key: "xcatiport", Default: "3002", What: "requests of nodes that are being installed"},
		},
		// xCAT-client writes it; packages of xCAT may be relocated.
		Profile: "/etc/profile.d/xcat.sh", RootVar: "XCATROOT",
		Status:    Program{Names: []string{"bin/lsxcatd", "sbin/lsxcatd"}, Args: []string{"-a"}},
		EngineKey: "dbengine",
		// As cfgloc names them: sub lsxcatd of plugin tabutils.
		Engines: map[string]string{"sqlite": "SQLite", "postgres": "Pg", "mariadb": "mysql"},
		// setup-xcat-ca.sh and setup-server-cert.sh.
		CA:          "/etc/xcat/ca/ca-cert.pem",
		Certificate: "/etc/xcat/cert/server-cert.pem",
		Key:         "/etc/xcat/cert/server-key.pem",
		Trusted:     "trusted",
		// xcatd and its monitors write to them as they start, end and work.
		Volatile: []string{
			"auditlog*", "eventlog*", "notification", "performance", "token", "taskstate", "discoverydata",
			"kvm_nodedata", "x_teal*", "isnm_perf*",
		},
		DNS: []string{"dns", "dns-chroot"}, Web: []string{"web"}, NFS: []string{"nfs"},
		Zones: Program{Names: []string{"named-checkconf"}, Args: []string{"-z"}}, ZonesKey: "bindconf",
		Configs: xcatConfigTests(),
		TFTP: FileProbe{
			Dir:    "{tftpdir}",
			Prefer: []string{"xcat/xnba.kpxe", "pxelinux.0", "xcat/xnba.efi", "boot/grub2/grub2.x64", "boot/grub2/grub2.ppc"},
			Port:   Port{Default: "69"},
			// The plugin AAsn asks it for the names of the management node.
			Table: "servicenode", Column: "tftpserver",
		},
		HTTP: FileProbe{
			Dir:    "{installdir}/postscripts",
			Prefer: []string{"syslog", "xcatdsklspost"},
			Port:   Port{Key: "httpport", Default: "80"},
		},
		Consoles: []Listener{
			// Goconserver.pm: go_api_port, go_cons_port.
			{Role: "console", Ports: []Port{{Default: "12429", What: "its REST interface"}, {Default: "12430", What: "consoles"}}},
			{Role: "console-legacy", Ports: []Port{{Default: "782", What: "consoles"}}},
		},
		Exports:     Program{Names: []string{"exportfs"}, Args: []string{"-v"}},
		ExportFiles: []string{"/etc/exports", "/etc/exports.d/*.exports"},
	}
}

// xcatConfigTests are those of ISC's two DHCP servers.
func xcatConfigTests() []ConfigTest {
	kea := func(role string) ConfigTest {
		return ConfigTest{Role: role, Program: role, Args: []string{"-t"}, Files: []string{"/etc/kea/" + role + ".conf"}}
	}
	return []ConfigTest{
		{
			Role: "dhcp4", Program: "dhcpd", Args: []string{"-t", "-cf"},
			Files: []string{"/etc/dhcp/dhcpd.conf", "/etc/dhcpd.conf", "/etc/dhcp3/dhcpd.conf"},
		},
		{
			Role: "dhcp6", Program: "dhcpd", Args: []string{"-6", "-t", "-cf"},
			Files: []string{"/etc/dhcp/dhcpd6.conf", "/etc/dhcpd6.conf"},
		},
		kea("kea-dhcp4"), kea("kea-dhcp6"), kea("kea-dhcp-ddns"), kea("kea-ctrl-agent"),
	}
}
