package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestMeasure runs programs that end well and badly. Only xcrate may end with 3,
// and what is run before is not on the clock.
func TestMeasure(t *testing.T) {
	w := workshop{dir: t.TempDir()}
	w.xcrate = w.path("xcrate")
	if err := os.WriteFile(w.xcrate, []byte("#!/bin/sh\nexit $1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	made := w.path("made")
	for name, c := range map[string]struct {
		step step
		good bool
	}{
		"done":          {step{argv: []string{w.xcrate, "0"}}, true},
		"with warnings": {step{argv: []string{w.xcrate, "3"}}, true},
		"failed":        {step{argv: []string{w.xcrate, "1"}}, false},
		"another's 3":   {w.shell(step{}, "exit 3"), false},
		"pipe":          {w.shell(step{}, "false | cat"), false},
		"no program":    {step{argv: []string{w.path("none")}}, false},
		"before fails":  {step{before: []string{"false"}, argv: []string{w.xcrate, "0"}}, false},
		"made anew":     {step{remove: made, before: []string{"mkdir", made}, argv: []string{"mkdir", filepath.Join(made, "x")}}, true},
		"made again":    {step{remove: made, before: []string{"mkdir", made}, argv: []string{"mkdir", filepath.Join(made, "x")}}, true},
	} {
		got, err := w.measure(t.Context(), c.step)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		if c.good && (got.wall <= 0 || got.peak < 1<<20) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestBestAndMedian(t *testing.T) {
	all := []cost{{wall: 5, cpu: 1, peak: 2}, {wall: 2, cpu: 9, peak: 8}, {wall: 3, cpu: 4, peak: 1}}
	for name, c := range map[string]struct{ got, want time.Duration }{
		"best wall": {best(all, wall), 2}, "median wall": {median(all, wall), 3},
		"best CPU": {best(all, cpu), 1}, "median CPU": {median(all, cpu), 4},
		"peak": {time.Duration(peak(all)), 8},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", name, c.got, c.want)
		}
	}
}
