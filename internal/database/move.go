package database

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Obstacle is something of a table that another engine cannot hold as it is. It
// names the place and never shows the value.
type Obstacle struct {
	Table  string
	Column string // "" where it is about the table
	// First and Last are the rows it is about, counted from 1 in the order of the
	// CSV; only First where others may follow; 0 where it is no row's.
	First, Last int64
	What        string
}

// String is the obstacle as one line.
func (o Obstacle) String() string {
	s := "table " + strconv.Quote(o.Table)
	if o.Column != "" {
		s += ": column " + strconv.Quote(o.Column)
	}
	switch {
	case o.First == 0:
	case o.Last > o.First:
		s += fmt.Sprintf(": rows %d to %d", o.First, o.Last)
	default:
		s += fmt.Sprintf(": row %d", o.First)
	}
	return s + ": " + o.What
}

// CheckMove lists what of tables that come from one engine would not survive in
// another. It asks no server, so that a plan can say it; KeyCheck says the rest,
// which takes all keys of a table. Where neither finds anything, each table has
// the same rows in the same order in the new engine, and so the same digest.
//
// It errs on the safe side in two places: the width of a key is taken from its
// columns' longest values, though they may be in different rows, and each byte
// above 0x7F counts as two in PostgreSQL.
func CheckMove(from, to Engine, shapes []Shape) []Obstacle {
	if from == to {
		return nil
	}
	var m mover
	for _, shape := range shapes {
		m.Shape, m.to = shape, to
		m.classes()
		m.names()
		m.numbering()
		m.key()
		for i, col := range shape.Schema.Columns {
			if i < len(shape.Survey.Columns) {
				m.column(col, shape.Survey.Columns[i])
			}
		}
	}
	return m.found
}

// mover checks one table after the other.
type mover struct {
	Shape
	to    Engine
	found []Obstacle
}

func (m *mover) add(column string, row int64, format string, args ...any) {
	m.found = append(m.found, Obstacle{
		Table: m.Schema.Table, Column: column, First: row, Last: row, What: fmt.Sprintf(format, args...),
	})
}

// classes: a class of value that only the source's column can have becomes
// another value, if only to who asks for its type.
func (m *mover) classes() {
	for _, r := range m.Schema.Classes {
		m.found = append(m.found, Obstacle{
			Table: m.Schema.Table, Column: m.Schema.Columns[r.Column].Name, First: r.First, Last: r.Last,
			What: fmt.Sprintf("%s where the column holds none", r.Class),
		})
	}
}

// Limits of the servers, which cut a name that is too long, or refuse the table.
// PostgreSQL: appendix K of its manual. MariaDB: "Identifier Names" and "InnoDB
// Limitations" of its own.
const (
	postgresName, mariadbName       = 63, 64 // bytes, characters
	postgresColumns, mariadbColumns = 1600, 1017
	postgresKey, mariadbKey         = 2600, 3072 // bytes in an index; the first is 2704 with what a row needs
	mariadbCharacter                = 4          // bytes each character of a key counts, whatever it is
	integerWidth                    = 8
)

func (m *mover) names() {
	long := func(string) bool { return false }
	most := maxColumns
	switch m.to {
	case EnginePostgres:
		most = postgresColumns
		long = func(s string) bool { return len(s) > postgresName }
	case EngineMariaDB:
		most = mariadbColumns
		long = func(s string) bool { return utf8.RuneCountInString(s) > mariadbName }
	case EngineSQLite:
	}
	if long(m.Schema.Table) {
		m.add("", 0, "name is too long for %s", m.to)
	}
	for _, col := range m.Schema.Columns {
		if long(col.Name) {
			m.add(col.Name, 0, "name is too long for %s", m.to)
		}
	}
	if n := len(m.Schema.Columns); n > most {
		m.add("", 0, "%d columns, %s has at most %d", n, m.to, most)
	}
}

// numbering: the engines differ in what they can number.
func (m *mover) numbering() {
	keys, auto := 0, 0
	for _, col := range m.Schema.Columns {
		if col.Key > 0 {
			keys++
		}
		if col.Auto {
			auto++
		}
	}
	for _, col := range m.Schema.Columns {
		switch {
		case !col.Auto:
		case m.to == EngineSQLite && (col.Key != 1 || keys > 1):
			m.add(col.Name, 0, "is numbered by the engine, which SQLite does for the only column of a key")
		case m.to == EngineMariaDB && auto > 1:
			m.add(col.Name, 0, "is numbered by the engine, which MariaDB does for one column of a table")
		}
	}
}

// key: an index holds less than a table, and rows are told apart and sorted by
// what is in it.
func (m *mover) key() {
	inKey := false
	for _, col := range m.Schema.Columns {
		inKey = inKey || col.Key > 0
	}
	width := 0
	for i, col := range m.Schema.Columns {
		kind := affinityOf(col.Type)
		if stays := kind == affinityInteger && m.keepsIntegers(col); kind.numeric() && !stays && (col.Key > 0) == inKey {
			m.add(col.Name, 0, "its numbers, by which rows are sorted, become text")
		}
		if col.Key == 0 {
			continue
		}
		var s ColumnSurvey
		if i < len(m.Survey.Columns) {
			s = m.Survey.Columns[i]
		}
		width += m.keyWidth(col, s)
		if s.Null > 0 && m.to != EngineSQLite {
			m.add(col.Name, s.Null, "NULL in a column of the key, which only SQLite has")
		}
	}
	most := 0
	switch m.to {
	case EnginePostgres:
		most = postgresKey
	case EngineMariaDB:
		most = mariadbKey
	case EngineSQLite:
	}
	if most > 0 && width > most {
		m.add("", 0, "key takes up to %d bytes, an index of %s holds %d", width, m.to, most)
	}
}

// keyWidth is how many bytes col takes in an index.
func (m *mover) keyWidth(col Column, s ColumnSurvey) int {
	switch {
	case affinityOf(col.Type) == affinityInteger:
		return integerWidth
	case m.to == EngineMariaDB: // counts the declared width, made as small as need be
		return mariadbCharacter * max(1, s.Longest)
	case s.Wide > 0: // a byte is a character, which has two bytes in UTF-8
		return 2 * s.Longest
	default:
		return s.Longest
	}
}

func (m *mover) column(col Column, s ColumnSurvey) {
	if s.Null > 0 && col.NotNull && col.Key == 0 {
		m.add(col.Name, s.Null, "NULL in a column that has none by its own schema")
	}
	if s.Zero > 0 && m.to == EnginePostgres {
		m.add(col.Name, s.Zero, "byte 0, which PostgreSQL does not hold in a text")
	}
	if s.NotUTF8 > 0 && m.to == EngineMariaDB {
		m.add(col.Name, s.NotUTF8, "bytes that are no UTF-8, which MariaDB does not hold in a text")
	}
	if s.NotInteger > 0 && affinityOf(col.Type) == affinityInteger && m.keepsIntegers(col) {
		m.add(col.Name, s.NotInteger, "no integer in a column of integers")
	}
}

// keepsIntegers reports whether a column of integers is one in the new engine
// too: a table that is made in MariaDB has integers only where it numbers rows.
func (m *mover) keepsIntegers(col Column) bool { return m.to != EngineMariaDB || col.Auto }
