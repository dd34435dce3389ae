package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// TestFrozenArtifacts verifies and imports the layouts that earlier versions
// wrote. What they hold is known by heart: a reader that loses some of it, or
// a format that drifts, fails here.
func TestFrozenArtifacts(t *testing.T) {
	for version, want := range map[string]struct {
		digest, kinds   string
		tables, entries int
	}{
		"v1": {
			"sha256:143ce0b50ec1ca70a017a2f9db2000142167a7edf0be766609740caaa38a444d",
			"packages secrets config install tftpboot database", 73, 438,
		},
	} {
		t.Run(version, func(t *testing.T) {
			place := "../../testdata/artifacts/" + version
			said := xcrate(t, 0, "verify", place+":golden")
			if !strings.Contains(said, want.digest) {
				t.Errorf("verified something else:\n%s", said)
			}
			c := config(t, place)
			var kinds []string
			entries := 0
			for _, k := range c.Kinds {
				kinds = append(kinds, string(k.Kind))
				entries += int(k.Entries)
			}
			if got := strings.Join(kinds, " "); got != want.kinds || entries != want.entries || len(c.Database.Tables) != want.tables {
				t.Errorf("kinds %s, %d entries, %d tables", got, entries, len(c.Database.Tables))
			}
			root := t.TempDir()
			xcrate(t, exitWarnings, "import", "--allow-unsigned", place, "--root", root, "--yes", "--allow", "not-root")
			restored, err := hosttest.Tree(filepath.Join(root, "install"))
			if err != nil {
				t.Fatal(err)
			}
			if n := restored["custom/odd/sparse"]; !n.Sparse || n.Size == 0 {
				t.Errorf("custom/odd/sparse: %+v", n)
			}
			b, err := os.ReadFile(filepath.Join(root, "etc/xcat/ca/private/ca-key.pem"))
			if err != nil || !strings.Contains(string(b), hosttest.Canary) {
				t.Errorf("ca key: %v, %d bytes", err, len(b))
			}
			if again := xcrate(t, 0, "import", "--allow-unsigned", place, "--root", root, "--yes", "--allow", "not-root"); !strings.Contains(again, "Nothing to do") {
				t.Errorf("second import:\n%s", again)
			}
		})
	}
}
