package database

import "slices"

// mariaKind is how a column's values are read, written and compared.
type mariaKind int

const (
	mariaText   mariaKind = iota // characters, in the charset of the column
	mariaBytes                   // bytes of no charset
	mariaNumber                  // sorts by value
	mariaOther                   // dates and the like: by their text
)

func (c mariaColumn) kind() mariaKind {
	switch c.data {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year", "bit":
		return mariaNumber
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "geometry", "point", "linestring", "polygon",
		"multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		return mariaBytes
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set":
		return mariaText
	}
	return mariaOther
}

// value is the expression that gives the column's value as text that loses
// nothing. A FLOAT prints six digits, but all of them as the DOUBLE it is equal
// to. What the driver would make a Go number of is text already.
func (c mariaColumn) value() string {
	name := quoteMaria(c.Name)
	switch {
	case c.data == "float":
		return "CAST(" + name + " + 0e0 AS CHAR)"
	case c.data == "bit":
		return name + " + 0"
	case c.data == "double", c.kind() == mariaOther:
		return "CAST(" + name + " AS CHAR)"
	}
	return name
}

// bytes is the expression for the bytes of the value's UTF-8, which is what
// sorts the same on every engine: a collation folds and pads.
func (c mariaColumn) bytes() string {
	name := quoteMaria(c.Name)
	switch {
	case c.kind() == mariaBytes:
		return name
	case slices.Contains([]string{mariaCharset, "utf8mb3", "utf8", "ascii"}, c.charset):
		return "CAST(" + name + " AS BINARY)"
	case c.kind() == mariaText:
		return "CAST(CONVERT(" + name + " USING utf8mb4) AS BINARY)"
	}
	return "CAST(CONVERT(" + c.value() + " USING utf8mb4) AS BINARY)"
}

// mariaIsNumber is what parseReal takes for a number.
const mariaIsNumber = `'^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$'`

// sortedBy is the list of expressions that sort as Source.Rows promises.
// numeric says what the type that the schema declares makes of the column; the
// server's may be another.
func (c mariaColumn) sortedBy(numeric bool) []string {
	name := quoteMaria(c.Name)
	switch {
	case !numeric:
		return []string{c.bytes()}
	case c.kind() == mariaNumber:
		return []string{name}
	}
	// Numbers by value, then what is no number by its bytes. REGEXP takes no
	// bytes that are not UTF-8; in latin1 all are characters. An ENUM is a number
	// itself, but not the one it spells.
	text := "CONVERT(" + c.value() + " USING latin1)"
	is := text + " REGEXP " + mariaIsNumber
	return []string{"NOT (" + is + ")", "IF(" + is + ", " + text + " + 0e0, NULL)", "IF(" + is + ", NULL, " + c.bytes() + ")"}
}
