package restore

import (
	"errors"
	"io/fs"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// reached is how far an import came, as its journal tells.
type reached struct {
	any   bool            // there is a record at all: nothing was changed without
	took  map[string]bool // the steps that ended
	works []record        // work directories beside that of the state directory
	begin record

	committed bool // everything is in place
	waits     bool // the rest is for the first boot
	ended     bool

	services  []artifact.Service // as they were before the import
	enforcing bool
	packages  bool            // the package manager was to be run
	server    database.Engine // whose server was being set up
	tables    bool            // a dump of the database server's tables was kept
	// made are paths that packages made, and saved the trees of savedFile.
	made, saved []string
}

// readReached reads the journal in state.
func readReached(state *host.Dir) (reached, error) {
	r := reached{took: map[string]bool{}}
	return r, readBackwards(state, func(one record) error {
		r.any = true
		switch one.Op {
		case opBegin:
			r.begin = one
		case opWork:
			r.works = append(r.works, one)
		case opTook:
			r.took[string(one.Path)] = true
		case opDone:
			r.committed = true
		case opWait:
			r.waits = true
		case opEnd:
			r.ended = true
		case opServices: // the last one read is the first: before anything changed
			r.services, r.enforcing = one.Services, one.Enforcing
		case opPackages:
			r.packages = true
		case opServer:
			r.server = database.Engine(one.Path)
		case opMade:
			r.made = append(r.made, string(one.Path))
		case opSaved:
			for _, p := range one.Trees {
				r.saved = append(r.saved, string(p))
			}
		case opTables:
			r.tables = true
		default: // what the steps changed
		}
		return nil
	})
}

// Phase says how far an import has come.
type Phase string

// The phases.
const (
	PhaseInterrupted Phase = "interrupted" // before everything was in place
	PhaseStarting    Phase = "starting"    // everything is in place; services or acceptance were interrupted
	PhaseWaiting     Phase = "waiting"     // for the first boot of the root
	PhaseDone        Phase = "done"
	PhaseCleaned     Phase = "cleaned" // done, and what it replaced is not kept any more
)

// phaseOf tells the phase of the import whose state directory is state. It reads
// no more of the journal than it must: that of a finished import is long.
func phaseOf(state *host.Dir) (Phase, error) {
	if _, err := state.Lstat(journalFile); errors.Is(err, fs.ErrNotExist) {
		if _, err := state.Lstat(importFile); err == nil {
			if _, err := state.Lstat(cleanedFile); err == nil {
				return PhaseCleaned, nil
			}
		}
		return PhaseInterrupted, nil
	}
	phase := PhaseInterrupted
	err := readBackwards(state, func(r record) error {
		switch r.Op {
		case opEnd:
			phase = PhaseDone
		case opWait:
			phase = PhaseWaiting
		case opDone:
			phase = PhaseStarting
		case opStep, opTook:
			return nil // of steps after everything was in place, perhaps
		default:
			return nil
		}
		return errStop
	})
	return phase, err
}
