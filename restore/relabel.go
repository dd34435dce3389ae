package restore

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/internal/host"
)

const (
	// maxTops is how many trees are relabelled at most: with more, those in one
	// directory become that directory.
	maxTops = 256
	// maxLabelArgs bounds the arguments of one program, far below what Linux takes
	// (execve(2): 128 KiB for one of them, a quarter of the stack for all).
	maxLabelArgs = 64 << 10
)

// relabel gives what lies below paths of the host the labels that its own policy
// says: files get into place with those they had on the source, or none. It does
// nothing where SELinux is off. Paths that are not there are passed over.
//
// The options are those restorecon has on EL 8 to 10 and SLES 15: threads (-T) came
// later. Without -F, users and roles of labels stay, and so do the types that the
// policy lets an administrator choose.
func relabel(ctx context.Context, root *host.Root, run host.Runner, paths []string) error {
	if !root.Exists(enforceFile) || len(paths) == 0 {
		return nil
	}
	c := host.Command{Name: "restorecon", Family: true}
	if !root.IsLive() {
		c.Chroot = root.Dir()
	}
	options := []string{"-R", "-i"}
	if _, err := run.Look(c.Chroot, c.Name); err != nil {
		return fmt.Errorf("labels of SELinux: %w; once it is there, run: restorecon %s %s", err, strings.Join(options, " "), strings.Join(paths, " "))
	}
	for _, chunk := range chunks(resolved(root, paths), maxLabelArgs) {
		c.Args = slices.Concat(options, chunk)
		if _, err := run.Run(ctx, c); err != nil {
			return fmt.Errorf("labels of SELinux: %w", err)
		}
	}
	return nil
}

// resolved adds to paths what those of them that are symlinks lead to: restorecon
// labels a link and does not follow it.
func resolved(root *host.Root, paths []string) []string {
	all := slices.Clone(paths)
	for _, p := range paths {
		if end, err := root.Resolve(p); err == nil && end != path.Clean(p) {
			all = append(all, end)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// chunks cuts words into runs whose bytes, with one more for each word, are at most
// size. A longer word is a chunk of its own.
func chunks(words []string, size int) [][]string {
	var all [][]string
	used := 0
	for _, w := range words {
		if len(all) == 0 || used+len(w)+1 > size {
			all, used = append(all, nil), 0
		}
		all[len(all)-1] = append(all[len(all)-1], w)
		used += len(w) + 1
	}
	return all
}

// treeDepth returns how many components of a path of the system name a tree of one
// service: /etc/xcat, /var/lib/dhcpd, /home/ann/.xcat. Of the rest, /install and
// /tftpboot, one does.
func treeDepth(top string) int {
	switch top {
	case "etc", "root", "opt", "srv", "boot":
		return 2
	case "var", "home":
		return 3
	case "usr":
		return 4
	default:
		return 1
	}
}

// touchedTops returns the tops of the trees that paths of the host lie in, sorted and
// none below another, at most maxTops. Memory grows with the trees and not with paths.
func touchedTops(paths iter.Seq[string]) []string {
	set := map[string]bool{}
	for p := range paths {
		parts := strings.Split(strings.Trim(path.Clean("/"+p), "/"), "/")
		depth := treeDepth(parts[0])
		if parts[0] == "" || len(parts) < min(depth, 3) {
			continue // a directory of the system, which has its label
		}
		set["/"+path.Join(parts[:min(len(parts), depth)]...)] = true
	}
	for len(set) > maxTops && join(set) {
	}
	var tops []string
	for _, p := range slices.Sorted(maps.Keys(set)) {
		if !slices.ContainsFunc(tops, func(top string) bool { return strings.HasPrefix(p, top+"/") }) {
			tops = append(tops, p)
		}
	}
	return tops
}

// join puts in place of the tops that most have in common the directory they are in.
// It reports false if only those of the root are left.
func join(set map[string]bool) bool {
	count := map[string]int{}
	most := ""
	for _, p := range slices.Sorted(maps.Keys(set)) {
		dir := path.Dir(p)
		if count[dir]++; dir != "/" && (most == "" || count[dir] > count[most]) {
			most = dir
		}
	}
	if most == "" {
		return false
	}
	maps.DeleteFunc(set, func(p string, _ bool) bool { return strings.HasPrefix(p, most+"/") })
	set[most] = true
	return true
}
