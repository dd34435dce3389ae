package pkgmgr

import (
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// FormatOf is a stub.
func FormatOf(p artifact.Package) Format {
	if strings.HasSuffix(p.File, ".deb") {
		return Deb
	}
	return RPM
}
