package stack

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// includeTag finds the tags that read another file into a template or list
// (Template.pm, Postage.pm): #INCLUDE:PATH# and its kin.
func includeTag() *regexp.Regexp {
	return regexp.MustCompile(`#INCLUDE(?:_PKGLIST|_PTRNLIST|_RMPKGLIST|_NOP)?:([^#\n]+)#`)
}

// envTag finds #ENV:NAME#, which xCAT replaces before it looks for includes.
func envTag() *regexp.Regexp { return regexp.MustCompile(`#ENV:[^#\n]+#`) }

// includes follows the include tags of the file at p.
func (f *follower) includes(c Column, from, p, dir string, depth int) {
	// A variable must not end the tag it stands in.
	text := envTag().ReplaceAll(f.content(from, p), []byte("$$ENV"))
	var done []string
	for _, m := range includeTag().FindAllSubmatch(text, -1) {
		item := strings.TrimSpace(string(m[1]))
		if item == "" || slices.Contains(done, item) {
			continue
		}
		done = append(done, item)
		inFrom := from + ": #INCLUDE in " + p
		if hasVariable(item) {
			f.problem(inFrom, "path %q: holds a variable, its value is not known", item)
			continue
		}
		next := item
		if !path.IsAbs(next) {
			next = dir + "/" + next
		}
		next = path.Clean(next)
		if f.add(next, Ref{Path: escape(next), From: inFrom, Kind: c.Kind}) {
			f.scan(c, inFrom, next, dir, depth+1)
		}
	}
}
