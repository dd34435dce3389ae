package database

import (
	"cmp"
	"math"
	"math/big"
	"strings"
	"unicode/utf8"
)

// compareValues orders as SQLite does: NULL, numbers, text, blobs.
func compareValues(a, b Value, numeric bool) int {
	rankA, numberA := rank(a, numeric)
	rankB, numberB := rank(b, numeric)
	switch {
	case rankA != rankB:
		return rankA - rankB
	case rankA == rankNumber:
		return compareNumbers(a.Text, b.Text, numberA, numberB)
	case a.Class == ClassUnicode || b.Class == ClassUnicode:
		return compareUnicode(a, b)
	}
	return strings.Compare(a.Text, b.Text)
}

// compareUnicode orders by characters: a ClassUnicode has its own, and each byte
// of another text is one.
func compareUnicode(a, b Value) int {
	restA, restB := a.Text, b.Text
	for restA != "" && restB != "" {
		var runeA, runeB rune
		runeA, restA = nextCharacter(restA, a.Class)
		runeB, restB = nextCharacter(restB, b.Class)
		if runeA != runeB {
			return cmp.Compare(runeA, runeB)
		}
	}
	return cmp.Compare(len(restA), len(restB))
}

func nextCharacter(s string, c Class) (first rune, rest string) {
	if c != ClassUnicode {
		return rune(s[0]), s[1:]
	}
	r, size := utf8.DecodeRuneInString(s)
	return r, s[size:]
}

// compareNumbers orders two numbers, given as text and as what parseReal makes
// of it. NaN, which PostgreSQL has, comes last.
func compareNumbers(a, b string, numberA, numberB float64) int {
	if math.IsNaN(numberA) || math.IsNaN(numberB) {
		return cmp.Compare(numberB, numberA) // which has NaN first
	}
	if c := cmp.Compare(numberA, numberB); c != 0 || a == b {
		return c
	}
	// More digits than a float has: those of an int64, or of a numeric.
	exactA, exactB := exactNumber(a), exactNumber(b)
	if exactA == nil || exactB == nil {
		return 0
	}
	return exactA.Cmp(exactB)
}

// exactNumber reads plain digits; nil is for all that floats tell apart.
func exactNumber(s string) *big.Rat {
	if len(s) > maxDigits || strings.Trim(s, "-+.0123456789") != "" {
		return nil
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil
	}
	return r
}

// maxDigits bounds what a hostile number may cost.
const maxDigits = 2000

const (
	rankNull = iota
	rankNumber
	rankText
	rankBlob
)

func rank(v Value, numeric bool) (rank int, number float64) {
	switch {
	case v.Null:
		return rankNull, 0
	case v.Class == ClassBlob:
		return rankBlob, 0
	case v.Class == "" && !numeric:
		return rankText, 0
	}
	f, err := parseReal(v.Text)
	if err != nil {
		return rankText, 0
	}
	return rankNumber, f
}
