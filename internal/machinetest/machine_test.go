package machinetest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

func TestMachineEL(t *testing.T) {
	t.Parallel()
	c := newCluster(t, elDistro())
	t.Run("import", c.imported)
	power, faults := *c, *c // each has a target of its own
	t.Run("power", power.powerCuts)
	t.Run("faults", faults.faults)
}

func TestMachineDebian(t *testing.T) {
	t.Parallel()
	c := newCluster(t, debianDistro())
	t.Run("import", c.imported)
	t.Run("standby", c.standby)
	t.Run("first boot", c.firstBoot)
}

// cluster is a management node, gone by now, with a snapshot of it, and a fresh
// machine that has its name and no network.
type cluster struct {
	place
	distro
	want   sight
	trees  map[string]hosttest.Node
	target string // root of the fresh machine

	records int // of the journal of an import that nothing disturbed
}

func newCluster(t *testing.T, d distro) *cluster {
	t.Helper()
	c := &cluster{place: newPlace(t, d), distro: d}
	source := d.root(t)
	a := c.boot(t, source)
	a.Must(t, "bash", "/mnt/lab/become-mn", d.name)
	xcrate(t, a, done(), "export", "--no-encrypt", "/mnt/usb")
	c.want, c.trees = look(t, a, d), d.captured(t, source)
	answers(t, a)
	a.Stop(t)
	return c
}

// imported restores the node, looks at all of it, and takes the import back.
func (c *cluster) imported(t *testing.T) {
	c.target = c.root(t)
	b := c.boot(t, c.target)
	before := fresh{whole(t, c.target), c.states(t, b)}
	said := xcrate(t, b, done(), "import", "--allow-unsigned", "/mnt/usb", "--yes")
	defer func() {
		if t.Failed() {
			t.Log(said)
		}
	}()
	c.want.same(t, look(t, b, c.distro))
	sameTrees(t, c.trees, c.captured(t, c.target))
	answers(t, b)
	c.calls(t)
	c.records = c.journal(t)
	if again := xcrate(t, b, done(), "import", "--allow-unsigned", "/mnt/usb", "--yes", "--show-files"); !strings.Contains(again, "Nothing to do") {
		t.Errorf("second import:\n%s", again)
		xcrate(t, b, done(), "rollback", "--yes") // of that one
	}
	back := xcrate(t, b, done(), "rollback", "--yes")
	defer func() {
		if t.Failed() {
			t.Log(back)
		}
	}()
	before.same(t, "rolled back", fresh{whole(t, c.target), c.states(t, b)})
	b.Stop(t)
}

// fresh is a machine before an import.
type fresh struct {
	disk   map[string]hosttest.Node
	states []string
}

func (f fresh) same(t *testing.T, what string, after fresh) {
	t.Helper()
	untouched(t, what, f.disk, after.disk)
	sameLines(t, what, f.states, after.states)
}

// calls looks at which commands of xCAT an import ran: those of the packages' own
// scripts, and mknb, because discovery images hold keys and are not in a snapshot.
// Names, addresses and interfaces are the same, so none that makes configurations.
func (c *cluster) calls(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.target, "var/log/xcat/calls"))
	check(t, err)
	calls := string(b)
	if !strings.Contains(calls, `"mknb","x86_64"`) {
		t.Errorf("mknb was not run:\n%s", calls)
	}
	for _, name := range []string{"makedhcp", "makedns", "makehosts", "makenetworks", "makegocons"} {
		if strings.Contains(calls, name) {
			t.Errorf("%s was run:\n%s", name, calls)
		}
	}
}

// journal counts the records of the latest import on the target.
func (c *cluster) journal(t *testing.T) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(c.target, "var/lib/xcrate/imports/*/journal"))
	check(t, err)
	if len(found) == 0 {
		return 0
	}
	b, err := os.ReadFile(found[len(found)-1])
	if err != nil {
		return 0 // of an import that is taken back just now
	}
	return bytes.Count(b, []byte("\n"))
}
