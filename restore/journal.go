package restore

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// journalFile lies in an import's state directory. It is JSON lines: first
// what is imported, then every step before it is taken, last how it ended.
const journalFile = "journal"

// op is what a step does, and so how it is undone.
type op string

const (
	opBegin   op = "begin"
	opWork    op = "work"    // Path is a work directory
	opMkdir   op = "mkdir"   // undo: rmdir
	opCreate  op = "create"  // undo: remove
	opReplace op = "replace" // undo: rename Slot back
	opRemove  op = "remove"  // undo: rename Slot back
	opAttr    op = "attr"    // undo: set the attributes of Entry again
	opDone    op = "done"
)

// record is one line of the journal.
type record struct {
	Op       op              `json:"op"`
	Path     rawPath         `json:"path,omitempty"`
	Work     rawPath         `json:"work,omitempty"` // work directory that holds Slot
	Slot     string          `json:"slot,omitempty"` // name there of what was at Path
	Entry    *artifact.Entry `json:"entry,omitempty"`
	Snapshot digest.Digest   `json:"snapshot,omitempty"`
}

// rawPath is a path of any bytes, written as a Go string literal.
type rawPath string

// MarshalText implements encoding.TextMarshaler.
func (p rawPath) MarshalText() ([]byte, error) { return []byte(strconv.QuoteToASCII(string(p))), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *rawPath) UnmarshalText(b []byte) error {
	s, err := strconv.Unquote(string(b))
	*p = rawPath(s)
	return err
}

// journal is the journal of a running import.
type journal struct {
	f *os.File
	w *bufio.Writer
}

func createJournal(state *host.Dir, snapshot digest.Digest) (*journal, error) {
	f, err := state.Create(journalFile)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &journal{f: f, w: bufio.NewWriter(f)}
	if err := j.write(record{Op: opBegin, Snapshot: snapshot}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, errors.Join(j.sync(), state.Sync())
}

func (j *journal) write(r record) error {
	b, err := json.Marshal(r)
	if err == nil {
		_, err = j.w.Write(append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// sync makes what was written durable. Only then may the steps be taken.
func (j *journal) sync() error {
	if err := errors.Join(j.w.Flush(), j.f.Sync()); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

func (j *journal) close() error { return j.f.Close() }

// readJournal returns the records of the import in state. A last line that was
// cut off by a crash is dropped: its step was never taken.
func readJournal(state *host.Dir) (_ []record, err error) {
	f, err := state.Open(journalFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var all []record
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("journal: record %d: %w", len(all)+1, err)
		}
		all = append(all, r)
	}
}
