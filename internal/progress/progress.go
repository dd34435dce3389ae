// Package progress tells how far a long piece of work has come. The work calls
// a Sink; who runs it decides what is shown.
package progress

// Sink hears of progress. Its methods may be called from several goroutines.
type Sink interface {
	// Phase begins the next phase, with total bytes to go, 0 if unknown.
	Phase(name string, total int64)
	// Add says that n more bytes of the phase are done.
	Add(n int64)
	// Done ends the last phase.
	Done()
}

// None returns a Sink that shows nothing.
func None() Sink { return none{} }

type none struct{}

func (none) Phase(string, int64) {}
func (none) Add(int64)           {}
func (none) Done()               {}
