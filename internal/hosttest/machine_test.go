package hosttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMachine boots two machines with one address: each has its own, and reaches
// nobody. After a power cut nothing of it runs, and its disk has what was written.
func TestMachine(t *testing.T) {
	seen := t.TempDir()
	a := StartMachine(t, DebianMachine(t), "a.cluster.lab", "10.10.0.1/16", seen+":/mnt/seen:ro")
	b := StartMachine(t, DebianMachine(t), "b.cluster.lab", "10.10.0.2/16")
	if said := a.Must(t, "hostname"); said != "a\n" {
		t.Errorf("host name %q", said)
	}
	if said, code := a.Run(t, "touch", "/mnt/seen/x"); code == 0 {
		t.Errorf("what is bound to be read was written: %s", said)
	}
	for _, to := range []string{"10.10.0.2/22", "192.0.2.1/53"} {
		if said, code := a.Run(t, "timeout", "1", "bash", "-c", "exec 3<>/dev/tcp/"+to); code == 0 || strings.Contains(said, "refused") {
			t.Errorf("%s is reached: exit code %d: %s", to, code, said)
		}
	}
	if said, code := b.Run(t, "bash", "-c", "echo kept >/root/kept; exit 7"); code != 7 {
		t.Errorf("exit code %d: %s", code, said)
	}
	b.Kill(t)
	if got, err := os.ReadFile(filepath.Join(b.Dir, "root/kept")); err != nil || string(got) != "kept\n" {
		t.Errorf("%q, %v", got, err)
	}
	if left, err := filepath.Glob("/sys/fs/cgroup/*/lab-" + b.name); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	b = StartMachine(t, b.Dir, "b.cluster.lab", "10.10.0.2/16")
	b.Stop(t)
}
