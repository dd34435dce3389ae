package restore

import (
	"path"

	"github.com/xcrate/xcrate/artifact"
)

// BesideSuffix ends the names of files that are placed beside the host's own.
const BesideSuffix = ".snapshot"

// places says where entries go on the host.
type places struct {
	// beside says that the host has another build of the stack: what was changed
	// of the stack's own files, or added to them, is put beside what is there.
	beside bool
}

// target is where an entry goes on the host: packages have a directory of
// their own, what is placed beside has a suffix, everything else keeps its path.
func (p places) target(e artifact.Entry) string {
	switch {
	case e.Kind == artifact.KindPackages:
		return path.Join(RepositoryDir, e.Path)
	case p.isBeside(e.Kind) && e.Type != artifact.TypeDir: // two directories can be one
		return "/" + e.Path + BesideSuffix
	}
	return "/" + e.Path
}

// isBeside reports whether entries of kind k are placed beside the host's own.
func (p places) isBeside(k artifact.Kind) bool { return p.beside && k == artifact.KindOpt }
