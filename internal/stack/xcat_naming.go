package stack

import "github.com/xcrate/xcrate/artifact"

// xcatNaming are names: hosts and DNS. Files that hold the TSIG key, which DNS
// and DHCP share, are secrets.
func xcatNaming() []Rule {
	const secrets, config = artifact.KindSecrets, artifact.KindConfig
	return []Rule{
		take(config, "/etc/hosts", "names and addresses of all managed nodes", "3.2"),
		take(config, "/etc/hosts.xcatbak", "earlier hosts file", "3.2"),

		take(secrets, "{bindconf}", "DNS server configuration with the TSIG key", "3.2"),
		take(secrets, "/etc/named.conf", "DNS server configuration with the TSIG key", "3.2"),
		take(secrets, "/etc/named.conf.*", "earlier DNS server configurations", "3.2"),
		take(config, "{bindzones}", "zone list of the DNS server", "3.2"),
		take(config, "/etc/named.iscdlv.key", "public DNSSEC keys", "3.2"),
		take(config, "/etc/named.root.key", "public DNSSEC keys", "3.2"),
		take(config, "/etc/named.rfc1912.zones", "default zones", "3.2"),
		take(config, "/etc/named", "additions to the DNS server configuration", "3.2"),
		take(secrets, "/etc/rndc.key", "key of the DNS control channel", "3.2"),
		take(secrets, "/etc/rndc.conf", "DNS control channel", "3.2"),
		take(config, "/etc/sysconfig/named", "options of the DNS server", "3.2"),
		take(config, "/etc/bind", "DNS server configuration (Debian)", "3.2"),
		take(secrets, "/etc/bind/named.conf*", "DNS server configuration with the TSIG key (Debian)", "3.2"),
		take(secrets, "/etc/bind/rndc.key", "key of the DNS control channel (Debian)", "3.2"),
		take(config, "/etc/default/bind9", "options of the DNS server (Debian)", "3.2"),
		take(config, "/etc/default/named", "options of the DNS server (Debian)", "3.2"),
		take(config, "{binddir}", "DNS zones with their journals", "3.2"),
		take(config, "/var/named", "DNS zones with their journals (EL)", "3.2"),
		leave("/var/named/chroot", "bind mounts and devices of named-chroot", "its setup service makes them from the files above", "", "3.2"),
		take(config, "/var/lib/named", "DNS zones with their journals (SLES)", "3.2"),
		take(config, "/var/lib/bind", "DNS zones with their journals (Debian)", "3.2"),
	}
}

// xcatAddresses are addresses, boot and time: DHCP, TFTP, NTP.
func xcatAddresses() []Rule {
	const secrets, config = artifact.KindSecrets, artifact.KindConfig
	return []Rule{
		take(secrets, "/etc/dhcp", "DHCP server configuration with the OMAPI key", "3.2"),
		take(secrets, "/etc/dhcp3", "DHCP server configuration with the OMAPI key (old Debian)", "3.2"),
		take(secrets, "/etc/dhcpd.conf*", "DHCP server configuration with the OMAPI key (SLES)", "3.2"),
		take(secrets, "/etc/dhcpd6.conf*", "DHCP server configuration with the OMAPI key (SLES)", "3.2"),
		take(config, "/etc/sysconfig/dhcpd", "network interfaces of the DHCP server", "3.2"),
		take(config, "/etc/sysconfig/dhcpd6", "network interfaces of the DHCP server", "3.2"),
		take(config, "/etc/default/isc-dhcp-server", "network interfaces of the DHCP server (Debian)", "3.2"),
		take(config, "/etc/default/dhcp3-server", "network interfaces of the DHCP server (old Debian)", "3.2"),
		take(config, "/var/lib/dhcpd", "DHCP leases with the nodes' reservations (EL)", "3.2"),
		take(config, "/var/lib/dhcp/db", "DHCP leases with the nodes' reservations (SLES)", "3.2"),
		take(config, "/var/lib/dhcp/*.leases*", "DHCP leases with the nodes' reservations (Debian)", "3.2"),
		take(secrets, "/etc/kea", "Kea configuration with reservations and keys", "3.2"),
		take(config, "/var/lib/kea", "Kea leases", "3.2"),
		leave("/etc/tftpmapfile4xcat.conf", "name map of the TFTP server", "xcatd writes it at each start", "systemctl restart xcatd", "3.2"),
		leave("/etc/sysconfig/tftp", "options of the distro's TFTP service", "must stay off: xcatd runs TFTP itself", "", "3.2"),
		leave("/etc/xinetd.d/tftp", "options of the distro's TFTP service", "must stay off: xcatd runs TFTP itself", "", "3.2"),
		leave("/etc/default/tftpd-hpa", "options of the distro's TFTP service", "must stay off: xcatd runs TFTP itself", "", "3.2"),

		take(config, "/etc/ntp.conf*", "time service", "3.2"),
		take(config, "/etc/chrony.conf*", "time service", "3.2"),
		take(config, "/etc/chrony", "time service (Debian)", "3.2"),
		take(secrets, "/etc/chrony.keys", "keys of the time service", "3.2"),
		take(secrets, "/etc/chrony/chrony.keys", "keys of the time service (Debian)", "3.2"),
		take(secrets, "/etc/ntp/keys", "keys of the time service", "3.2"),
		take(config, "/etc/cron.daily/xcatsethwclock", "sets the hardware clock daily", "3.2"),
	}
}
