package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// report is everything that was measured.
type report struct {
	options
	machine
	at     time.Time
	places []place
	many   place
}

// table is a header and rows, for the screen and for the page.
type table [][]string

func (t table) text(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range t {
		_, _ = fmt.Fprintln(tab, strings.Join(row, "\t")) // Flush returns the error
	}
	return tab.Flush()
}

func (t table) markdown() string {
	var b strings.Builder
	for i, row := range t {
		for _, cell := range row {
			b.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
		}
		b.WriteString("|\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return b.String()
}

// ratios says how long xcrate took for each part of the peer's time.
func (r report) ratios(p place) table {
	t := table{{"xcrate", "peer", "best", "peer's", "ratio", "target", ""}}
	for _, c := range comparisons() {
		ours, peers := best(p.costs[c.ours], wall), best(p.costs[c.peer], wall)
		ratio := ours.Seconds() / peers.Seconds()
		target, verdict := "", ""
		if c.target > 0 {
			target, verdict = fmt.Sprintf("%.2f", c.target), "met"
			if ratio > c.target {
				verdict = fmt.Sprintf("x%.1f", ratio/c.target)
			}
		}
		t = append(t, []string{c.ours, c.peer, seconds(ours), seconds(peers), fmt.Sprintf("%.2f", ratio), target, verdict})
	}
	return t
}

// runs says what each program took.
func (r report) runs(p place) table {
	t := table{{"run", "best", "median", "CPU", "peak"}}
	for _, s := range (workshop{}).steps() {
		all := p.costs[s.name]
		if len(all) == 0 {
			continue
		}
		memory := ""
		if s.ours {
			memory = fmt.Sprintf("%d MiB", peak(all)>>20)
			if over := peak(all) - maxPeak; over > 0 {
				memory += fmt.Sprintf(", %d over", over>>20)
			}
		}
		t = append(t, []string{s.name, seconds(best(all, wall)), seconds(median(all, wall)), seconds(best(all, cpu)), memory})
	}
	return t
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// print writes the tables for a screen of 80 columns.
func (r report) print(w io.Writer) error {
	var err error
	say := func(title string, t table) {
		_, werr := fmt.Fprintf(w, "\n%s\n", title)
		err = errors.Join(err, werr, t.text(w))
	}
	for _, p := range r.places {
		say(r.title(p), r.ratios(p))
		say("each by itself:", r.runs(p))
	}
	if r.options.many > 0 {
		say(r.manyTitle(), r.runs(r.many))
	}
	return err
}

func (r report) title(p place) string {
	return fmt.Sprintf("%s, %d files, %d MiB", p.filesystem, r.files, r.bytes>>20)
}

func (r report) manyTitle() string {
	return fmt.Sprintf("%s, %d files of 4 KiB: memory", r.many.filesystem, r.options.many)
}

// marker begins what people wrote below the figures: a new run keeps it.
const marker = "<!-- make bench writes what is above this line and keeps what is below. -->"

// writePage writes the page name, but for what stands below its marker.
func (r report) writePage(name string) error {
	old, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, below, found := bytes.Cut(old, []byte(marker))
	if len(old) > 0 && !found {
		return fmt.Errorf("page %s: has no line %q", name, marker)
	}
	var b bytes.Buffer
	r.intro(&b)
	for _, p := range r.places {
		fmt.Fprintf(&b, "## On %s\n\n%s\n%s\n", p.filesystem, r.ratios(p).markdown(), r.runs(p).markdown())
	}
	if r.options.many > 0 {
		fmt.Fprintf(&b, "## Memory with many files\n\n%s.\n\n%s\n", r.manyTitle(), r.runs(r.many).markdown())
	}
	b.WriteString(marker)
	b.Write(below)
	return os.WriteFile(name, b.Bytes(), 0o644)
}

func (r report) intro(b *bytes.Buffer) {
	fmt.Fprintf(b, `# How fast it is

What %[1]smake bench%[1]s measured on %[2]s, on machine %[3]s: %[4]s, %[5]d cores,
%[6]d GiB of memory, Linux %[7]s.

%[8]s

The tree is the sample management node with %[9]d more files of %[10]d MiB
together: two thirds of the bytes are text, a third is in rpms, which do not
shrink. Every round runs everything once, in turn; of %[11]d rounds the best
counts. All programs find the tree in memory (it was read once before), and
write to the filesystem they read from. What earlier programs wrote is on disk
before the clock starts. xcrate syncs what it writes and reads it back where it
must; tar and zstd do not, so the lines "sync" add one %[1]ssync -f%[1]s to them.

"ratio" is xcrate's time through the peer's, "target" what it should be at most,
"x1.5" that it takes half as long again as the target allows. CPU is user and
system time, peak the resident memory, which should stay below %[12]d MiB.

`, "`", r.at.Format("2006-01-02"), r.machine.name, r.machine.cpu, r.cores, r.memory>>30, r.kernel,
		"- "+strings.Join(r.versions, "\n- "), r.files, r.bytes>>20, r.rounds, maxPeak>>20)
}
