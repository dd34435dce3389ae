package hosttest

import (
	"fmt"
	"os"
	"slices"
)

// Distro is what a management node of one distro has in places of its own
// (docs of xCAT; the units are those its Utils.pm looks for).
type Distro struct {
	Name                   string // "el9"
	ID, Version, Like      string // as os-release has them
	Codename               string
	Web, DNS, DHCP, NFS    string // units
	Time                   string
	WebConf, DNSConf       string // files that xCAT writes, without a slash before
	DHCPConf               string
	DNSUser, WebUser       string
	DNSID, WebID, NewWebID int
}

// Distros are those that plans are tested for.
func Distros() []Distro {
	return []Distro{
		likeRHEL("el8", "rocky", "8.10", "dhcpd", "etc/dhcp/dhcpd.conf"),
		likeRHEL("el9", "almalinux", "9.6", "dhcpd", "etc/dhcp/dhcpd.conf"),
		likeRHEL("el10", "rocky", "10.1", "kea-dhcp4", "etc/kea/kea-dhcp4.conf"),
		{
			Name: "sles15", ID: "sles", Version: "15.6", Like: "suse",
			Web: "apache2", DNS: "named", DHCP: "dhcpd", NFS: "nfs-server", Time: "chronyd",
			WebConf: "etc/apache2/conf.d/xcat.conf", DNSConf: "etc/named.conf", DHCPConf: "etc/dhcpd.conf",
			DNSUser: "named", WebUser: "wwwrun", DNSID: 44, WebID: 478, NewWebID: 477,
		},
		likeDebian("ubuntu22", "ubuntu", "22.04", "jammy", "kea-dhcp4-server", "etc/kea/kea-dhcp4.conf"),
		likeDebian("ubuntu24", "ubuntu", "24.04", "noble", "kea-dhcp4-server", "etc/kea/kea-dhcp4.conf"),
		likeDebian("debian12", "debian", "12", "bookworm", "isc-dhcp-server", "etc/dhcp/dhcpd.conf"),
	}
}

func likeRHEL(name, id, version, dhcp, dhcpConf string) Distro {
	return Distro{
		Name: name, ID: id, Version: version, Like: "rhel centos fedora",
		Web: "httpd", DNS: "named", DHCP: dhcp, NFS: "nfs-server", Time: "chronyd",
		WebConf: "etc/httpd/conf.d/xcat.conf", DNSConf: "etc/named.conf", DHCPConf: dhcpConf,
		DNSUser: "named", WebUser: "apache", DNSID: 25, WebID: 48, NewWebID: 48,
	}
}

func likeDebian(name, id, version, codename, dhcp, dhcpConf string) Distro {
	return Distro{
		Name: name, ID: id, Version: version, Like: "debian", Codename: codename,
		Web: "apache2", DNS: "named", DHCP: dhcp, NFS: "nfs-kernel-server", Time: "chrony",
		WebConf: "etc/apache2/conf-enabled/xcat.conf", DNSConf: "etc/bind/named.conf", DHCPConf: dhcpConf,
		DNSUser: "bind", WebUser: "www-data", DNSID: 114, WebID: 33, NewWebID: 33,
	}
}

// Units are those of the distro, and xcatd where the stack is installed.
func (d Distro) Units() []string {
	return []string{d.Web, d.DNS, d.DHCP, d.NFS, d.Time, "rsyslog"}
}

// DistroHost makes directory dir, which must be empty or missing, a fresh install of
// distro d with the services that a management node uses, as text alone: no package
// database, no programs.
func DistroHost(dir string, d Distro) error { return distroRoot(dir, d, "distrohost.txt") }

// DistroMN makes dir a small management node on distro d: a few files of each kind
// at the places of the distro, no database.
func DistroMN(dir string, d Distro) error {
	return distroRoot(dir, d, "distrohost.txt", "distromn.txt")
}

// distroRoot makes a root of fixtures; a later one may have a file again.
func distroRoot(dir string, d Distro, fixtures ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var all []fixtureEntry
	data := struct {
		Distro
		MN bool
	}{d, len(fixtures) > 1}
	for _, name := range fixtures {
		text, err := render(name, nil, data)
		if err != nil {
			return err
		}
		entries, err := parseFixture(name, text)
		if err != nil {
			return err
		}
		for _, e := range entries {
			all = slices.DeleteFunc(all, func(old fixtureEntry) bool { return old.path == e.path })
			all = append(all, e)
		}
	}
	ids, err := idsOf(all)
	if err != nil {
		return fmt.Errorf("distro %s: %w", d.Name, err)
	}
	w := newWriter(dir, ids, os.Geteuid() != 0)
	w.put(all)
	w.file("usr/bin/bash", 0o755, "root:root", elfHeader())
	return w.finish()
}

// idsOf reads the accounts that a list of entries makes.
func idsOf(all []fixtureEntry) (ids accounts, err error) {
	for p, set := range map[string]*map[string]int{"etc/passwd": &ids.users, "etc/group": &ids.groups} {
		e, err := find(all, p)
		if err != nil {
			return ids, err
		}
		if *set, err = parseIDs(e.body); err != nil {
			return ids, err
		}
	}
	return ids, nil
}
