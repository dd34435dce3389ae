package stack

import (
	"path"
	"strings"
	"time"
)

// Command is a program that may have to run after an import, because what it makes
// is not in the snapshot or does not suit the host. Nothing else of the stack is run.
type Command struct {
	// ID names it in plans and reports.
	ID string
	// Program is looked for in Dirs, and is a name of PATH without them.
	Program string
	Dirs    []string
	// Args are its arguments; {arch} stands for an architecture, and the command is
	// run for each.
	Args []string
	// Env is added to the clean environment of programs.
	Env []string
	// If is what calls for it. Paths say more of that.
	If    Cause
	Paths []string
	// Roles are those of Services one of which has to be on for it to mean anything,
	// nil for none.
	Roles []string
	// Wants are files one of which has to be there, because the program would make its
	// own, nil for none.
	Wants []string
	// Running says that the unit of such a role must run when the command does.
	Running bool
	// Why is for people.
	Why string
	// Advice says that it is told and not run, because it may take something away.
	Advice bool
	// Writes are the files it makes or changes, "DIR/" for all in a directory, which
	// are kept before it is run. A name may be a pattern of path.Match.
	Writes []string
	// Within is how long it may take.
	Within time.Duration
	// Failures are what it says, as a beginning of a line, when it did nothing and
	// ends with exit code 0 all the same.
	Failures []string
}

// Cause is what calls for a command.
type Cause string

// The causes.
const (
	CauseNICs     Cause = "nics"         // a network interface of the source is not on the host, and one of Paths is restored
	CauseBootFile Cause = "left-out"     // the snapshot left out what its Restore "PROGRAM {arch}" brings back, and one of Paths is there to make it from
	CauseRestored Cause = "restored"     // one of Paths is restored
	CauseMissing  Cause = "not-restored" // none of Paths is restored
)

// OfArch returns c for one architecture.
func (c Command) OfArch(arch string) Command {
	fill := func(all []string) []string {
		var filled []string
		for _, s := range all {
			filled = append(filled, strings.ReplaceAll(s, "{arch}", arch))
		}
		return filled
	}
	c.Args, c.Paths = fill(c.Args), fill(c.Paths)
	c.ID = strings.ReplaceAll(c.ID, "{arch}", arch)
	return c
}

// CommandOf returns the command with this ID, for the architecture that is in it.
func (s Stack) CommandOf(id string) (Command, bool) {
	for _, c := range s.Commands {
		for _, arch := range append([]string{""}, s.Archs...) {
			if one := c.OfArch(arch); one.ID == id {
				return one, true
			}
		}
	}
	return Command{}, false
}

// Candidates are the paths of the program, the first that is there counts. A name
// without "/" is one of PATH.
func (c Command) Candidates() []string {
	if len(c.Dirs) == 0 {
		return []string{c.Program}
	}
	var all []string
	for _, dir := range c.Dirs {
		all = append(all, path.Join(dir, c.Program))
	}
	return all
}

// Archs returns those architectures of known for which restore, what is said to bring
// back something that was left out, runs "PROGRAM ARCH": "mknb ppc64 && mknb x86_64".
// It comes from a snapshot, so what is not known counts for nothing.
func (c Command) Archs(restore string, known []string) []string {
	var archs []string
	for part := range strings.SplitSeq(restore, "&&") {
		words := strings.Fields(part)
		if len(words) != 2 || words[0] != c.Program {
			continue
		}
		for _, arch := range known {
			if arch == words[1] {
				archs = append(archs, arch)
			}
		}
	}
	return archs
}
