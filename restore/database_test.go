package restore

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestWrittenDuringImport has the stack write to a table that was equal when the
// plan was made, as xcatd does when it is stopped: the table is restored too.
func TestWrittenDuringImport(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	_, err := Apply(t.Context(), f.m, f.s, f.options(t, root), yes)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(root, "etc/hosts"), []byte("edited"), 0o644))
	o, calls := f.options(t, root), 0
	o.fault = func() error {
		if calls++; calls == 1 { // after everything was staged
			out, err := exec.CommandContext(t.Context(), "sqlite3", filepath.Join(root, "etc/xcat/site.sqlite"), "DELETE FROM site WHERE key = 'domain'").CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		return nil
	}
	result, err := Apply(t.Context(), f.m, f.s, o, func(p *Plan) (bool, error) {
		if len(p.Database.Restore) != 0 || p.Database.Same != 3 {
			t.Errorf("plan %+v", p.Database)
		}
		return true, nil
	})
	check(t, err)
	if result == nil || result.Tables != 3 || len(result.Plan.Database.Restore) != 1 {
		t.Fatalf("result %+v", result)
	}
	if again, err := Apply(t.Context(), f.m, f.s, f.options(t, root), yes); err != nil || again != nil {
		t.Errorf("another import: %+v, %v", again, err)
	}
}
