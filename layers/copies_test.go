package layers

import (
	"os"
	"path"
	"testing"
)

// TestCopiesOfImports leaves out what an import kept beside files that it replaced:
// it is of this host, and must not come to the next.
func TestCopiesOfImports(t *testing.T) {
	root := node(t)
	for _, p := range []string{"/etc/exports.d/a.exports", "/etc/exports.d/a.exports.before-xcrate", "/install/custom/x.before-xcrate"} {
		check(t, root.MkdirAll(path.Dir(p), 0o755))
		check(t, os.WriteFile(root.Path(p), []byte("x"), 0o644))
	}
	entries, c := captureOdd(t, opts(t, root))
	if _, there := entries["etc/exports.d/a.exports.before-xcrate"]; there {
		t.Error("a copy was taken")
	}
	if l, out := leftOut(c, "/etc/exports.d/a.exports.before-xcrate"); !out || l.Restore != "" || l.Entries != 1 {
		t.Errorf("left out: %+v", l)
	}
	for _, p := range []string{"etc/exports.d/a.exports", "install/custom/x.before-xcrate"} {
		if _, there := entries[p]; !there {
			t.Errorf("%s was left out", p)
		}
	}
}
