package progress_test

import (
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/progress"
)

func TestJSON(t *testing.T) {
	c, out := &clock{time.Unix(0, 0)}, &strings.Builder{}
	s := progress.JSON(progress.NewEvents(out), c.now)
	s.Add(1) // between phases
	s.Phase("looking", 0)
	for range 20 { // two seconds, ten calls in each
		c.at = c.at.Add(100 * time.Millisecond)
		s.Add(1)
	}
	s.Phase("writing", 100)
	c.at = c.at.Add(1500 * time.Millisecond)
	s.Add(40)
	s.Add(80) // within the second, and beyond the total
	c.at = c.at.Add(time.Second)
	s.Add(0)
	s.Done()
	s.Done()
	want := `{"event":"phase","phase":"looking","state":"begin"}
{"event":"progress","phase":"looking","done":10}
{"event":"progress","phase":"looking","done":20}
{"event":"phase","phase":"looking","state":"end","done":20,"seconds":2}
{"event":"phase","phase":"writing","state":"begin","total":100}
{"event":"progress","phase":"writing","done":40,"total":100,"eta_seconds":3}
{"event":"progress","phase":"writing","done":120,"total":100,"eta_seconds":0}
{"event":"phase","phase":"writing","state":"end","done":120,"seconds":2.5}
`
	if out.String() != want {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
}

func TestEventsOfText(t *testing.T) {
	out := &strings.Builder{}
	e := progress.NewEvents(out)
	io.WriteString(e, "one\n\n  two <&> \xff")
	e.Hook("pre-export.d/10-x", "a \"line\"\x1b")
	io.WriteString(e, "\nthree")
	e.Error("bad")
	e.Flush()
	e.Flush()
	want := `{"event":"note","message":"one"}
{"event":"hook","name":"pre-export.d/10-x","line":"a \"line\"\u001b"}
{"event":"note","message":"two <&> ` + "\ufffd" + `"}
{"event":"error","message":"bad"}
{"event":"note","message":"three"}
`
	if out.String() != strings.ReplaceAll(want, "\ufffd", `\ufffd`) {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
}

// TestEventsAtOnce has everybody talk: each line stays one object.
func TestEventsAtOnce(t *testing.T) {
	out := &strings.Builder{}
	e := progress.NewEvents(out)
	s := progress.JSON(e, time.Now)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				e.Note("note")
				s.Phase("phase", 1)
				s.Add(1)
				s.Done()
				io.WriteString(e, strings.Repeat("x", 1000))
			}
		})
	}
	all.Wait()
	e.Flush()
	for line := range strings.Lines(out.String()) {
		var v struct{ Event string }
		if err := json.Unmarshal([]byte(line), &v); err != nil || v.Event == "" || len(line) > 20<<10 {
			t.Fatalf("line %.100q: %v", line, err)
		}
	}
}
