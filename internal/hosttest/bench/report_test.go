package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sampleReport has 0.30 s for every run of xcrate and 1.00 s for every peer's.
func sampleReport() report {
	p := place{filesystem: "ext4", costs: map[string][]cost{}}
	for _, s := range (workshop{}).steps() {
		c := cost{wall: time.Second, cpu: 2 * time.Second, peak: 90 << 20}
		if s.ours {
			c.wall = 300 * time.Millisecond
		}
		slow := cost{wall: 9 * c.wall, cpu: 9 * c.cpu, peak: 300 << 20}
		p.costs[s.name] = []cost{slow, c, {wall: 2 * c.wall, cpu: c.cpu}}
	}
	return report{options: options{files: 7, bytes: 3 << 20, rounds: 3}, at: time.Unix(0, 0).UTC(), places: []place{p}}
}

// TestPageKeepsWhatPeopleWrote writes the page twice: what stands below the
// marker stays, what stands above is new.
func TestPageKeepsWhatPeopleWrote(t *testing.T) {
	name := filepath.Join(t.TempDir(), "performance.md")
	r := sampleReport()
	if err := r.writePage(name); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("\n\n## Why\n\nBecause.\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r.machine.name = "another"
	if err := r.writePage(name); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, want := range []string{
		"on machine another", "1970-01-01", "## On ext4", "## Why\n\nBecause.\n",
		"| export | tar \\| zstd -1 \\| sha256sum | 0.30 s | 1.00 s | 0.30 | 0.33 | met |",
		"| re-export | restic backup again | 0.30 s | 1.00 s | 0.30 | 0.50 | met |",
		"| export | restic backup | 0.30 s | 1.00 s | 0.30 | 0.20 | x1.5 |",
		"| export | 0.30 s | 0.60 s | 2.00 s | 300 MiB, 100 over |",
	} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q stands there %d times, not once, in:\n%s", want, strings.Count(text, want), text)
		}
	}
}

// TestPageOfAnother refuses to write over a page it did not make.
func TestPageOfAnother(t *testing.T) {
	name := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(name, []byte("# Mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := sampleReport().writePage(name); err == nil {
		t.Error("the page was written over")
	}
}

// TestScreen has 80 columns.
func TestScreen(t *testing.T) {
	var b strings.Builder
	if err := sampleReport().print(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "verify") {
		t.Errorf("no figures in %q", b.String())
	}
	for line := range strings.Lines(b.String()) {
		if len(strings.TrimRight(line, "\n")) > 80 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
}
