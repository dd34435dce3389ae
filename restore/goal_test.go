package restore

import "testing"

// TestNearest chooses what cfgloc names on another host.
func TestNearest(t *testing.T) {
	source := []string{"10.10.0.1/24", "192.168.1.1/24"}
	for _, c := range []struct {
		what, was    string
		known        bool
		source, here []string
		want         string
	}{
		{"the same address", "10.10.0.1", false, source, []string{"10.10.0.1/24"}, "10.10.0.1"},
		{"an address in the same network", "10.10.0.1", false, source, []string{"10.1.0.9/8", "10.10.0.2/24"}, "10.10.0.2"},
		{"another address of the source", "10.10.0.1", false, source, []string{"10.9.0.1/24", "192.168.1.1/24"}, "192.168.1.1"},
		{"a name and the same address", "mgmt01", true, source, source, "mgmt01"},
		{"a name that leads to the source", "mgmt01", true, source, []string{"10.10.0.2/24"}, "10.10.0.2"},
		{"a name, and nothing known of the source", "mgmt01", true, nil, []string{"10.10.0.2/24"}, "mgmt01"},
		{"no network", "10.10.0.1", false, source, nil, "localhost"},
		{"none before", "", false, nil, []string{"fe80::1/64", "10.10.0.2/24"}, "10.10.0.2"},
	} {
		if got := nearest(c.was, c.known, c.source, c.here); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

// TestStray leaves out addresses that nobody comes from.
func TestStray(t *testing.T) {
	here := []string{"10.10.0.2", "fe80::1"}
	for name, want := range map[string]bool{"mgmt01": false, "10.10.0.2": false, "10.10.0.1": true, "fe80::1": true, "127.0.1.1": false} {
		if got := isStray(name, here); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if isStray("10.10.0.1", nil) {
		t.Error("a host that does not run")
	}
}
