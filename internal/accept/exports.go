package accept

import (
	"context"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/xcrate/xcrate/internal/host"
)

// exports compares the paths that the files list with those the server shows.
func (t *tester) exports(ctx context.Context) Probe {
	p := t.probes()
	if len(t.units(p.NFS...)) == 0 {
		return skip("no NFS server is to run here")
	}
	want, err := t.exportPaths()
	switch {
	case err != nil:
		return fail("", "what is to be exported cannot be read: %s", short(err))
	case len(want) == 0:
		return skip("/etc/exports lists nothing")
	}
	program := t.look(p.Exports.Names[0])
	if program == "" {
		return warn("install nfs-utils", "%s is not installed, so nothing tells what is exported", p.Exports.Names[0])
	}
	out, _, err := t.command(ctx, host.Command{Name: program, Args: p.Exports.Args})
	if err != nil {
		return fail("exportfs -ra; exportfs -v", "%s", short(err))
	}
	shown := exported(string(out))
	missing := slices.DeleteFunc(slices.Clone(want), func(dir string) bool { return slices.Contains(shown, dir) })
	if len(missing) > 0 {
		return fail("exportfs -ra; exportfs -v", "not exported: %s", some(missing))
	}
	return pass("exported: %s", some(want))
}

// exportPaths are the paths in the files that exportfs reads.
func (t *tester) exportPaths() (paths []string, err error) {
	for _, pattern := range t.probes().ExportFiles {
		files := []string{pattern}
		if dir, base := path.Split(pattern); strings.ContainsAny(base, "*?[") {
			files = nil
			names, err := t.Root.Names(dir)
			if err != nil && t.Root.Exists(dir) {
				return nil, err
			}
			for _, name := range names {
				// exportfs passes over hidden files, which the star of Match does not.
				if ok, _ := path.Match(base, name); ok && !strings.HasPrefix(name, ".") {
					files = append(files, dir+name)
				}
			}
		}
		for _, file := range files {
			if !t.Root.Exists(file) {
				continue
			}
			b, err := t.Root.ReadFile(file, 16<<20)
			if err != nil {
				return nil, err
			}
			for _, dir := range exportLines(string(b)) {
				if !slices.Contains(paths, dir) {
					paths = append(paths, dir)
				}
			}
		}
	}
	return paths, nil
}

// exportLines returns the paths of exports(5): the first word of each line, in
// quotes if there are spaces in it, with \ooo for any byte. A line that goes on
// with the one before begins with no path.
func exportLines(text string) (paths []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		word := ""
		if quoted, ok := strings.CutPrefix(line, `"`); ok {
			word, _, _ = strings.Cut(quoted, `"`)
		} else {
			word = strings.Fields(line)[0]
		}
		if word = unescape(word); strings.HasPrefix(word, "/") {
			paths = append(paths, path.Clean(word))
		}
	}
	return paths
}

// unescape replaces \ooo, three octal digits, by the byte.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// exported returns the paths exportfs -v prints: each begins a line, and either a
// tab follows or, behind a long one, the end of the line.
func exported(out string) (paths []string) {
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "/") {
			continue
		}
		dir, _, _ := strings.Cut(line, "\t")
		if dir = unescape(strings.TrimRight(dir, " \n")); !slices.Contains(paths, dir) {
			paths = append(paths, dir)
		}
	}
	return paths
}
