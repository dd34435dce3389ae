package progress

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
)

// Bar returns a Sink that draws a bar with rate and remaining time on a
// terminal: one line, gone at the end of each phase. A phase that is over
// before there is something to see shows nothing.
func Bar(w io.Writer, now func() time.Time) Sink { return &bar{w: w, now: now} }

// soon is how long a phase runs before it shows: rates need some time to mean
// anything.
const soon = 400 * time.Millisecond

type bar struct {
	mu    sync.Mutex
	w     io.Writer
	now   func() time.Time
	done  int64
	begun time.Time
	bar   *progressbar.ProgressBar // nil between phases
	shown bool
}

func (b *bar) Phase(name string, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clear()
	b.done, b.begun = 0, b.now()
	b.bar = newBar(b.w, name, total)
	b.bar.StartWithoutRender() // the rate counts from here
}

func (b *bar) Add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done += n
	if b.bar != nil && b.now().Sub(b.begun) > soon {
		b.shown = true
		// A count beyond the total is no error of the work: files grow.
		_ = b.bar.Set64(b.done)
	}
}

func newBar(w io.Writer, name string, total int64) *progressbar.ProgressBar {
	if total <= 0 {
		total = -1
	}
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(name),
		progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true),
		progressbar.OptionSetPredictTime(total > 0), progressbar.OptionSetWidth(20),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetSpinnerChangeInterval(0), // no goroutine that outlives the phase
	)
}

func (b *bar) Done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clear()
}

func (b *bar) clear() {
	if b.bar != nil && b.shown {
		_ = b.bar.Clear()
	}
	b.bar, b.shown = nil, false
}

// every is how often Lines says where it is.
const every = 10 * time.Second

// Lines returns a Sink for what is not a terminal: a line every ten seconds,
// none for work that takes less.
func Lines(w io.Writer, now func() time.Time) Sink { return &lines{w: w, now: now} }

type lines struct {
	mu          sync.Mutex
	w           io.Writer
	now         func() time.Time
	name        string
	total, done int64
	begun, last time.Time
}

func (l *lines) Phase(name string, total int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.name, l.total, l.done = name, total, 0
	l.begun = l.now()
	l.last = l.begun
}

func (l *lines) Add(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done += n
	at := l.now()
	if at.Sub(l.last) < every || l.name == "" {
		return
	}
	l.last = at
	line := fmt.Sprintf("%s: %s", l.name, humanize.IBytes(uint64(l.done)))
	if l.total > 0 && l.done > 0 {
		left := time.Duration(float64(at.Sub(l.begun)) * float64(max(l.total-l.done, 0)) / float64(l.done))
		line += fmt.Sprintf(" of %s, %s left", humanize.IBytes(uint64(l.total)), left.Round(time.Second))
	}
	_, _ = fmt.Fprintln(l.w, line)
}

func (l *lines) Done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.name = ""
}
