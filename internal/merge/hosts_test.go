package merge

import (
	"strings"
	"testing"
)

// TestHosts is who keeps what. Of each result the merge with the same snapshot is
// the result again.
func TestHosts(t *testing.T) {
	live := Self{Names: []string{"mn", "mn.cluster"}, Addresses: []string{"127.0.0.1/8", "10.0.0.9/24", "192.168.7.9/24", "fd00::9/64", "fe80::1/64"}}
	mounted := Self{Names: []string{"mn", "mn.cluster"}}
	for _, tt := range []struct {
		name                 string
		self                 Self
		host, snapshot, want string
		note                 string // one of them holds it
	}{
		{
			"fresh_install", live, "127.0.0.1 localhost\n::1 localhost\n", "127.0.0.1 localhost\n\n# nodes\n10.0.0.9 mn.cluster mn\n10.0.1.1 cn1\n",
			"::1 localhost\n127.0.0.1 localhost\n\n# nodes\n10.0.0.9 mn.cluster mn\n10.0.1.1 cn1\n", "2 lines of the snapshot added",
		},
		{"equal", live, "127.0.0.1 localhost\n10.0.0.9 mn", "127.0.0.1 localhost\n10.0.0.9 mn", "127.0.0.1 localhost\n10.0.0.9 mn", ""},
		{
			"own_lines_stay", live, "# ours\n10.5.0.1 printer # second floor\n", "10.0.1.1 cn1\n", "10.0.1.1 cn1\n# ours\n10.5.0.1 printer # second floor\n",
			"names of this host kept: printer",
		},
		{"name_elsewhere", live, "10.5.0.1 cn1 alias\n", "10.0.1.1 CN1\n", "10.0.1.1 CN1\n10.5.0.1 alias\n", "cn1 (10.0.1.1, here 10.5.0.1)"},
		{"name_twice", live, "fd00::1 cn1 six\n", "10.0.1.1 cn1\nfd00::1 cn1\n", "10.0.1.1 cn1\nfd00::1 cn1\nfd00::1 six\n", "kept: six"},
		{
			"debian_loopback", live, "127.0.0.1 localhost\n127.0.1.1 mn.cluster mn\n", "10.0.0.9 mn.cluster mn\n", "127.0.0.1 localhost\n10.0.0.9 mn.cluster mn\n",
			"mn.cluster, mn does not lead to 127.0.1.1 any more",
		},
		{"own_name_beside_localhost", live, "127.0.0.1 localhost mn # x\n", "10.0.0.9 mn\n", "127.0.0.1 localhost # x\n10.0.0.9 mn\n", ""},
		{"domain_only_here", live, "127.0.1.1 mn.cluster mn\n", "10.0.0.9 mn alias # ours\n", "10.0.0.9 mn alias mn.cluster # ours\n", ""},
		{
			"loopback_of_the_source", live, "127.0.0.1 localhost\n", "127.0.0.1 localhost old\n127.0.1.1 mn\n10.0.0.9 mn\n127.0.0.8 other\n",
			"127.0.0.1 localhost\n10.0.0.9 mn\n127.0.0.8 other\n", "",
		},
		{"only_loopback_in_the_snapshot", live, "127.0.1.1 mn\n", "127.0.1.1 mn.cluster mn\n", "127.0.1.1 mn\n", ""},
		{
			"other_address_here", live, "10.0.0.9 mn web\n", "10.0.0.1\tmn.cluster mn # head\n10.0.1.1 cn1\n",
			"10.0.0.9\tmn.cluster mn # head\n10.0.1.1 cn1\n10.0.0.9 web\n", "mn.cluster, mn leads to 10.0.0.9, an address of this host; the snapshot has 10.0.0.1",
		},
		{"no_line_here", live, "", "192.168.7.1 mn\n", "192.168.7.9 mn\n", "leads to 192.168.7.9"},
		{"no_network_in_common", live, "127.0.1.1 mn\n", "172.16.0.1 mn\n", "10.0.0.9 mn\n", "leads to 10.0.0.9"},
		{
			"several_in_the_snapshot", live, "192.168.7.9 mn\n10.0.0.9 mn\n", "10.0.0.1 mn.cluster mn\n172.16.0.1 mn mn-ib\n",
			"10.0.0.9 mn.cluster mn\n172.16.0.1 mn-ib\n192.168.7.9 mn\n", "mn does not lead to 172.16.0.1",
		},
		{"second_is_ours", live, "", "10.0.0.1 mn\n10.0.0.9 mn.cluster mn\n", "10.0.0.9 mn.cluster mn\n", ""},
		{"another_address_of_ours", live, "192.168.7.9 mn\n", "10.0.0.9 mn\n", "10.0.0.9 mn\n192.168.7.9 mn\n", ""},
		{"stale_address_here", live, "10.0.0.7 mn\n", "10.0.0.9 mn\n", "10.0.0.9 mn\n", "mn (10.0.0.9, here 10.0.0.7)"},
		{"mounted", mounted, "10.0.0.7 mn\n127.0.1.1 mn\n", "10.0.0.1 mn.cluster mn\n", "10.0.0.1 mn.cluster mn\n", "mn (10.0.0.1, here 10.0.0.7)"},
		{"other_name", Self{Names: []string{"mn2"}, Addresses: live.Addresses}, "10.0.0.9 mn2\n", "10.0.0.1 mn\n10.0.0.2 mn2\n", "10.0.0.1 mn\n10.0.0.9 mn2\n", "mn2 leads to 10.0.0.9"},
		{
			"called_localhost",
			Self{Names: []string{"localhost", "localhost.localdomain"}, Addresses: live.Addresses},
			"127.0.0.1 localhost\n", "10.0.0.1 localhost\n",
			"127.0.0.1 localhost\n10.0.0.1 localhost\n", "",
		},
		{"no_hosts_file", live, "old hosts\n\n10.0.0.5\n", "10.0.0.9 mn\n\n", "10.0.0.9 mn\n\nold hosts\n10.0.0.5\n", ""},
		{"comments", live, "# top\n127.0.0.1 localhost\n# of cn1\n10.0.1.1 cn1\n# end\n", "# nodes\n10.0.1.1 cn1\n", "# top\n127.0.0.1 localhost\n# nodes\n10.0.1.1 cn1\n# of cn1\n# end\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Hosts([]byte(tt.host), []byte(tt.snapshot), tt.self)
			if string(got.Content) != tt.want {
				t.Errorf("merged:\n%s\nwant:\n%s", got.Content, tt.want)
			}
			if notes := strings.Join(got.Notes, "\n"); !strings.Contains(notes, tt.note) || tt.name == "equal" && notes != "" {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
			if again := Hosts(got.Content, []byte(tt.snapshot), tt.self); string(again.Content) != tt.want {
				t.Errorf("merged again:\n%s", again.Content)
			}
		})
	}
}
