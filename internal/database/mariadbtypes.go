package database

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Limits of MariaDB and MySQL that decide types: https://mariadb.com/kb/en/innodb-limitations/
// and https://dev.mysql.com/doc/refman/8.4/en/innodb-limits.html.
const (
	mariaKeyBytes  = 3072  // of a key, ROW_FORMAT=DYNAMIC
	mariaRowBytes  = 65535 // of a row without its TEXT and BLOB columns
	mariaCharBytes = 4     // of a character of utf8mb4
	mariaKeyChars  = 128   // xCAT's choice for key columns (Table.pm)
	mariaShortText = 255   // VARCHARs longer than this may become TEXT

	mariaTextBytes       = 1<<16 - 1
	mariaMediumTextBytes = 1<<24 - 1
)

var (
	// mariaTypes are the types of a snapshot that are used as they are: they go
	// into SQL, and come from a stranger.
	mariaTypes = regexp.MustCompile(`^((var)?char\([0-9]{1,5}\)|(tiny|medium|long)?text|(var)?binary\([0-9]{1,5}\)|(tiny|medium|long)?blob` +
		`|(tiny|small|medium|big)?int(\([0-9]{1,3}\))?( unsigned)?( zerofill)?` +
		`|decimal\([0-9]{1,2},[0-9]{1,2}\)( unsigned)?|(float|double)( unsigned)?` +
		`|date|year(\(4\))?|(time|datetime|timestamp)(\([0-6]\))?)$`)
	mariaChars     = regexp.MustCompile(`(?i)^(?:var)?char\(([0-9]{1,9})\)$`)
	collationNames = regexp.MustCompile(`^[a-z0-9_]{1,60}$`)
)

// textType is the smallest type, from TEXT on, for texts of so many bytes.
func textType(longest int) string {
	switch {
	case longest <= mariaTextBytes:
		return "TEXT"
	case longest <= mariaMediumTextBytes:
		return "MEDIUMTEXT"
	}
	return "LONGTEXT"
}

// varchar is the type of a text of so many characters.
func mariaVarchar(chars int) string { return "VARCHAR(" + strconv.Itoa(chars) + ")" }

// charsOf is the n of VARCHAR(n) and CHAR(n), 0 for other types.
func charsOf(t string) int {
	m := mariaChars.FindStringSubmatch(t)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}

// textCapacity is how many characters of any kind (VARCHAR) or bytes (TEXT) the
// type takes, -1 if it is no text type.
func textCapacity(t string) int {
	switch strings.ToLower(t) {
	case "tinytext":
		return 255
	case "text":
		return mariaTextBytes
	case "mediumtext":
		return mariaMediumTextBytes
	case "longtext":
		return 1<<32 - 1
	}
	if n := charsOf(t); n > 0 {
		return n
	}
	return -1
}

// mariaColumnTypes are the types of a table that is to be made. Those a MariaDB
// had are kept where they hold what comes; for others they are xCAT's choice.
func mariaColumnTypes(shape Shape) ([]string, error) {
	s := shape.Schema
	types := make([]string, len(s.Columns))
	recorded := s.Collation != ""
	for i, c := range s.Columns {
		longest := shape.column(i).Longest
		declared := strings.ToLower(c.Type)
		known := recorded && mariaTypes.MatchString(declared)
		switch capacity := textCapacity(declared); {
		case c.Auto && !(known && affinityOf(declared) == affinityInteger):
			types[i] = "INTEGER"
			if s.Sequence != nil && *s.Sequence >= 1<<31-1 {
				types[i] = "BIGINT"
			}
		case c.Key > 0 && known && strings.HasSuffix(declared, "blob"):
			types[i] = "VARBINARY(" + strconv.Itoa(max(mariaKeyChars, longest)) + ")"
		case c.Key > 0 && (!known || strings.HasSuffix(declared, "text")):
			types[i] = mariaVarchar(max(mariaKeyChars, longest))
		case !known:
			types[i] = textType(longest)
		case capacity < 0 || longest <= capacity:
			types[i] = declared
		case c.Key > 0:
			types[i] = mariaVarchar(longest)
		default:
			types[i] = textType(longest)
		}
	}
	if err := fitKey(shape, types); err != nil {
		return nil, err
	}
	fitRow(s, types)
	return types, nil
}

// fitKey makes the key's columns as short as the rows allow, if it were too
// long for an index of utf8mb4.
func fitKey(shape Shape, types []string) error {
	length := func() (bytes int) {
		for i, c := range shape.Schema.Columns {
			if c.Key > 0 {
				bytes += max(8, charsOf(types[i])*mariaCharBytes)
			}
		}
		return bytes
	}
	if length() <= mariaKeyBytes {
		return nil
	}
	for i, c := range shape.Schema.Columns {
		if c.Key > 0 && charsOf(types[i]) > 0 {
			types[i] = mariaVarchar(max(1, shape.column(i).Longest))
		}
	}
	if n := length(); n > mariaKeyBytes {
		return fmt.Errorf("key: %d bytes in utf8mb4, MariaDB takes %d: its values are too long", n, mariaKeyBytes)
	}
	return nil
}

// fitRow makes TEXT of the longest VARCHARs until a row can hold the rest.
func fitRow(s Schema, types []string) {
	for {
		total, longest, at := 0, mariaShortText, -1
		for i, c := range s.Columns {
			chars := charsOf(types[i])
			total += max(16, chars*mariaCharBytes+2)
			if c.Key == 0 && chars > longest {
				longest, at = chars, i
			}
		}
		if total <= mariaRowBytes || at < 0 {
			return
		}
		types[at] = textType(longest * mariaCharBytes)
	}
}
