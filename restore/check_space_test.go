package restore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
)

// TestSpaceForRollback: on a filesystem that would hold what is staged, an import
// that has to keep /etc is refused before it begins.
func TestSpaceForRollback(t *testing.T) {
	f := packageFixture(t)
	small := t.TempDir()
	check(t, unix.Mount("tmpfs", small, "tmpfs", 0, "size=24m"))
	t.Cleanup(func() { check(t, unix.Unmount(small, 0)) })
	from := packageRoot(t)
	check(t, os.CopyFS(small, os.DirFS(from)))
	putFile(t, small, "etc/large", strings.Repeat("x", 13<<20))
	o, _ := f.scripted(t, small)
	plan, err := NewPlan(t.Context(), f.m, f.s, o)
	check(t, err)
	if blocked := plan.Blocked(); len(blocked) != 1 || blocked[0].Code != CodeSpace || plan.Space[0].Need < 13<<20 {
		t.Errorf("blocked %+v, space %+v", blocked, plan.Space)
	}
	o.Skip = []artifact.Kind{artifact.KindPackages} // then nothing has to be kept
	plan, err = NewPlan(t.Context(), f.m, f.s, o)
	check(t, err)
	if len(plan.Blocked()) > 0 || plan.Space[0].Need > 1<<20 {
		t.Errorf("blocked %+v, space %+v", plan.Blocked(), plan.Space)
	}
}

// TestRollbackEstimate: what is counted for the saved trees is what they take.
func TestRollbackEstimate(t *testing.T) {
	f, root := packageFixture(t), packageRoot(t)
	for i := range 200 {
		putFile(t, root, filepath.Join("etc/many", strings.Repeat("x", i+1)), strings.Repeat("x", i*100))
	}
	o, _ := f.scripted(t, root)
	var plan *Plan
	result, err := Apply(t.Context(), f.m, f.s, o, func(p *Plan) (bool, error) { plan = p; return true, nil })
	check(t, err)
	st, err := os.Stat(filepath.Join(result.Kept, savedFile))
	check(t, err)
	p := checker(t, artifact.Host{}, hostFacts{})
	p.Root = openRootAt(t, root)
	n, err := p.savedSize(t.Context())
	check(t, err)
	if n < st.Size()*8/10 || n > st.Size()*2 || plan.Space[0].Need < st.Size() {
		t.Errorf("%d bytes are counted, %d were written, the plan has %d", n, st.Size(), plan.Space[0].Need)
	}
}
