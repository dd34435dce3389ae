package database

import (
	"strings"
	"unicode/utf8"
)

// folder turns a key into what stands for it: two keys that a collation of
// MariaDB holds to be equal have the same.
type folder struct {
	// to is what stands for a character; one that is not in it stands for itself,
	// or for nothing where onlyListed.
	to         map[rune]string
	onlyListed bool
}

// newFolder knows three ways of the server's to compare, and takes those of
// others for the first, for which new tables are made:
//
//   - utf8mb4_general_ci: exact. Each character has one weight, all above U+FFFF
//     the same.
//   - utf8mb4_swedish_ci, which tables of xCAT's own latin1_swedish_ci get: it
//     follows the Unicode Collation Algorithm 4.0, where a character has any
//     number of weights. Folded are those that are ASCII's, the others are left
//     out, so that keys which differ in other scripts alone are said to collide
//     though they may not. Names of nodes are ASCII.
//   - utf8mb4_bin: exact.
//
// All of them ignore trailing blanks (PAD SPACE).
func newFolder(collation string) folder {
	switch {
	case strings.HasSuffix(collation, "_bin"):
		return folder{}
	case strings.HasSuffix(collation, "_swedish_ci"):
		return swedishFolder()
	default:
		return generalFolder()
	}
}

func generalFolder() folder {
	f := folder{to: map[rune]string{}}
	for _, class := range generalClasses() {
		first, size := utf8.DecodeRuneInString(class)
		for _, r := range class[size:] {
			f.to[r] = string(first)
		}
	}
	return f
}

func swedishFolder() folder {
	f := folder{to: map[rune]string{}, onlyListed: true}
	for b := rune('\t'); b < utf8.RuneSelf-1; b++ { // the other control characters have no weight
		if b <= '\r' || b >= ' ' {
			f.to[b] = strings.ToLower(string(b))
		}
	}
	for _, r := range "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\ufdfb" {
		f.to[r] = " "
	}
	for _, word := range asciiLike() {
		at := strings.IndexFunc(word, func(r rune) bool { return r >= utf8.RuneSelf })
		for _, r := range word[at:] {
			f.to[r] = word[:at]
		}
	}
	return f
}

// fold is what stands for s. Bytes that are no UTF-8, which MariaDB does not
// hold in a text, count as U+FFFD.
func (f folder) fold(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		switch to, listed := f.to[r]; {
		case listed:
			b.WriteString(to)
		case f.onlyListed:
		case r > 0xFFFF && f.to != nil:
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return strings.TrimRight(b.String(), " ")
}
