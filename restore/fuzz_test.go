package restore

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/xcrate/xcrate/internal/host"
)

// FuzzJournal: a power cut may leave anything at its end, and records come backwards,
// each whole.
func FuzzJournal(f *testing.F) {
	var b []byte
	for _, r := range []record{{Op: opMkdir, Path: "/etc/x"}, {Op: opReplace, Path: "/etc/a\xff", Work: "/etc/.w", Slot: "1"}} {
		line, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		b = append(append(b, line...), '\n')
	}
	f.Add(b)
	f.Add(b[:len(b)-5])
	f.Add([]byte("\n\n{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		check(t, os.WriteFile(filepath.Join(dir, journalFile), b, 0o600))
		root, err := host.OpenRoot(dir)
		check(t, err)
		defer func() { check(t, root.Close()) }()
		state, err := root.OpenDir("/")
		check(t, err)
		defer func() { _ = state.Close() }()
		n := 0
		if err := readBackwards(state, func(record) error { n++; return nil }); err != nil {
			return
		}
		if want := bytes.Count(b, []byte("\n")); n != want {
			t.Errorf("%d records of %d lines", n, want)
		}
	})
}

// FuzzPlanFile: a plan that was edited, or is of somebody else, is no plan.
func FuzzPlanFile(f *testing.F) {
	good, err := (&Plan{Format: PlanFormat, Root: "/", Findings: []Finding{}}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(bytes.Replace(good, []byte(`"/"`), []byte(`"/x"`), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		plan, err := DecodePlan(b)
		if err != nil {
			return
		}
		again, err := plan.Encode()
		check(t, err)
		if _, err := DecodePlan(again); err != nil {
			t.Errorf("written again it is refused: %v", err)
		}
	})
}
