package stack

// Served is a UDP port that managed nodes are served on.
type Served struct {
	Port uint16
	What string // "DHCP"
	// Roles are the services of the stack that serve it.
	Roles []string
	// Rivals are units, with their suffix, that may serve it in their place.
	Rivals []string
}

// xcatServed: xcatd starts TFTP itself, and fails where another holds the port
// (perl-xCAT/xCAT/Utils.pm, xCAT-server/lib/xcat/plugins/AAsn.pm).
func xcatServed() []Served {
	return []Served{
		{Port: 67, What: "DHCP", Roles: []string{"dhcp4", "kea-dhcp4"}, Rivals: []string{"dnsmasq.service"}},
		{
			Port: 69, What: "TFTP", Roles: []string{"xcatd"},
			Rivals: []string{"tftp.socket", "tftp.service", "tftpd-hpa.service", "atftpd.service", "xinetd.service"},
		},
	}
}
