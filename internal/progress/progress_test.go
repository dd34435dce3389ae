package progress_test

import (
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/progress"
)

// clock is a time that moves when it is told to.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestLines(t *testing.T) {
	c, out := &clock{time.Unix(0, 0)}, &strings.Builder{}
	s := progress.Lines(out, c.now)
	s.Phase("writing", 100<<20)
	for range 4 {
		c.at = c.at.Add(6 * time.Second)
		s.Add(10 << 20)
	}
	s.Done()
	s.Add(1)
	want := "writing: 20 MiB of 100 MiB, 48s left\nwriting: 40 MiB of 100 MiB, 36s left\n"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}

func TestLinesOfShortWork(t *testing.T) {
	c, out := &clock{}, &strings.Builder{}
	s := progress.Lines(out, c.now)
	s.Phase("writing", 10)
	s.Add(10)
	s.Done()
	if out.Len() > 0 {
		t.Errorf("said %q", out.String())
	}
}

func TestBar(t *testing.T) {
	c, out := &clock{time.Unix(0, 0)}, &strings.Builder{}
	s := progress.Bar(out, c.now)
	s.Phase("short", 100)
	s.Add(100)
	s.Phase("verifying", 1000)
	c.at = c.at.Add(time.Second)
	s.Add(250)
	s.Add(5000) // beyond the total
	s.Done()
	s.Add(1)
	if strings.Contains(out.String(), "short") || !strings.Contains(out.String(), "verifying") || !strings.Contains(out.String(), "25%") {
		t.Errorf("drew %q", out.String())
	}
	if !strings.HasSuffix(strings.TrimRight(out.String(), " "), "\r") {
		t.Errorf("the line is not cleared: %q", out.String())
	}
}
