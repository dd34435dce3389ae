package pkgmgr

import "strings"

// ParseAptSources stands in for the one of the deb sources, and is to be dropped
// for it: it knows the one-line form only.
func ParseAptSources(_ string, content []byte) ([]string, error) {
	var all []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "deb ") {
			all = append(all, line)
		}
	}
	return all, nil
}
