package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// postgresTable is a table as the server's catalog has it
// (https://www.postgresql.org/docs/current/catalogs.html).
type postgresTable struct {
	oid         string
	space, name string // schema and table
	partitioned bool   // has no rows of its own
	columns     []postgresColumn
	// sequence is the SQL name of the sequence that numbers the Auto column, and
	// last what it gave last, nil if it never did.
	sequence string
	last     *int64
}

type postgresColumn struct {
	Column
	kind postgresKind
	// typ is the type as the server has it, where Type is what a snapshot says.
	typ       string
	generated bool   // computed from other columns
	fallback  string // default, but for that of an Auto column
}

// quoted is the table's name in SQL.
func (t postgresTable) quoted() string { return quoteName(t.space) + "." + quoteName(t.name) }

// rowsOf is where the table's own rows are read: those of tables that inherit
// from it are theirs.
func (t postgresTable) rowsOf() string {
	if t.partitioned {
		return t.quoted()
	}
	return "ONLY " + t.quoted()
}

func (t postgresTable) schema() Schema {
	s := Schema{Table: t.name, Sequence: t.last}
	for _, c := range t.columns {
		s.Columns = append(s.Columns, c.Column)
	}
	return s
}

// column finds a column by its name.
func (t postgresTable) column(name string) (postgresColumn, bool) {
	i := slices.IndexFunc(t.columns, func(c postgresColumn) bool { return c.Name == name })
	if i < 0 {
		return postgresColumn{}, false
	}
	return t.columns[i], true
}

// hasKey reports whether the table has a primary key, by which its rows differ.
func (t postgresTable) hasKey() bool {
	return slices.ContainsFunc(t.columns, func(c postgresColumn) bool { return c.Key > 0 })
}

// userSchema is the condition for what is not the server's own.
const userSchema = `n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'`

// listTables lists the tables that xCAT sees, those on the search path, sorted
// by name and without columns. Partitions are part of another table.
func (c *postgresConn) listTables(ctx context.Context) ([]postgresTable, error) {
	rows, err := c.query(ctx, `SELECT c.oid, n.nspname, c.relname, c.relkind = 'p'
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND `+userSchema+` AND pg_catalog.pg_table_is_visible(c.oid)
ORDER BY c.relname COLLATE "C"`)
	if err != nil {
		return nil, fmt.Errorf("list of tables: %w", err)
	}
	tables := make([]postgresTable, len(rows))
	for i, r := range rows {
		tables[i] = postgresTable{oid: r[0], space: r[1], name: r[2], partitioned: r[3] == "t"}
		if err := checkTableName(r[2]); err != nil {
			return nil, fmt.Errorf("table %.60q: %w", r[2], err)
		}
	}
	return tables, nil
}

// oids is a list of tables as a parameter of SQL.
func oids(tables []postgresTable) string {
	all := make([]string, len(tables))
	for i, t := range tables {
		all[i] = t.oid
	}
	return "{" + strings.Join(all, ",") + "}"
}

// columnsOf lists the columns of tables. Its rows end with the default, "" if
// there is none, and the sequence that belongs to the column. By way of JSON it
// asks for what PostgreSQL 10 and 11 do not have: a key with other columns beside
// it, and generated columns.
const columnsOf = `SELECT a.attrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
  coalesce((SELECT k.place FROM pg_catalog.pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place)
    WHERE i.indrelid = a.attrelid AND i.indisprimary AND k.attnum = a.attnum AND k.place <= coalesce((to_jsonb(i) ->> 'indnkeyatts')::int, i.indnatts)), 0),
  a.attidentity <> '', coalesce(to_jsonb(a) ->> 'attgenerated', '') <> '', pg_catalog.pg_get_expr(d.adbin, d.adrelid),
  pg_catalog.pg_get_serial_sequence(quote_ident(n.nspname) || '.' || quote_ident(c.relname), a.attname)
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum`

// describe fills in the columns and sequences of tables.
func (c *postgresConn) describe(ctx context.Context, tables []postgresTable) error {
	rows, err := c.query(ctx, columnsOf, oids(tables))
	if err != nil {
		return fmt.Errorf("list of columns: %w", err)
	}
	byOID := map[string]*postgresTable{}
	for i := range tables {
		byOID[tables[i].oid] = &tables[i]
	}
	for _, r := range rows {
		if err := byOID[r[0]].addColumn(r[1:]); err != nil {
			return err
		}
	}
	for i := range tables {
		t := &tables[i]
		if err := t.schema().Validate(); err != nil {
			return err
		}
		if err := c.readSequence(ctx, t); err != nil {
			return fmt.Errorf("table %q: sequence: %w", t.name, err)
		}
	}
	return nil
}

// addColumn takes a row of columnsOf.
func (t *postgresTable) addColumn(r []string) error {
	place, err := strconv.Atoi(r[3])
	if err != nil {
		return fmt.Errorf("table %q: column %q: place in the key: %w", t.name, r[0], err)
	}
	col := postgresColumn{
		Column: Column{Name: r[0], Type: r[1], NotNull: r[2] == "t", Key: place},
		typ:    r[1], generated: r[5] == "t", fallback: r[6],
	}
	kind, known := postgresType(col.Type)
	col.kind = kind
	if !known {
		col.Type = "text" // it is carried as such
	}
	// A schema has one sequence; a table with two of them does not exist in xCAT.
	numbered := r[4] == "t" || strings.HasPrefix(col.fallback, "nextval(")
	if sequence := r[7]; sequence != "" && numbered && t.sequence == "" {
		col.Auto, col.fallback, t.sequence = true, "", sequence
	}
	t.columns = append(t.columns, col)
	return nil
}

// readSequence reads what the table's sequence gave last. Sequences are outside
// of transactions: it may be a later number than any row of the moment has.
func (c *postgresConn) readSequence(ctx context.Context, t *postgresTable) error {
	t.last = nil
	if t.sequence == "" {
		return nil
	}
	rows, err := c.query(ctx, `SELECT s.last_value, s.is_called, q.seqstart, q.seqincrement
FROM `+t.sequence+` s, pg_catalog.pg_sequence q WHERE q.seqrelid = $1::regclass`, t.sequence)
	if err != nil {
		return err
	}
	if len(rows) != 1 {
		return errors.New("is not in the catalog")
	}
	var n [3]int64
	for i, at := range []int{0, 2, 3} {
		if n[i], err = strconv.ParseInt(rows[0][at], 10, 64); err != nil {
			return err
		}
	}
	value, start, increment := n[0], n[1], n[2]
	switch called := rows[0][1] == "t"; {
	case called:
		t.last = &value
	case value != start: // restarted behind a number, as PostgresTarget does
		value -= increment
		t.last = &value
	}
	return nil
}
