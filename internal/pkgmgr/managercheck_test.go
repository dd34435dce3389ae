package pkgmgr

import (
	"slices"
	"testing"
)

// TestLacking has what the programs say, word for word: dnf of EL 8 and 9, zypper
// of SLES 15 and 15.6, yum 3, apt.
func TestLacking(t *testing.T) {
	for _, tt := range []struct {
		name, said string
		want       []string
	}{
		{
			"dnf", "Error: \n Problem 1: conflicting requests\n  - nothing provides perl(DBI) >= 3 needed by a-4:1-1.noarch\n" +
				" Problem 2: conflicting requests\n  - nothing provides /usr/sbin/in.tftpd needed by b-1-1.x86_64 from xcrate-snapshot\n",
			[]string{"perl(DBI) >= 3 needed by a-4:1-1.noarch", "/usr/sbin/in.tftpd needed by b-1-1.x86_64"},
		},
		{"dnf chain", " Problem: package a-1-1.noarch from xcrate-snapshot requires b = 2, but none of the providers can be installed\n", []string{"b = 2 needed by a-1-1.noarch"}},
		{"dnf arguments", "No match for argument: a-0:2-1.noarch\nError: Unable to find a match: a-0:2-1.noarch\n", []string{"a-0:2-1.noarch"}},
		{"zypper", "Problem: nothing provides no-such needed by a-4:2.17.0-snap1.noarch\n Solution 1: do not install a-4:2.17.0-snap1.noarch\n", []string{"no-such needed by a-4:2.17.0-snap1.noarch"}},
		{"zypper later", "Problem: 1: nothing provides 'perl(DBI)' needed by the to be installed a-1-1.noarch\n", []string{"perl(DBI) needed by a-1-1.noarch"}},
		{"zypper arguments", "'a' not found in package names. Trying capabilities.\nNo provider of 'xcrate-snapshot:a.noarch = 0:2-1' found.\nPackage 'b' not found.\n", []string{"a.noarch = 0:2-1", "b"}},
		{"yum", "No package b available.\nError: Package: a-1-1.noarch (xcrate-snapshot)\n           Requires: perl(DBI)\n           Requires: c\n You could try using --skip-broken\n", []string{"b", "perl(DBI) needed by a-1-1.noarch", "c needed by a-1-1.noarch"}},
		{
			"apt", "The following packages have unmet dependencies:\n a : Depends: b (>= 3) but it is not installable\n     PreDepends: c but it is not going to be installed\n     Recommends: r but it is not installable\n d:amd64 : Depends: e but 1 is to be installed\nE: Unable to correct problems, you have held broken packages.\n",
			[]string{"b (>= 3) needed by a", "c needed by a", "e needed by d:amd64"},
		},
		{"apt at work", "Building dependency tree...E: Unable to locate package b\n\nReading state information...", []string{"b"}},
		{"apt arguments", "E: Version '3' for 'a' was not found\nE: Unable to locate package b\nE: Package 'c' has no installation candidate\n", []string{"a=3", "b", "c"}},
		{"nothing", "Requires: x\n Depends: y but z\nError: Transaction test error\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := lacking(tt.said); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
