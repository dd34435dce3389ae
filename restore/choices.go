package restore

import (
	"maps"
	"slices"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
)

// Choices are what a user decides about an import. They are kept with it, so that
// a resume, a saved plan and the first boot of a root do the same.
type Choices struct {
	// Only restores just these kinds; empty means all. Skip leaves some out.
	Only []artifact.Kind `json:"only,omitempty"`
	Skip []artifact.Kind `json:"skip,omitempty"`
	// KeepRepository leaves the repository of packages known to the package
	// manager after the import.
	KeepRepository bool `json:"keep_repository,omitempty"`
	// Standby leaves the services of the stack stopped and masked, and the database
	// as it is: another host is the management node.
	Standby bool `json:"standby,omitempty"`
	// WithDatabase restores the database on a standby too.
	WithDatabase bool `json:"with_database,omitempty"`
	// NoStart starts nothing and runs no command of the stack.
	NoStart bool `json:"no_start,omitempty"`
	// Engine is the database engine to restore into, "" for that of the source.
	Engine database.Engine `json:"engine,omitempty"`
	// RemoteDatabase restores into a database server on another machine too.
	RemoteDatabase bool `json:"remote_database,omitempty"`
	// ByStack has the stack's own program restore the database.
	ByStack bool `json:"by_stack,omitempty"`
}

// Wants reports whether kind k is to be restored.
func (c Choices) Wants(k artifact.Kind) bool {
	if c.Standby && k == artifact.KindDatabase && !c.WithDatabase && !slices.Contains(c.Only, k) {
		return false
	}
	return (len(c.Only) == 0 || slices.Contains(c.Only, k)) && !slices.Contains(c.Skip, k)
}

// allowed lists the codes in all, sorted.
func allowed(all map[string]bool) []string { return slices.Sorted(maps.Keys(all)) }

func allowing(codes []string) map[string]bool {
	all := map[string]bool{}
	for _, code := range codes {
		all[code] = true
	}
	return all
}
