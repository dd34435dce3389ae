package stack

import "path"

// Packages says which packages make up the stack.
type Packages struct {
	// Install are the names, as patterns of path.Match, that a management node
	// of the stack has. What else lies in a package tree is for service nodes
	// or is pulled in as a dependency.
	Install []string
	// Own are names that only the stack's own packages have: nobody else offers
	// them, and a repository that does is the stack's.
	Own []string
	// Except are names that Install and Own match and a management node lacks.
	Except []string
	// Drivers let the stack talk to a database server, and Companions are the
	// servers and tools of the distro that it uses. The distro brings them back.
	Drivers, Companions []string
	// Trees are the directories package files lie in, as patterns that begin
	// with {VAR}.
	Trees []string
}

// Installs reports whether a management node installs package name.
func (p Packages) Installs(name string) bool {
	return matchAny(p.Install, name) && !matchAny(p.Except, name)
}

// IsOwn reports whether only the stack can have made package name.
func (p Packages) IsOwn(name string) bool { return matchAny(p.Own, name) && !matchAny(p.Except, name) }

// IsDriver reports whether package name is a driver of a database.
func (p Packages) IsDriver(name string) bool { return matchAny(p.Drivers, name) }

// IsCompanion reports whether package name is a part of the distro that the
// stack uses.
func (p Packages) IsCompanion(name string) bool { return matchAny(p.Companions, name) }

func matchAny(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			return true
		}
	}
	return false
}
