package restore

import "github.com/xcrate/xcrate/artifact"

// lives is the state of e, which has state s, where a daemon writes to the file all
// the time: if the latest import was of this very snapshot, what the daemon wrote
// since is newer than that, and stays.
func (p *planner) lives(e artifact.Entry, s state) (state, error) {
	if s != isChanged || e.Type != artifact.TypeFile || !p.Stack.IsLiving(p.target(e)) {
		return s, nil
	}
	if p.restored == nil {
		all, err := imports(p.Root)
		if err != nil {
			return s, err
		}
		same := len(all) > 0 && all[0].Snapshot == p.snapshot.Descriptor.Digest && (all[0].Phase == PhaseDone || all[0].Phase == PhaseCleaned)
		p.restored = &same
	}
	if *p.restored {
		return isKept, nil
	}
	return s, nil
}
