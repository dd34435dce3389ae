package restore

import (
	"context"
	"fmt"

	"github.com/xcrate/xcrate/artifact"
)

// state says how an entry relates to what the host has in its place.
type state uint8

const (
	notPlaced state = iota // of a kind that is not put on the host as files, or not wanted
	isNew
	isChanged
	isSame
	isKept // a symlink to a directory stands where a directory goes, or the file is the host's own
	isClash
	isMerged // a step of its own joins it with the host's
)

// String returns the word a Change has for s.
func (s state) String() string {
	return [...]string{"not placed", "new", "changed", "same", "kept", "clash", "merged"}[s]
}

// missing reports whether the host does not have the entry as the snapshot has
// it, so that it is to be put there.
func (s state) missing() bool { return s == isNew || s == isChanged }

// files is what an import knows of a snapshot's entries: one byte for each, the
// rest is read from the catalog again whenever it is needed. So a million files
// take a megabyte.
type files struct {
	places
	states  []state // by number of the record in the catalog, from 0
	catalog func(context.Context, func(artifact.Entry) error) error
}

// each calls fn for every record of the catalog, with its number and state.
func (f *files) each(ctx context.Context, fn func(n int, s state, e artifact.Entry) error) error {
	n := 0
	err := f.catalog(ctx, func(e artifact.Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n == len(f.states) {
			return fmt.Errorf("catalog: more than the %d records it had", n)
		}
		n++
		return fn(n-1, f.states[n-1], e)
	})
	if err == nil && n != len(f.states) {
		err = fmt.Errorf("catalog: %d records, it had %d", n, len(f.states))
	}
	return err
}

// anyMissing reports whether there is an entry to be put on the host.
func (f *files) anyMissing() bool {
	for _, s := range f.states {
		if s.missing() {
			return true
		}
	}
	return false
}

// stagedSlot is the name in the work directory of what is staged for e, record
// number n: the same whoever asks, so that nobody has to remember it. The pieces
// of a file share one.
func stagedSlot(n int, e artifact.Entry) string {
	return fmt.Sprintf(stagedPrefix+"%08d", n-max(e.Piece.Number-1, 0))
}

// stagedPrefix begins the names of what is staged.
const stagedPrefix = "new-"

// hasSlot reports whether something is staged for e.
func hasSlot(e artifact.Entry) bool {
	return e.Type != artifact.TypeDir && e.Type != artifact.TypeHardlink
}
