package pkgmgr

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// CompareEVR compares epoch, version and release of two packages of format f:
// negative if a is older than b, zero if they are equal. It is for packages that
// have no File, as Installed lists them; CompareEVR sees the format of others.
func (f Format) CompareEVR(a, b artifact.Package) int {
	compare := compareVersion
	if f == Deb {
		compare = compareDebVersion
	}
	epoch := func(p artifact.Package) int { n, _ := strconv.Atoi(p.Epoch); return n }
	return cmp.Or(cmp.Compare(epoch(a), epoch(b)), compare(a.Version, b.Version), compare(a.Release, b.Release))
}

// compareDebVersion compares two upstream versions, or two revisions, as
// deb-version(7) has it: what is no number and what is one in turn. A revision
// that is absent equals 0.
func compareDebVersion(a, b string) int {
	for a != "" || b != "" {
		var textA, textB, numberA, numberB string
		textA, a = cutText(a)
		textB, b = cutText(b)
		numberA, a = cutNumber(a)
		numberB, b = cutNumber(b)
		if c := cmp.Or(compareDebText(textA, textB), cmp.Compare(len(numberA), len(numberB)), strings.Compare(numberA, numberB)); c != 0 {
			return c
		}
	}
	return 0
}

func cutText(s string) (text, rest string) {
	i := 0
	for i < len(s) && !isDigit(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

// cutNumber cuts a number off, without the zeros it begins with.
func cutNumber(s string) (number, rest string) {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return strings.TrimLeft(s[:i], "0"), s[i:]
}

func compareDebText(a, b string) int {
	for i := range max(len(a), len(b)) {
		if c := cmp.Compare(debOrder(a, i), debOrder(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

// debOrder is where the i-th character of s sorts: "~" before the end, the end
// before letters, letters before all else.
func debOrder(s string, i int) int {
	switch {
	case i >= len(s):
		return 0
	case s[i] == '~':
		return -1
	case isWord(s[i]):
		return int(s[i])
	}
	return int(s[i]) + 256
}
