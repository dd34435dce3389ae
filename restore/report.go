package restore

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/internal/accept"
	"github.com/xcrate/xcrate/internal/host"
)

// The report of an import, beside its journal.
const (
	reportFile = "report.json"
	reportText = "report.txt"
)

// Report says how an import came out, once everything was in place.
type Report struct {
	Format   int             `json:"format"` // 1
	Import   string          `json:"import"`
	Title    string          `json:"title"`   // of the snapshot
	Verdict  accept.Verdict  `json:"verdict"` // the worst of Probes, Services and Commands: "pass", "warn", "fail"
	Waits    bool            `json:"waits_for_first_boot,omitempty"`
	Standby  bool            `json:"standby,omitempty"`
	Services []ServiceReport `json:"services"`
	Commands []CommandReport `json:"commands"`
	Probes   []accept.Probe  `json:"probes"`
	// Failed are steps that ended with an error beside what the lists above say.
	Failed []string `json:"failed,omitempty"`
	// ToDo is left to the administrator: exact commands, and what each is for.
	ToDo []ToDo `json:"to_do"`
}

// ServiceReport is a unit that was started.
type ServiceReport struct {
	Unit  string `json:"unit"`
	Error string `json:"error,omitempty"`
}

// CommandReport is a command of the stack that was run, or that is left to be.
type CommandReport struct {
	Command string `json:"command"`
	Why     string `json:"why"`
	Error   string `json:"error,omitempty"`
}

// ToDo is left to be done by hand.
type ToDo struct {
	Command string `json:"command"`
	For     string `json:"for"`
}

func (a *applier) newReport() *Report {
	return &Report{
		Format: 1, Import: a.result.ID, Title: a.snapshot.Config.Title(), Standby: a.Standby,
		Services: []ServiceReport{}, Commands: []CommandReport{}, Probes: []accept.Probe{}, ToDo: a.toDo(),
	}
}

// toDo lists what the snapshot left out.
func (a *applier) toDo() []ToDo {
	list := []ToDo{}
	for _, l := range a.snapshot.Config.LeftOut {
		if l.Restore != "" && !l.System {
			list = append(list, ToDo{Command: l.Restore, For: strings.TrimSuffix(l.Path+", "+l.What, ", ")})
		}
	}
	return list
}

// leave has c done by hand.
func (r *Report) leave(c StackCommand) {
	if !slices.ContainsFunc(r.ToDo, func(t ToDo) bool { return t.Command == c.Command }) {
		r.ToDo = append(r.ToDo, ToDo{Command: c.Command, For: c.Why})
	}
}

func (r *Report) fail(step string, err error) { r.Failed = append(r.Failed, step+": "+err.Error()) }

func (r *Report) started(unit string, err error) {
	s := ServiceReport{Unit: unit}
	if err != nil {
		s.Error = err.Error()
	}
	r.Services = append(r.Services, s)
}

// judge sets the verdict.
func (r *Report) judge() {
	r.Verdict = accept.Worst(r.Probes)
	failed := len(r.Failed) > 0
	for _, s := range r.Services {
		failed = failed || s.Error != ""
	}
	for _, c := range r.Commands {
		failed = failed || c.Error != ""
	}
	if failed {
		r.Verdict = accept.Fail
	}
}

// writeReport makes the report durable, as JSON and as text.
func (a *applier) writeReport(state *host.Dir) error {
	r := a.result.Report
	r.judge()
	if err := replaceJSON(state, reportFile, r); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	err := replaceFile(state, reportText, func(w io.Writer) error {
		_, err := io.WriteString(w, r.Text())
		return err
	})
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// Text is the report for people, in lines of at most 80 columns where words allow.
// Commands are not wrapped: they are to be copied.
func (r *Report) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s\nimport %s: %s", r.Title, r.Import, strings.ToUpper(string(r.Verdict)))
	if r.Waits {
		line("  The rest is done when the machine is booted from this disk: services are\n  started, and asked whether they answer.")
	}
	for _, s := range r.Services {
		if s.Error != "" {
			wrap(&b, "FAIL", s.Unit+": "+s.Error)
		}
	}
	for _, c := range r.Commands {
		if c.Error != "" {
			wrap(&b, "FAIL", c.Command+": "+c.Error)
			continue
		}
		wrap(&b, "ran", c.Command+": "+c.Why)
	}
	for _, f := range r.Failed {
		wrap(&b, "FAIL", f)
	}
	r.probes(&b)
	if len(r.ToDo) > 0 {
		line("\nleft to do by hand:")
	}
	for _, t := range r.ToDo {
		line("  %s", t.Command)
		wrap(&b, "   ", t.For)
	}
	return b.String()
}

func (r *Report) probes(b *strings.Builder) {
	skipped := map[string][]string{}
	for _, p := range r.Probes {
		if p.Verdict == accept.Skip {
			skipped[p.Seen] = append(skipped[p.Seen], p.ID)
			continue
		}
		wrap(b, strings.ToUpper(string(p.Verdict)), p.ID+": "+p.Seen)
		if p.Mend != "" && p.Verdict != accept.Pass {
			fmt.Fprintf(b, "        -> %s\n", p.Mend)
		}
	}
	for _, why := range slices.Sorted(maps.Keys(skipped)) {
		wrap(b, "-", fmt.Sprintf("not asked (%s): %s", why, strings.Join(skipped[why], ", ")))
	}
}

// reportWidth is that of a terminal.
const reportWidth = 80

// wrap writes text after a word of at most four letters, in lines of the width of a
// terminal; those that were there stay.
func wrap(b *strings.Builder, word, text string) {
	const indent = "        "
	line := fmt.Sprintf("  %-4s  ", word)
	for i, part := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteString(line + "\n")
			line = indent
		}
		for j, w := range strings.Fields(part) {
			if j > 0 && len(line)+1+len(w) > reportWidth {
				b.WriteString(line + "\n")
				line = indent
			} else if j > 0 {
				line += " "
			}
			line += w
		}
	}
	b.WriteString(line + "\n")
}
