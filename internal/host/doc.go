// Package host is the one door to the machine: its filesystem below a root
// directory, its programs, and the facts about it.
//
// A Root is where the host's "/" lies on the machine we run on: "/" itself, or
// the directory given with --root. Every path is resolved below it, symlinks
// included, as the host itself would resolve it; none leads outside.
package host
