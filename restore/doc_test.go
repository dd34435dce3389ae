package restore

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// lists are the parts of docs/restore.md that are made from the program.
func lists() map[string]string {
	before, after := Steps()
	steps := "| step | what it does | why there | how it is taken back |\n|---|---|---|---|\n"
	for i, s := range append(before, after...) {
		if i == len(before) {
			steps += "| | **everything is in place** | | |\n"
		}
		steps += fmt.Sprintf("| `%s` | %s | %s | %s |\n", s.ID, s.Title, s.Why, s.Undo)
	}
	records := "| record | what it says | what an undo does |\n|---|---|---|\n"
	for _, r := range Records() {
		records += fmt.Sprintf("| `%s` | %s | %s |\n", r.Op, r.Says, r.Undo)
	}
	return map[string]string{"steps": steps, "records": records}
}

// TestDocument holds the lists of docs/restore.md against the program.
func TestDocument(t *testing.T) {
	const page = "../docs/restore.md"
	b, err := os.ReadFile(page)
	check(t, err)
	text := string(b)
	for name, list := range lists() {
		begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
		head, rest, ok := strings.Cut(text, begin)
		have, tail, done := strings.Cut(rest, end)
		if !ok || !done {
			t.Fatalf("%s: no list %q", page, name)
		}
		if have != list && !*update {
			t.Errorf("%s: list %q is not the program's: go test ./restore -run TestDocument -update", page, name)
		}
		text = head + begin + list + end + tail
	}
	if *update {
		check(t, os.WriteFile(page, []byte(text), 0o644))
	}
}

// TestRecords has a line for each kind of record, none twice.
func TestRecords(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Records() {
		if seen[r.Op] || r.Says == "" || r.Undo == "" {
			t.Errorf("record %+v", r)
		}
		seen[r.Op] = true
	}
}
