package pkgmgr

import (
	"testing"

	"github.com/xcrate/xcrate/artifact"
)

// The cases are those rpm's documentation gives, and the corners around them.
func TestCompareEVR(t *testing.T) {
	for _, c := range []struct {
		a, b string // [epoch:]version
		want int
	}{
		{"1.0", "1.0", 0},
		{"1.0", "2.0", -1},
		{"2.0.1", "2.0", 1},
		{"5.5p1", "5.5p10", -1},
		{"10xyz", "10.1xyz", -1},
		{"xyz10", "xyz10.1", -1},
		{"1.010", "1.10", 0},
		{"1a", "1.0", -1},
		{"2_0", "2.0", 0},
		{"1.0~rc1", "1.0", -1},
		{"1.0~rc1", "1.0~rc2", -1},
		{"1.0~rc1~git", "1.0~rc1", -1},
		{"1.0^", "1.0", 1},
		{"1.0^git1", "1.0.1", -1},
		{"1.0^git1", "1.0^git2", -1},
		{"1.0~rc1^git1", "1.0~rc1", 1},
		{"1.0^git1~pre", "1.0^git1", -1},
	} {
		for _, way := range []struct {
			a, b string
			want int
		}{{c.a, c.b, c.want}, {c.b, c.a, -c.want}} {
			got := CompareEVR(artifact.Package{Version: way.a, Release: "1"}, artifact.Package{Version: way.b, Release: "1"})
			if got != way.want {
				t.Errorf("CompareEVR(%q, %q) = %d, want %d", way.a, way.b, got, way.want)
			}
		}
	}
	if CompareEVR(artifact.Package{Epoch: "1", Version: "1"}, artifact.Package{Version: "9"}) != 1 {
		t.Error("an epoch does not win over a version")
	}
	if CompareEVR(artifact.Package{Version: "1", Release: "2"}, artifact.Package{Version: "1", Release: "10"}) != -1 {
		t.Error("releases are not compared as versions")
	}
}
