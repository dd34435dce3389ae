package restore

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// journalFile lies in an import's state directory. It is JSON lines: first what is
// imported, with the directories that were made for imports as such, then the begin
// and end of every step, with all it changes before it is changed, last how it ended.
const journalFile = "journal"

// record is one line of the journal.
type record struct {
	Op       op              `json:"op"`
	Path     rawPath         `json:"path,omitempty"`
	Work     rawPath         `json:"work,omitempty"` // work directory that holds Slot
	Slot     string          `json:"slot,omitempty"` // name there of what was at Path
	Entry    *artifact.Entry `json:"entry,omitempty"`
	Snapshot digest.Digest   `json:"snapshot,omitempty"`

	Trees     []rawPath          `json:"trees,omitempty"`
	Services  []artifact.Service `json:"services,omitempty"`
	Enforcing bool               `json:"enforcing,omitempty"` // SELinux, by then
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

// createJournal begins a journal with record begin.
func createJournal(state *host.Dir, begin record) (*journal, error) {
	f, err := state.Create(journalFile)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &journal{f: f, w: bufio.NewWriter(f)}
	if err := j.write(begin); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, errors.Join(j.sync(), state.Sync())
}

// openJournal goes on with the journal of an import that was interrupted.
func openJournal(state *host.Dir) (*journal, error) {
	f, err := appendLines(state, journalFile)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &journal{f: f, w: bufio.NewWriter(f)}, nil
}

// appendLines opens a file of lines, made if there is none, to add more. A last
// line that was cut off by a crash goes.
func appendLines(d *host.Dir, name string) (*os.File, error) {
	f, err := d.Append(name)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	end := st.Size()
	for one := make([]byte, 1); end > 0; end-- {
		if _, err := f.ReadAt(one, end-1); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if one[0] == '\n' {
			break
		}
	}
	if end != st.Size() {
		err = f.Truncate(end)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
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

// tailBlock is how much of a journal is read at once, from its end.
const tailBlock = 256 << 10

// readBackwards calls fn for each record of the journal in state, the last one
// first; errStop ends it. A last line that was cut off by a crash is dropped:
// its step was never taken. No journal is one without records.
func readBackwards(state *host.Dir, fn func(record) error) (err error) {
	f, _, err := state.OpenFile(journalFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	var rest []byte // the beginning of what was read is the end of a line
	complete := false
	for off := st.Size; off > 0; {
		block := make([]byte, min(tailBlock, off), min(tailBlock, off)+int64(len(rest)))
		off -= int64(len(block))
		if _, err := f.ReadAt(block, off); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		rest = append(block, rest...)
		for {
			end := bytes.LastIndexByte(rest, '\n')
			if end < 0 {
				break
			}
			if err := readRecord(rest[end+1:], complete, fn); err != nil {
				return stopped(err)
			}
			rest, complete = rest[:end], true
		}
	}
	return stopped(readRecord(rest, complete, fn))
}

// errStop ends readBackwards without an error.
var errStop = errors.New("stop")

func stopped(err error) error {
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// readRecord hands line to fn, unless no newline came after it.
func readRecord(line []byte, complete bool, fn func(record) error) error {
	if !complete {
		return nil
	}
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("journal: record %.80q: %w", line, err)
	}
	return fn(r)
}
