package restore

import (
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/stack"
)

// installedVersion returns the version of the stack that is installed on the
// host, "" if there is none or it does not say.
func installedVersion(s stack.Stack, root *host.Root) string {
	b, err := root.ReadFile(s.VersionFile, 1<<20)
	if err != nil {
		return ""
	}
	return stack.Version(b)
}
