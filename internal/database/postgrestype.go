package database

import (
	"encoding/binary"
	"slices"
	"strings"
)

// postgresKind is what becomes of a column's values on the way, and how they
// sort.
type postgresKind int

const (
	// postgresOther is any type that sorts as the text it prints as: t and f of a
	// boolean and a date as ISO 8601 has it among them.
	postgresOther  postgresKind = iota
	postgresNumber              // sorts by value
	postgresText
	postgresPadded // character(n): blanks at the end are the server's, and are kept
	postgresBytes  // bytea: a ClassBlob
)

// postgresType knows the types a snapshot carries by their name, in the words
// of format_type
// (https://www.postgresql.org/docs/current/functions-info.html). All others,
// json or an enum say, are carried as text. What it knows may be put into SQL
// as it stands: nothing but the names here and digits passes.
func postgresType(declared string) (k postgresKind, known bool) {
	base, args, found := strings.Cut(declared, "(")
	if found {
		var after string
		if args, after, found = strings.Cut(args, ")"); !found || args == "" || strings.Trim(args, "0123456789,") != "" {
			return postgresOther, false
		}
		base += after
	}
	switch base {
	case "text":
		return postgresText, !found
	case "character varying":
		return postgresText, true
	case "character":
		return postgresPadded, true
	case "smallint", "integer", "bigint", "real", "double precision":
		return postgresNumber, !found
	case "numeric":
		return postgresNumber, true
	case "bytea":
		return postgresBytes, !found
	case "boolean", "date":
		return postgresOther, !found
	}
	times := []string{
		"timestamp without time zone", "timestamp with time zone", "time without time zone", "time with time zone",
	}
	return postgresOther, slices.Contains(times, base)
}

// textOf is the SQL of col's value as a text that sorts as the one it is given as.
func (k postgresKind) textOf(col string) string {
	if k == postgresPadded { // a cast would strip the blanks
		return "textin(bpcharout(" + col + "))"
	}
	return col + "::text"
}

// plainNumber is what the server and parseReal take for the same number.
const plainNumber = `'^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?$'`

// sortBy is the ORDER BY list that sorts col as compareValues does. numeric is
// what newRowOrder says of the schema's column, which may be another engine's.
func (k postgresKind) sortBy(col string, numeric bool) string {
	text := k.textOf(col)
	switch {
	case k == postgresBytes, k == postgresNumber && numeric:
		return col + " NULLS FIRST"
	case !numeric:
		return text + ` COLLATE "C" NULLS FIRST`
	}
	// Numbers come before what is none, as in a column without a type of its own.
	isNumber := text + " ~ " + plainNumber
	return "CASE WHEN " + text + " = '-infinity' THEN 0 WHEN " + isNumber + " THEN 1 WHEN " + text + " = 'infinity' THEN 2 " +
		"WHEN " + col + " IS NOT NULL THEN 3 END NULLS FIRST, " +
		"CASE WHEN " + isNumber + " THEN (" + text + ")::numeric END, " + text + ` COLLATE "C"`
}

// appendLatin appends the bytes that the UTF-8 text stands for where all of its
// characters are of U+0000 to U+00FF. Otherwise ok is false, and buf as it was.
//
// xCAT's Perl hands its bytes to DBD::Pg as characters, one for each byte, and
// takes them back in the same way: what is "ü" to xCAT, C3 BC, lies in a
// database in UTF8 as U+00C3 U+00BC. A program that is not xCAT may have stored
// what no byte stands for.
func appendLatin(buf, text []byte) (_ []byte, ok bool) {
	start := len(buf)
	for {
		n := asciiLength(text)
		buf, text = append(buf, text[:n]...), text[n:]
		switch {
		case len(text) == 0:
			return buf, true
		case text[0] != 0xC2 && text[0] != 0xC3 || len(text) == 1:
			return buf[:start], false
		}
		buf, text = append(buf, text[0]<<6|text[1]&0x3F), text[2:]
	}
}

// asciiLength is how many bytes b begins with that are below 0x80, which all of
// them are, nearly always.
func asciiLength(b []byte) int {
	n := 0
	for len(b)-n >= 8 && binary.LittleEndian.Uint64(b[n:])&0x8080808080808080 == 0 {
		n += 8
	}
	for n < len(b) && b[n] < 0x80 {
		n++
	}
	return n
}
