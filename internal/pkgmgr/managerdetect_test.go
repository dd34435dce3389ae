package pkgmgr

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/host"
)

// TestDetect has roots by what lies in them, and programs that are there.
func TestDetect(t *testing.T) {
	const sles, el, debian = "ID=\"sles\"\nID_LIKE=\"suse\"\n", "ID=rocky\n", "ID=debian\n"
	for _, tt := range []struct {
		name, release string
		rpm, dpkg     bool
		zypp          bool
		programs      string
		want          string
	}{
		{"el 9", el, true, false, false, "dnf yum rpm", "dnf"},
		{"el 7", el, true, false, false, "yum rpm", "yum"},
		{"sles", sles, true, false, false, "zypper dnf rpm", "zypper"},
		{"by its directory", "ID=own\n", true, false, true, "zypper dnf rpm", "zypper"},
		{"sles without zypper", sles, true, false, false, "dnf rpm", "dnf"},
		{"debian", debian, false, true, false, "apt-get dpkg", "apt"},
		{"debian with an empty rpm database", debian, true, true, false, "apt-get dpkg dnf rpm", "apt"},
		{"nothing runs", debian, false, true, false, "", ""},
		{"neither database", debian, false, false, false, "apt-get dpkg dnf rpm", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := openRoot(t, t.TempDir())
			write(t, root.Path("/etc/os-release"), []byte(tt.release))
			if tt.dpkg {
				write(t, root.Path("/var/lib/dpkg/status"), nil)
			}
			if tt.zypp {
				write(t, root.Path("/etc/zypp/zypp.conf"), nil)
			}
			if tt.rpm && tt.dpkg {
				command(t, "rpm", "--root", root.Dir(), "--dbpath", "/var/lib/rpm", "--initdb")
			} else if tt.rpm {
				write(t, root.Path("/var/lib/rpm/rpmdb.sqlite"), nil)
			}
			m, err := Detect(t.Context(), root, &fakeRunner{answer: func(c host.Command) (string, error) {
				if slices.Contains(strings.Fields(tt.programs), c.Name) {
					return "", nil
				}
				return "", errors.New("not found")
			}})
			if tt.want == "" {
				if !errors.Is(err, ErrNone) {
					t.Errorf("%v, %v", m, err)
				}
				return
			}
			if err != nil || m.Name() != tt.want {
				t.Errorf("%v, %v, want %s", m, err, tt.want)
			}
		})
	}
}
