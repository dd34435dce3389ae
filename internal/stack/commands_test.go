package stack

import (
	"slices"
	"strings"
	"testing"
)

// TestCommandsOfXCAT holds what the rows of commands promise to those who run them.
func TestCommandsOfXCAT(t *testing.T) {
	s := XCAT()
	ids := map[string]bool{}
	for _, c := range s.Commands {
		if ids[c.ID] || c.ID == "" || c.Why == "" || c.If == "" || len(c.Paths) == 0 {
			t.Errorf("%+v: not whole, or twice", c)
		}
		ids[c.ID] = true
		for _, role := range c.Roles {
			if !slices.ContainsFunc(s.Services, func(of Service) bool { return of.Role == role }) {
				t.Errorf("%s: no role %s", c.ID, role)
			}
		}
		if c.Running && len(c.Roles) == 0 {
			t.Errorf("%s: needs a unit that runs, and names none", c.ID)
		}
		if c.Advice {
			continue
		}
		if c.Within <= 0 {
			t.Errorf("%s: may run for ever", c.ID)
		}
		if own := c.Program != "exportfs"; own != slices.Contains(c.Env, "XCATBYPASS=yes") || own != (len(c.Failures) > 0) {
			t.Errorf("%s: environment %q, failures %q", c.ID, c.Env, c.Failures)
		}
	}
}

func TestArchs(t *testing.T) {
	mknb := Command{ID: "mknb-{arch}", Program: "mknb", Args: []string{"{arch}", "-c"}, Dirs: []string{"/a", "/b"}, Paths: []string{"/x/{arch}"}}
	for restore, want := range map[string]string{
		"mknb x86_64":                  "x86_64",
		"mknb ppc64 && mknb x86_64":    "ppc64 x86_64",
		"mknb ARCH -c":                 "",
		"mknb ARCH":                    "",
		"mknb x86_64 -c":               "",
		"mknb":                         "",
		"rm -rf / && mknb x86_64":      "x86_64",
		"mknb x86_64; rm -rf /":        "",
		"genimage x86_64 && /mknb x86": "",
		"":                             "",
	} {
		if got := strings.Join(mknb.Archs(restore, xcatArchs()), " "); got != want {
			t.Errorf("%q: %q, want %q", restore, got, want)
		}
	}
	one := mknb.OfArch("ppc64")
	if one.ID != "mknb-ppc64" || one.Args[0] != "ppc64" || one.Paths[0] != "/x/ppc64" || mknb.Args[0] != "{arch}" {
		t.Errorf("%+v of %+v", one, mknb)
	}
	if got := one.Candidates(); !slices.Equal(got, []string{"/a/mknb", "/b/mknb"}) {
		t.Errorf("candidates %q", got)
	}
	if got := (Command{Program: "exportfs"}).Candidates(); !slices.Equal(got, []string{"exportfs"}) {
		t.Errorf("candidates %q", got)
	}
}
