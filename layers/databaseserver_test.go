package layers

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/stack"
)

// TestIsHere tells a database of the node's own from one of another machine.
func TestIsHere(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "etc/hosts"), []byte("10.10.0.1 mgmt01.cluster mgmt01 dbalias\n10.10.0.9 other\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := host.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	c := &capture{o: Options{Root: root}, config: artifact.Config{Host: artifact.Host{
		Name: "mgmt01", FQDN: "mgmt01.cluster", Addresses: []string{"192.168.1.5/24", "2001:db8::1/64"},
	}}}
	tables := stack.Tables{"site": {{"key": "master", "value": "172.16.0.1"}}}
	for name, want := range map[string]bool{
		"": true, "/run/postgresql": true, "localhost": true, "127.0.0.1": true, "::1": true, "mgmt01": true, "mgmt01.cluster": true,
		"dbalias": true, "10.10.0.1": true, "192.168.1.5": true, "2001:DB8:0::1": true, "172.16.0.1": true,
		"other": false, "10.10.0.9": false, "192.168.1.50": false, "db.example": false,
	} {
		if got := c.isHere(name, tables); got != want {
			t.Errorf("%q: here %v", name, got)
		}
	}
}
