package machinetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// cuts is how often the machine loses its power, at moments spread over the
// journal of an import.
const cuts = 10

// powerCuts stops the machine in the middle of an import, boots it again, and has
// the import finished or rolled back, in turns: it ends like one that nothing
// disturbed, or like none.
func (c *cluster) powerCuts(t *testing.T) {
	t.Parallel()
	if c.records == 0 {
		t.Fatal("no import has told how long its journal is")
	}
	c.target = c.root(t)
	b := c.boot(t, c.target)
	before := c.now(t, b)
	cut := 0
	for i := range cuts {
		at := c.records * (2*i + 1) / (2 * cuts)
		t.Run(fmt.Sprintf("record %d of %d", at, c.records), func(t *testing.T) {
			open := c.importUntil(t, b, at)
			b = c.boot(t, c.target)
			if open {
				cut++
				c.refuses(t, b)
			}
			if open && i%2 == 0 {
				said := xcrate(t, b, done(), "import", "--resume", "--yes")
				c.want.same(t, look(t, b, c.distro))
				sameTrees(t, c.trees, c.captured(t, c.target))
				logFailed(t, "resumed", said)
			}
			said := xcrate(t, b, done(), "rollback", "--yes")
			before.same(t, "rolled back", c.now(t, b))
			logFailed(t, "rolled back", said)
			b.Stop(t) // a machine ends with the test it was booted in
		})
		b = c.boot(t, c.target)
		if t.Failed() { // and the next begins afresh
			_, _ = b.Run(t, "/mnt/lab/xcrate", "rollback", "--yes")
		}
	}
	if cut < cuts/2 {
		t.Errorf("only %d of %d imports were cut off", cut, cuts)
	}
}

// refuses has an import that was cut off stand in the way of the next.
func (c *cluster) refuses(t *testing.T, b *hosttest.Machine) {
	t.Helper()
	said := xcrate(t, b, []int{exitRefused}, "import", "--allow-unsigned", "/mnt/usb", "--yes")
	if !strings.Contains(said, "import --resume") || !strings.Contains(said, "xcrate rollback") {
		t.Errorf("the next import says\n%s", said)
	}
}

func logFailed(t *testing.T, what, said string) {
	t.Helper()
	if t.Failed() {
		t.Logf("%s:\n%s", what, said)
	}
}

// now is the machine but for /usr, which imports change through packages alone.
func (c *cluster) now(t *testing.T, b *hosttest.Machine) fresh {
	t.Helper()
	return fresh{whole(t, c.target, "usr"), c.states(t, b)}
}

// importUntil cuts the machine's power when the journal of an import has so many
// records. It reports whether the import was still at work.
func (c *cluster) importUntil(t *testing.T, b *hosttest.Machine, records int) (open bool) {
	t.Helper()
	cmd := b.Command(t.Context(), "/mnt/lab/xcrate", "import", "--allow-unsigned", "/mnt/usb", "--yes")
	check(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer b.Kill(t)
	for end := time.After(time.Minute); ; {
		select {
		case <-ended:
			return false
		case <-end:
			t.Fatalf("the journal has %d records after a minute, never %d", c.journal(t), records)
		case <-time.After(time.Millisecond):
		}
		if c.journal(t) >= records {
			b.Kill(t)
			<-ended
			return true
		}
	}
}
