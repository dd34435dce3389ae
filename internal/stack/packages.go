package stack

import "path"

// Packages says which packages make up the stack.
type Packages struct {
	// Install are the names, as patterns of path.Match, that a management node
	// of the stack has. What else lies in a package tree is for service nodes
	// or is pulled in as a dependency.
	Install []string
	// Except are names that Install matches and a management node lacks.
	Except []string
	// Trees are the directories package files lie in, as patterns that begin
	// with {VAR}.
	Trees []string
}

// Installs reports whether a management node installs package name.
func (p Packages) Installs(name string) bool {
	return matchAny(p.Install, name) && !matchAny(p.Except, name)
}

func matchAny(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			return true
		}
	}
	return false
}
