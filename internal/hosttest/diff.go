package hosttest

import (
	"fmt"
	"maps"
	"slices"
)

// DiffOptions say what DiffTrees looks at.
type DiffOptions struct {
	// OwnersByName compares owners by name instead of by number: two roots
	// may have other ids for the same account.
	OwnersByName bool
	// IgnoreOwners, IgnoreTimes, IgnoreHoles and IgnoreXattrs leave that out;
	// the times of directories alone go with IgnoreDirTimes.
	IgnoreOwners, IgnoreTimes, IgnoreDirTimes, IgnoreHoles, IgnoreXattrs bool
	// Skip leaves out the paths for which it is true; nil skips none.
	Skip func(path string) bool
}

// DiffTrees compares two trees of Tree and returns one short line for each
// difference, sorted by path; none if they are equal. "-" lines are only in a, "+"
// lines only in b.
func DiffTrees(a, b map[string]Node, o DiffOptions) []string {
	paths := map[string]bool{}
	for _, tree := range []map[string]Node{a, b} {
		for p := range tree {
			if o.Skip == nil || !o.Skip(p) {
				paths[p] = true
			}
		}
	}
	var lines []string
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		na, ina := a[p]
		nb, inb := b[p]
		switch {
		case !inb:
			lines = append(lines, fmt.Sprintf("- %q %s", p, na.Type))
		case !ina:
			lines = append(lines, fmt.Sprintf("+ %q %s", p, nb.Type))
		default:
			for _, d := range diffNodes(na, nb, o) {
				lines = append(lines, fmt.Sprintf("! %q %s", p, d))
			}
		}
	}
	return lines
}

// diffNodes returns "FIELD: A, B" for each field that differs.
func diffNodes(a, b Node, o DiffOptions) []string {
	var lines []string
	check := func(field string, x, y any) {
		if x != y {
			lines = append(lines, fmt.Sprintf("%s: %v, %v", field, x, y))
		}
	}
	check("type", a.Type, b.Type)
	check("mode", fmt.Sprintf("%04o", a.Mode), fmt.Sprintf("%04o", b.Mode))
	switch {
	case o.IgnoreOwners:
	case o.OwnersByName:
		check("owner", a.User+":"+a.Group, b.User+":"+b.Group)
	default:
		check("owner", fmt.Sprintf("%d:%d", a.UID, a.GID), fmt.Sprintf("%d:%d", b.UID, b.GID))
	}
	if !o.IgnoreTimes && !(o.IgnoreDirTimes && a.Type == "dir") {
		check("mtime", fmt.Sprintf("%d+%09dns", a.Sec, a.Nsec), fmt.Sprintf("%d+%09dns", b.Sec, b.Nsec))
	}
	check("size", a.Size, b.Size)
	check("digest", short(a.Digest), short(b.Digest))
	check("link", fmt.Sprintf("%.80q", a.Link), fmt.Sprintf("%.80q", b.Link))
	check("hard link of", fmt.Sprintf("%q", a.HardlinkOf), fmt.Sprintf("%q", b.HardlinkOf))
	check("device", a.Device, b.Device)
	if !o.IgnoreHoles {
		check("holes", a.Sparse, b.Sparse)
	}
	if !o.IgnoreXattrs && !maps.Equal(a.Xattrs, b.Xattrs) {
		lines = append(lines, fmt.Sprintf("xattrs: %q, %q", a.Xattrs, b.Xattrs))
	}
	return lines
}

// short keeps a digest readable; a chance match of 64 bits does not happen.
func short(digest string) string { return digest[:min(16, len(digest))] }
