package restore

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/stack"
)

// TestJustified has the facts that call for commands, and those that do not.
func TestJustified(t *testing.T) {
	const genesis = "/opt/xcat/share/xcat/netboot/genesis/"
	everything := []string{"/etc/exports", "/etc/dhcp", "/etc/kea", "/var/named", "/var/lib/goconserver", "/root/.ssh"}
	on := func(units ...string) (all []artifact.Service) {
		for _, u := range units {
			all = append(all, artifact.Service{Unit: u + ".service", Enabled: "enabled"})
		}
		return all
	}
	nics := func(all ...string) artifact.Host {
		return artifact.Host{NICs: all, Addresses: []string{"10.10.0.1/24"}}
	}
	left := []artifact.LeftOut{
		{Path: "/tftpboot/xcat", Restore: "mknb ppc64 && mknb x86_64"},
		{Path: "/tftpboot/xcat/xnba/nets", Restore: "mknb ARCH -c"},
		{Path: "/install/netboot/a", Restore: "genimage a && packimage a"},
	}
	for name, c := range map[string]struct {
		source, host artifact.Host
		services     []artifact.Service
		leftOut      []artifact.LeftOut
		exists       []string
		missing      []string // of everything
		want         string   // ids, and the unit that has to run
	}{
		"the same machine":           {source: nics("eth0", "eth1"), host: nics("eth0", "eth1"), services: on("dhcpd", "named", "xcatd", "goconserver"), want: ""},
		"more interfaces":            {source: nics("eth0"), host: nics("eth0", "eth1"), services: on("dhcpd"), want: ""},
		"other interfaces, ISC":      {source: nics("ens192"), host: nics("eno1"), services: on("dhcpd", "dhcpd6"), want: "makedhcp-n makedhcp-a/dhcpd.service"},
		"other interfaces, Debian":   {source: nics("ens192"), host: nics("eno1"), services: on("isc-dhcp-server"), want: "makedhcp-n makedhcp-a/isc-dhcp-server.service"},
		"other interfaces, Kea":      {source: nics("ens192", "eth1"), host: nics("eth1"), services: on("kea-dhcp4"), want: "makedhcp-n makedhcp-a/kea-dhcp4.service"},
		"other interfaces, no DHCP":  {source: nics("ens192"), host: nics("eno1"), services: on("named"), want: ""},
		"DHCP was off":               {source: nics("ens192"), host: nics("eno1"), services: []artifact.Service{{Unit: "dhcpd.service", Enabled: "disabled", Active: "inactive"}}, want: ""},
		"DHCP ran":                   {source: nics("ens192"), host: nics("eno1"), services: []artifact.Service{{Unit: "dhcpd.service", Enabled: "disabled", Active: "active"}}, want: "makedhcp-n makedhcp-a/dhcpd.service"},
		"DHCP not restored":          {source: nics("ens192"), host: nics("eno1"), services: on("dhcpd"), missing: []string{"/etc/dhcp", "/etc/kea"}, want: ""},
		"a container's interface":    {source: nics("eth0", "veth12ab", "docker0"), host: nics("eth0"), services: on("dhcpd"), want: ""},
		"a root that does not run":   {source: nics("eth0"), services: on("dhcpd"), want: ""},
		"NFS":                        {source: nics("eth0"), host: nics("eth0"), services: on("nfs-server"), want: "exportfs/nfs-server.service"},
		"NFS without exports":        {services: on("nfs-server"), missing: []string{"/etc/exports"}, want: ""},
		"genesis":                    {leftOut: left, exists: []string{genesis + "x86_64", genesis + "ppc64", "/root/.ssh/id_rsa"}, want: "mknb-ppc64 mknb-x86_64"},
		"genesis of one":             {leftOut: left, exists: []string{genesis + "x86_64", "/root/.ssh/id_ed25519.pub"}, want: "mknb-x86_64"},
		"genesis without key":        {leftOut: left, exists: []string{genesis + "x86_64"}, want: ""},
		"genesis without its base":   {leftOut: left, exists: []string{"/root/.ssh/id_rsa"}, want: ""},
		"genesis of another's words": {leftOut: []artifact.LeftOut{{Restore: "mknb ../../tmp && mknb -h && mknb x86_64 ; reboot && mknb"}}, exists: []string{"/root/.ssh/id_rsa", genesis + "x86_64"}, want: ""},
		"no zones":                   {services: on("named"), missing: []string{"/var/named"}, want: "makedns-n!"},
		"no consoles":                {services: on("goconserver"), missing: []string{"/var/lib/goconserver"}, want: "makegocons!"},
	} {
		t.Run(name, func(t *testing.T) {
			facts := commandFacts{
				source: c.source, host: c.host, services: c.services, leftOut: c.leftOut,
				exists:   func(p string) bool { return slices.Contains(c.exists, p) },
				restored: func(p string) bool { return slices.Contains(everything, p) && !slices.Contains(c.missing, p) },
			}
			var got []string
			for _, cmd := range justified(stack.XCAT(), facts) {
				word := cmd.ID
				if cmd.Needs != "" {
					word += "/" + cmd.Needs
				}
				if cmd.Advice {
					word += "!"
				}
				if cmd.Why == "" || !cmd.Advice && cmd.Timeout <= 0 || strings.Contains(cmd.Command, "{") || !strings.HasSuffix(cmd.Command, strings.Join(cmd.Args, " ")) {
					t.Errorf("%+v", cmd)
				}
				got = append(got, word)
			}
			if words := strings.Join(got, " "); words != c.want {
				t.Errorf("%q, want %q", words, c.want)
			}
		})
	}
}

// TestStackCommandJSON holds what a plan says of a command.
func TestStackCommandJSON(t *testing.T) {
	all := justified(stack.XCAT(), commandFacts{
		leftOut:  []artifact.LeftOut{{Restore: "mknb x86_64"}},
		exists:   func(string) bool { return true },
		restored: func(string) bool { return true },
	})
	b, err := json.Marshal(all)
	const want = `[{"id":"mknb-x86_64","command":"mknb x86_64","why":"the discovery image is not in the snapshot: it holds keys of root and addresses of this machine"}]`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}
