package restore

import "time"

// wrongClock is how far the clock may be before the snapshot: two machines agree
// to the second where a time server is, and a battery that is empty starts years
// before.
const wrongClock = 24 * time.Hour

// checkClock looks for a clock that is wrong for certain: it is before the snapshot.
// Times are not shown, so that the same inputs make the same plan.
func (p *planner) checkClock() {
	const mend = "set the clock: chronyc makestep, or timedatectl set-time"
	switch behind := p.snapshot.Config.Created.Sub(p.Now); {
	case behind > wrongClock:
		p.find(CodeClock, Block, mend, "the clock here is more than a day before the snapshot, which was taken %s",
			p.snapshot.Config.Created.UTC().Format("2006-01-02 15:04 UTC"))
	case behind > time.Minute:
		p.find(CodeClock, Warn, mend, "the clock here is before the snapshot, which was taken %s",
			p.snapshot.Config.Created.UTC().Format("2006-01-02 15:04 UTC"))
	}
}
