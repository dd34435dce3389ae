package stack

import (
	"path"
	"strings"
)

// How says how a file of the host and the snapshot's become one.
type How string

// The ways to merge, by the file they are for.
const (
	MergeHosts          How = "hosts"           // hosts(5)
	MergeAuthorizedKeys How = "authorized_keys" // sshd(8)
	MergeKnownHosts     How = "known_hosts"     // ssh(1)
	MergeExports        How = "exports"         // exports(5)
)

// Merge is a file of which both the host's and the snapshot's lines have to stay.
type Merge struct {
	// Path is a host path; "~/" in front is a home that the caller knows of.
	Path string
	How  How
	// StaysOnStandby says that a standby keeps its own file as it is.
	StaysOnStandby bool
}

// MergeOf returns the row for the file at p, a host path. isHome tells whether a
// directory is such a home.
func (s Stack) MergeOf(p string, isHome func(dir string) bool) (Merge, bool) {
	for _, m := range s.Merges {
		rest, inHome := strings.CutPrefix(m.Path, "~")
		if p == m.Path {
			return m, true
		}
		if home, ok := strings.CutSuffix(p, rest); inHome && ok && home != "" && isHome(home) {
			return m, true
		}
	}
	return Merge{}, false
}

// CountsEveryFile reports whether every file of the directory that p lies in is
// read or run, whatever it is called: a copy there would count twice.
func (s Stack) CountsEveryFile(p string) bool { return matchAny(s.EveryFile, path.Dir(p)) }

// IsLiving reports whether a daemon writes the file at p all the time.
func (s Stack) IsLiving(p string) bool { return matchAny(s.Living, p) }
