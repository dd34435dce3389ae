package pkgmgr

import (
	"cmp"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// CompareEVR compares epoch, version and release of two packages, of which one
// has a File, the way its package manager does: negative if a is older than b,
// zero if they are equal.
func CompareEVR(a, b artifact.Package) int {
	if FormatOf(a) == Deb || FormatOf(b) == Deb {
		return Deb.CompareEVR(a, b)
	}
	return RPM.CompareEVR(a, b)
}

// compareVersion compares two version strings as rpm does (rpm's documentation,
// "Dependencies", "Versioning"), segment by segment: digits as numbers, letters as text, numbers newer than letters, "~" older than the
// end and "^" newer than it.
func compareVersion(a, b string) int {
	for {
		a, b = skipSeparators(a), skipSeparators(b)
		if c, done := compareMarks(a, b); done {
			return c
		}
		if a == "" || b == "" {
			return cmp.Compare(len(a), len(b))
		}
		if markA := a[0] == '~' || a[0] == '^'; markA { // on both sides, or compareMarks were done
			a, b = a[1:], b[1:]
			continue
		}
		if isDigit(a[0]) != isDigit(b[0]) {
			if isDigit(a[0]) {
				return 1
			}
			return -1
		}
		segA, segB := segment(a), segment(b)
		if c := compareSegment(segA, segB); c != 0 {
			return c
		}
		a, b = a[len(segA):], b[len(segB):]
	}
}

// compareMarks decides where one side has a mark the other has not: "~" is
// older than anything, the end too; "^" is newer than the end and older than
// anything else.
func compareMarks(a, b string) (c int, done bool) {
	tildeA, tildeB := strings.HasPrefix(a, "~"), strings.HasPrefix(b, "~")
	caretA, caretB := strings.HasPrefix(a, "^"), strings.HasPrefix(b, "^")
	switch {
	case tildeA != tildeB && tildeA, caretA != caretB && caretA && b != "", caretA != caretB && caretB && a == "":
		return -1, true
	case tildeA != tildeB, caretA != caretB:
		return 1, true
	}
	return 0, false
}

func compareSegment(a, b string) int {
	if isDigit(a[0]) {
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		if len(a) != len(b) {
			return cmp.Compare(len(a), len(b))
		}
	}
	return strings.Compare(a, b)
}

func segment(s string) string {
	i := 0
	for i < len(s) && isWord(s[i]) && isDigit(s[i]) == isDigit(s[0]) {
		i++
	}
	return s[:i]
}

func skipSeparators(s string) string {
	return strings.TrimLeftFunc(s, func(r rune) bool { return r != '~' && r != '^' && (r > 0x7f || !isWord(byte(r))) })
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isWord(c byte) bool  { return isDigit(c) || (c|0x20 >= 'a' && c|0x20 <= 'z') }
