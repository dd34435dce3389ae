package restore

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/dbserver"
	"github.com/xcrate/xcrate/internal/host"
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

// TestActsAfterACrash goes on with a list of acts of which a crash left one that the
// journal does not know of: the next makes it known.
func TestActsAfterACrash(t *testing.T) {
	f, root := newFixture(t), targetRoot(t)
	p, err := newPlanner(t.Context(), f.m, f.s, f.options(t, root))
	check(t, err)
	a, err := p.begin(t.Context())
	check(t, err)
	defer a.work.close()
	check(t, a.withState(func(state *host.Dir) error {
		return writeFile(state, actsFile, func(w io.Writer) error {
			_, err := io.WriteString(w, `{"kind":"x","what":"first"}`+"\n"+`{"kind":"cut`)
			return err
		})
	}))
	for i, listed := range []bool{false, true} {
		list, err := openActs(a.work, a.journal, database.EnginePostgres, listed)
		check(t, err)
		check(t, list.note(dbserver.Act{What: "second"}))
		check(t, list.close())
		check(t, a.withState(func(state *host.Dir) error {
			all, err := readActs(state)
			if err == nil && (len(all) != i+2 || all[0].What != "first" || all[i+1].What != "second") {
				t.Errorf("acts %+v", all)
			}
			return err
		}))
	}
	check(t, a.journal.close())
	servers := 0
	check(t, a.withState(func(state *host.Dir) error {
		return readBackwards(state, func(r record) error {
			if r.Op == opServer {
				servers++
			}
			return nil
		})
	}))
	if servers != 1 {
		t.Errorf("%d records of the list, want the one of the first run that wrote to it", servers)
	}
}
