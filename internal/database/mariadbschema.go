package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// mariaTable is a table as information_schema has it.
type mariaTable struct {
	name      string
	engine    string // "InnoDB"
	collation string // default of its columns
	rowFormat string
	next      int64 // AUTO_INCREMENT, 0 for none
	versioned bool  // SYSTEM VERSIONED: keeps old rows
	columns   []mariaColumn
}

// mariaColumn is a column of one.
type mariaColumn struct {
	Column           // Type is COLUMN_TYPE, "varchar(128)"
	data      string // DATA_TYPE, "varchar"
	charset   string // "" where the column holds no text
	collation string
	chars     int64  // length limit of a text in characters, of others in bytes
	octets    int64  // length limit in bytes
	generated bool   // computed from others
	standard  string // DEFAULT, "" for none or NULL
}

// innoDB says that the table is read at a moment, and written in transactions.
func (t mariaTable) innoDB() bool { return t.engine == "InnoDB" }

// column finds a column as the server does, without regard to case.
func (t mariaTable) column(name string) (mariaColumn, bool) {
	i := slices.IndexFunc(t.columns, func(c mariaColumn) bool { return strings.EqualFold(c.Name, name) })
	if i < 0 {
		return mariaColumn{}, false
	}
	return t.columns[i], true
}

// schema is what a snapshot says of the table.
func (t mariaTable) schema() Schema {
	s := Schema{Table: t.name, Collation: t.collation}
	for _, c := range t.columns {
		if !c.generated {
			s.Columns = append(s.Columns, c.Column)
		}
	}
	if t.next > 1 {
		last := t.next - 1
		s.Sequence = &last
	}
	return s
}

// sameDefinitions compares all but the number that every new row counts up.
func sameDefinitions(a, b []mariaTable) bool {
	definition := func(t mariaTable) string {
		t.next = 0
		return fmt.Sprintf("%+v", t)
	}
	return slices.EqualFunc(a, b, func(a, b mariaTable) bool { return definition(a) == definition(b) })
}

// errMariaClosed is true for a moment of a table that is being made or dropped.
var errMariaClosed = errors.New("the server cannot open it: it is damaged, or its engine is gone")

// tables reads what tables the database has, sorted by name.
func (c *mariaConn) tables(ctx context.Context) ([]mariaTable, error) {
	var all []mariaTable
	err := c.each(ctx, `SELECT TABLE_NAME, COALESCE(ENGINE, ''), COALESCE(TABLE_COLLATION, ''), COALESCE(ROW_FORMAT, ''),
		COALESCE(AUTO_INCREMENT, 0), TABLE_TYPE = 'SYSTEM VERSIONED'
		FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')`,
		[]any{c.database}, func(rows *sql.Rows) error {
			var t mariaTable
			if err := rows.Scan(&t.name, &t.engine, &t.collation, &t.rowFormat, &t.next, &t.versioned); err != nil {
				return err
			}
			if t.engine == "" {
				return fmt.Errorf("table %q: %w", t.name, errMariaClosed)
			}
			all = append(all, t)
			return nil
		})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b mariaTable) int { return strings.Compare(a.name, b.name) })
	if err := c.columns(ctx, all); err != nil {
		return nil, err
	}
	return all, c.keys(ctx, all)
}

// findTable finds the place of name in tables sorted by it.
func findTable(tables []mariaTable, name string) (int, bool) {
	return slices.BinarySearchFunc(tables, name, func(t mariaTable, n string) int { return strings.Compare(t.name, n) })
}

func (c *mariaConn) columns(ctx context.Context, tables []mariaTable) error {
	return c.each(ctx, `SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, LOWER(DATA_TYPE), IS_NULLABLE = 'NO',
		COALESCE(CHARACTER_SET_NAME, ''), COALESCE(COLLATION_NAME, ''),
		COALESCE(CHARACTER_MAXIMUM_LENGTH, 0), COALESCE(CHARACTER_OCTET_LENGTH, 0),
		EXTRA LIKE '%auto_increment%', COALESCE(GENERATION_EXPRESSION, '') <> '', COALESCE(COLUMN_DEFAULT, 'NULL')
		FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, ORDINAL_POSITION`,
		[]any{c.database}, func(rows *sql.Rows) error {
			var table string
			var col mariaColumn
			if err := rows.Scan(&table, &col.Name, &col.Type, &col.data, &col.NotNull, &col.charset, &col.collation,
				&col.chars, &col.octets, &col.Auto, &col.generated, &col.standard); err != nil {
				return err
			}
			if col.standard == "NULL" {
				col.standard = ""
			}
			if at, found := findTable(tables, table); found { // views have columns as well
				tables[at].columns = append(tables[at].columns, col)
			}
			return nil
		})
}

func (c *mariaConn) keys(ctx context.Context, tables []mariaTable) error {
	return c.each(ctx, `SELECT TABLE_NAME, COLUMN_NAME, SEQ_IN_INDEX FROM information_schema.STATISTICS
		WHERE TABLE_SCHEMA = ? AND INDEX_NAME = 'PRIMARY'`, []any{c.database}, func(rows *sql.Rows) error {
		var table, column string
		var place int
		if err := rows.Scan(&table, &column, &place); err != nil {
			return err
		}
		at, found := findTable(tables, table)
		if !found {
			return nil
		}
		for i := range tables[at].columns {
			col := &tables[at].columns[i]
			if col.Name != column {
				continue
			}
			if col.generated {
				return fmt.Errorf("table %q: column %q: is computed and in the key, which a snapshot cannot carry", table, column)
			}
			col.Key = place
		}
		return nil
	})
}
