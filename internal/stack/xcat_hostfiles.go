package stack

// xcatMerges are the files that belong to the host and to the cluster. The name of
// a management node must lead to it, or site.master becomes a loopback address
// (reference 7, 5); scripts of the packages add exports and a key (7, 25).
func xcatMerges() []Merge {
	return []Merge{
		{Path: "/etc/hosts", How: MergeHosts},
		{Path: "/etc/exports", How: MergeExports},
		// Who may log in on a standby is its own matter (reference 5).
		{Path: "~/.ssh/authorized_keys", How: MergeAuthorizedKeys, StaysOnStandby: true},
		{Path: "~/.ssh/known_hosts", How: MergeKnownHosts},
	}
}

// everyFile are directories all files of which are read or run: logrotate knows
// few suffixes to pass over, run-parts of EL fewer.
func everyFile() []string {
	return []string{
		"/etc/logrotate.d", "/etc/cron.*", "/etc/init.d", "/etc/rc.d/*", "/etc/rc[0-9S].d", "/etc/profile.d", "/etc/xinetd.d", "/etc/sudoers.d",
		"/etc/dhcp/*.d", "/etc/pam.d", "/etc/ld.so.conf.d",
	}
}

// living are the leases of DHCP servers, which ISC's rewrites when it starts.
func living() []string {
	return []string{"/var/lib/dhcpd/*", "/var/lib/dhcp/*", "/var/lib/dhcp/db/*", "/var/lib/kea/*"}
}
