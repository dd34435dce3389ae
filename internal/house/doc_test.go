// Package house holds the rules of this repository that a compiler does not: who imports whom, what a file may hold,
// which folders there are. docs/development.md tells them in prose. The package has tests only, so that nothing can
// import it; each failure says what to do.
package house
