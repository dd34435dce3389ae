package progress

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strings"
	"sync"
	"time"
)

// Events writes what happens for programs that follow: one JSON object a line,
// each with an "event". It is safe for concurrent use. What cannot be written is
// lost: nobody listens any more, and the work goes on.
type Events struct {
	mu   sync.Mutex
	w    io.Writer
	part []byte // of a line of text
}

// NewEvents returns Events that are written to w.
func NewEvents(w io.Writer) *Events { return &Events{w: w} }

// phaseEvent says that a phase begins or ends.
type phaseEvent struct {
	Event string `json:"event"` // "phase"
	Phase string `json:"phase"`
	State string `json:"state"` // "begin" or "end"
	// Total is how many bytes are to be done, at the begin, if that is known.
	Total int64 `json:"total,omitempty"`
	// Done is how many bytes were done, and Seconds how long it took, at the end.
	Done    *int64   `json:"done,omitempty"`
	Seconds *float64 `json:"seconds,omitempty"`
}

// progressEvent says how far a phase is, in bytes.
type progressEvent struct {
	Event string `json:"event"` // "progress"
	Phase string `json:"phase"`
	Done  int64  `json:"done"`
	Total int64  `json:"total,omitempty"`
	// ETA is in how many seconds the phase ends; absent if the total is not known.
	ETA *int64 `json:"eta_seconds,omitempty"`
}

type noteEvent struct {
	Event   string `json:"event"` // "note"
	Message string `json:"message"`
}

type hookEvent struct {
	Event string `json:"event"` // "hook"
	Name  string `json:"name"`
	Line  string `json:"line"`
}

type errorEvent struct {
	Event   string `json:"event"` // "error"
	Message string `json:"message"`
}

// Note tells of something a person should read that does not change the result.
func (e *Events) Note(message string) { e.emit(noteEvent{"note", message}) }

// Hook passes on a line that a hook wrote.
func (e *Events) Hook(name, line string) { e.emit(hookEvent{"hook", name, line}) }

// Error tells of a failure that has no other place to be told.
func (e *Events) Error(message string) { e.emit(errorEvent{"error", message}) }

func (e *Events) emit(event any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.put(event)
}

func (e *Events) put(event any) {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if enc.Encode(event) == nil { // strings and numbers are always encoded
		_, _ = e.w.Write(line.Bytes())
	}
}

// maxNote is where a line of text that does not end is cut.
const maxNote = 16 << 10

// Write takes text of those who know nothing of events: each line becomes a note.
func (e *Events) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range p {
		if b != '\n' {
			e.part = append(e.part, b)
		}
		if b == '\n' || len(e.part) == maxNote {
			e.flush()
		}
	}
	return len(p), nil
}

func (e *Events) flush() {
	if text := strings.TrimSpace(string(e.part)); text != "" {
		e.put(noteEvent{"note", text})
	}
	e.part = e.part[:0]
}

// Flush makes a note of text whose line has not ended.
func (e *Events) Flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flush()
}

// JSON returns a Sink that tells of the begin and the end of each phase and, at
// most once a second, how far it is.
func JSON(e *Events, now func() time.Time) Sink { return &events{to: e, now: now} }

type events struct {
	mu          sync.Mutex
	to          *Events
	now         func() time.Time
	name        string // "" between phases
	total, done int64
	begun, last time.Time
}

func (s *events) Phase(name string, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	s.name, s.total, s.done = name, max(total, 0), 0
	s.begun = s.now()
	s.last = s.begun
	s.to.emit(phaseEvent{Event: "phase", Phase: name, State: "begin", Total: s.total})
}

func (s *events) Add(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done += n
	at := s.now()
	if s.name == "" || at.Sub(s.last) < time.Second {
		return
	}
	s.last = at
	p := progressEvent{Event: "progress", Phase: s.name, Done: s.done, Total: s.total}
	if s.total > 0 && s.done > 0 {
		left := int64(math.Ceil(at.Sub(s.begun).Seconds() * float64(max(s.total-s.done, 0)) / float64(s.done)))
		p.ETA = &left
	}
	s.to.emit(p)
}

func (s *events) Done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
}

func (s *events) end() {
	if s.name == "" {
		return
	}
	took := math.Round(s.now().Sub(s.begun).Seconds()*1000) / 1000
	s.to.emit(phaseEvent{Event: "phase", Phase: s.name, State: "end", Done: &s.done, Seconds: &took})
	s.name = ""
}
