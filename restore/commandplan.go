package restore

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/stack"
)

// StackCommand is a program of the stack that an import runs once all is started, or
// that its administrator may want to run.
type StackCommand struct {
	ID string `json:"id"`
	// Command is how a person would type it, Why is what makes it needed.
	Command string `json:"command"`
	Why     string `json:"why"`
	// Advice says that it is not run.
	Advice bool `json:"advice,omitempty"`

	Args    []string      `json:"-"`
	Timeout time.Duration `json:"-"`
	// Needs is the unit that has to run, "" for none.
	Needs string `json:"needs,omitempty"`

	writes   []string // files it changes, as in stack.Command
	program  []string // where it is looked for
	env      []string
	failures []string // beginnings of lines that say it did nothing
}

// commandFacts are what tells which commands of the stack are needed.
type commandFacts struct {
	source, host artifact.Host
	services     []artifact.Service // of the source
	leftOut      []artifact.LeftOut
	// exists reports whether there is something at a path of the host once files and
	// packages are in place.
	exists func(path string) bool
	// part says that some kinds of files are left alone: that a path is not restored
	// says nothing then.
	part bool
	// restored reports whether the snapshot brings a path, or something below it.
	restored func(path string) bool
}

// justified returns the commands of s that the facts call for, in the order they are
// run: none, if the snapshot brings everything and the host has the same network
// interfaces.
func justified(s stack.Stack, in commandFacts) []StackCommand {
	commands := []StackCommand{}
	for _, c := range s.Commands {
		unit, serves := in.serving(s, c.Roles)
		if !serves {
			continue
		}
		for _, arch := range in.causes(c, s.Archs) {
			one := c.OfArch(arch)
			if one.If == stack.CauseBootFile && !slices.ContainsFunc(one.Paths, in.exists) {
				continue // nothing here to make it from
			}
			if one.Wants != nil && !slices.ContainsFunc(one.Wants, in.exists) {
				continue
			}
			if !one.Running {
				unit = ""
			}
			commands = append(commands, stackCommand(one, unit))
		}
	}
	return commands
}

func stackCommand(c stack.Command, unit string) StackCommand {
	return StackCommand{
		ID: c.ID, Command: strings.Join(append([]string{c.Program}, c.Args...), " "), Why: c.Why, Advice: c.Advice,
		Args: c.Args, Timeout: c.Within, Needs: unit,
		writes: c.Writes, program: c.Candidates(), env: c.Env, failures: c.Failures,
	}
}

// complete fills in what a plan that was read from a file does not hold. A command that
// the stack does not have any more is dropped.
func complete(s stack.Stack, all []StackCommand) (known []StackCommand) {
	for _, one := range all {
		if c, ok := s.CommandOf(one.ID); ok {
			full := stackCommand(c, one.Needs)
			full.Why = one.Why
			known = append(known, full)
		}
	}
	return known
}

// serving returns the unit that filled one of roles on the source; none are filled
// by no unit.
func (in commandFacts) serving(s stack.Stack, roles []string) (unit string, ok bool) {
	if len(roles) == 0 {
		return "", true
	}
	for _, role := range s.Services {
		if !slices.Contains(roles, role.Role) {
			continue
		}
		for _, there := range in.services {
			if isOn(there) && slices.Contains(role.Units, strings.TrimSuffix(there.Unit, ".service")) {
				return there.Unit, true
			}
		}
	}
	return "", false
}

// causes returns the architectures c has to be run for, "" for one that knows none,
// and nothing if nothing calls for it.
func (in commandFacts) causes(c stack.Command, archs []string) (of []string) {
	restored := slices.ContainsFunc(c.Paths, in.restored)
	switch c.If {
	case stack.CauseNICs:
		if restored && in.otherNICs() {
			return []string{""}
		}
	case stack.CauseRestored:
		if restored {
			return []string{""}
		}
	case stack.CauseMissing:
		if !restored && !in.part {
			return []string{""}
		}
	case stack.CauseBootFile:
		for _, l := range in.leftOut {
			of = append(of, c.Archs(l.Restore, archs)...)
		}
		slices.Sort(of)
		return slices.Compact(of)
	}
	return nil
}

// otherNICs reports whether the host lacks a network interface that the source had.
// Of a root that does not run nothing is known, and so nothing is different. More
// interfaces than the source had are no reason: nothing restored names them.
func (in commandFacts) otherNICs() bool {
	if len(in.source.NICs) == 0 || len(in.host.NICs) == 0 {
		return false
	}
	return slices.ContainsFunc(in.source.NICs, func(nic string) bool {
		return !isVirtualNIC(nic) && !slices.Contains(in.host.NICs, nic)
	})
}

// isVirtualNIC reports whether nic belongs to a container, a virtual machine or a
// tunnel: they come and go, and no managed node is behind one.
func isVirtualNIC(nic string) bool {
	for _, pattern := range []string{"veth*", "docker*", "podman*", "cni*", "flannel*", "cali*", "virbr*", "vnet*", "tun[0-9]*", "tap[0-9]*", "wg[0-9]*"} {
		if ok, _ := path.Match(pattern, nic); ok {
			return true
		}
	}
	return false
}
