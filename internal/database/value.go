package database

import (
	"math"
	"strconv"
	"strings"
)

// Value is one field of a row. The zero Value is the empty text, which is not
// NULL: xCAT treats a row whose "disable" is ” otherwise than one where it is
// NULL.
type Value struct {
	// Text is the value as the engine prints it, any bytes; "" if Null.
	Text string
	Null bool
	// Class is "" for all but the rare value that would not come back the same
	// if Text were stored in its column.
	Class Class
}

// Class is the storage class of a value that is an exception to its column's
// type: SQLite lets a row hold any class in any column
// (https://www.sqlite.org/datatype3.html).
type Class string

// The classes. Text of a ClassBlob is the raw bytes.
const (
	ClassBlob    Class = "blob"
	ClassInteger Class = "integer"
	ClassReal    Class = "real"
	// ClassUnicode is a text of a PostgreSQL database in UTF8 with characters
	// above U+00FF. All others there are the characters U+0000 to U+00FF that stand
	// for the bytes xCAT has: see the Postgres source.
	ClassUnicode Class = "unicode"
)

// affinity is what a column does to a value stored in it.
type affinity int

const (
	affinityNone affinity = iota // keeps every class as it is
	affinityText
	affinityInteger
	affinityReal
	affinityNumeric
)

// affinityOf follows https://www.sqlite.org/datatype3.html, section 3.1. The
// types of the other engines fall into the same classes.
func affinityOf(declared string) affinity {
	t := strings.ToUpper(declared)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(t, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("INT"):
		return affinityInteger
	case has("CHAR", "CLOB", "TEXT"):
		return affinityText
	case t == "" || has("BLOB"):
		return affinityNone
	case has("REAL", "FLOA", "DOUB"):
		return affinityReal
	default:
		return affinityNumeric
	}
}

// numeric reports whether values of the column sort as numbers.
func (a affinity) numeric() bool { return a >= affinityInteger }

func integerValue(i int64, a affinity) Value {
	v := Value{Text: strconv.FormatInt(i, 10)}
	if !a.numeric() {
		v.Class = ClassInteger
	}
	return v
}

func realValue(f float64, a affinity) Value {
	v := Value{Text: formatReal(f)}
	if !a.numeric() {
		v.Class = ClassReal
	}
	return v
}

// formatReal prints f as SQLite does, with as many digits as it takes to read
// the same number again where SQLite would stop at 15.
func formatReal(f float64) string {
	if math.IsInf(f, 0) { // SQLite prints Inf, which it does not read
		if f < 0 {
			return "-9.0e+999"
		}
		return "9.0e+999"
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(s, "e")
	if e, err := strconv.Atoi(exponent); err == nil && e >= -4 && e < 15 {
		s = strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	return mantissa + "e" + exponent
}
