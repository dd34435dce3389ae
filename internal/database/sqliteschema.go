package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// object is one row of sqlite_schema.
type object struct {
	kind, name, table string
	sql               sql.NullString
}

// objects reads sqlite_schema in the order its objects were made.
func (c *connection) objects(ctx context.Context) ([]object, error) {
	rows, err := c.QueryContext(ctx, "SELECT type, name, tbl_name, sql FROM main.sqlite_schema ORDER BY rowid")
	if err != nil {
		return nil, sqliteError(err)
	}
	defer func() { _ = rows.Close() }()
	var all []object
	for rows.Next() {
		var o object
		if err := rows.Scan(&o.kind, &o.name, &o.table, &o.sql); err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, sqliteError(rows.Err())
}

// errNoTable says that a file holds no table at all.
var errNoTable = errors.New("holds no table")

// schema reads what table is. Objects of the file that are no part of it are
// returned as others. The error is errNoTable where the file holds nothing.
func (c *connection) schema(ctx context.Context, table string) (s Schema, others []object, err error) {
	objects, err := c.objects(ctx)
	if err != nil {
		return s, nil, err
	}
	s = Schema{Table: table, SQLite: &SQLiteFacts{}}
	var tables []string
	for _, o := range objects {
		ours := strings.EqualFold(o.table, table)
		switch {
		case o.kind == "table" && o.name == table:
			s.SQLite.SQL = o.sql.String
		case o.kind == "index" && ours && o.sql.Valid:
			s.SQLite.Indexes = append(s.SQLite.Indexes, o.sql.String)
		case o.kind == "index" && ours, o.name == "sqlite_sequence":
			// follow from the table's own statement
		default:
			others = append(others, o)
		}
		if o.kind == "table" && !strings.HasPrefix(o.name, "sqlite_") {
			tables = append(tables, o.name)
		}
	}
	switch {
	case len(tables) == 0 && len(others) == 0:
		return s, nil, errNoTable
	case s.SQLite.SQL == "":
		return s, nil, fmt.Errorf("holds table %q, not %q as its name says", strings.Join(tables, `", "`), table)
	}
	if err := c.columns(ctx, &s); err != nil {
		return s, nil, err
	}
	return s, others, c.pragmas(ctx, &s)
}

func (c *connection) columns(ctx context.Context, s *Schema) error {
	rows, err := c.QueryContext(ctx, `SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?)`, s.Table)
	if err != nil {
		return sqliteError(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var col Column
		var hidden int
		if err := rows.Scan(&col.Name, &col.Type, &col.NotNull, &col.Key, &hidden); err != nil {
			return err
		}
		if hidden != 0 {
			return fmt.Errorf("column %q: is generated, which a snapshot cannot carry", col.Name)
		}
		s.Columns = append(s.Columns, col)
	}
	return sqliteError(rows.Err())
}

func (c *connection) pragmas(ctx context.Context, s *Schema) error {
	f := s.SQLite
	for name, to := range map[string]any{
		"encoding": &f.Encoding, "page_size": &f.PageSize, "auto_vacuum": &f.AutoVacuum,
		"user_version": &f.UserVersion, "application_id": &f.ApplicationID,
	} {
		if err := c.one(ctx, "PRAGMA main."+name, to); err != nil {
			return fmt.Errorf("pragma %s: %w", name, err)
		}
	}
	if f.Encoding == defaultCoding {
		f.Encoding = ""
	}
	if f.PageSize == defaultPage {
		f.PageSize = 0
	}
	t, err := newTokens(f.SQL)
	if err != nil {
		return fmt.Errorf("create statement: %w", err)
	}
	if !t.has("AUTOINCREMENT") {
		return nil
	}
	for i, col := range s.Columns {
		s.Columns[i].Auto = col.Key == 1 // the only kind of column that can be
	}
	var last int64
	err = c.one(ctx, "SELECT seq FROM main.sqlite_sequence WHERE name = ?", &last, s.Table)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	s.Sequence = &last
	return err
}

// keyTellsRows reports whether no two rows have the same key, so that the rows
// can be read in the order of its index. SQLite takes NULL in a key, and any
// number of them (https://www.sqlite.org/lang_createtable.html, "The PRIMARY KEY").
func (c *connection) keyTellsRows(ctx context.Context, s Schema) (bool, error) {
	var null []string
	for _, col := range s.Columns {
		if col.Key > 0 {
			null = append(null, quoteName(col.Name)+" IS NULL")
		}
	}
	if len(null) == 0 {
		return false, nil
	}
	var some bool
	err := c.one(ctx, "SELECT EXISTS (SELECT 1 FROM main."+quoteName(s.Table)+" WHERE "+strings.Join(null, " OR ")+")", &some)
	return !some, err
}

// rows reads table in the order Source.Rows promises.
func (c *connection) rows(ctx context.Context, s Schema, fn func([]Value) error) error {
	values, sorted := make([]string, len(s.Columns)), make([]string, len(s.Columns))
	kinds := make([]affinity, len(s.Columns))
	for i, col := range s.Columns {
		// The sign changes nothing but that the driver sees no declared type,
		// by which it would make times out of texts.
		values[i] = "+" + quoteName(col.Name)
		kinds[i] = affinityOf(col.Type)
	}
	unique, err := c.keyTellsRows(ctx, s)
	if err != nil {
		return err
	}
	for i, at := range s.order() {
		sorted[i] = quoteName(s.Columns[at].Name) + " COLLATE BINARY"
		if unique && s.Columns[at].Key == 0 {
			sorted = sorted[:i]
			break
		}
	}
	query := "SELECT " + strings.Join(values, ", ") + " FROM main." + quoteName(s.Table) +
		" ORDER BY " + strings.Join(sorted, ", ")
	rows, err := c.QueryContext(ctx, query)
	if err != nil {
		return sqliteError(err)
	}
	defer func() { _ = rows.Close() }()
	raw, to, row := make([]any, len(values)), make([]any, len(values)), make([]Value, len(values))
	for i := range raw {
		to[i] = &raw[i]
	}
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return err
		}
		for i, v := range raw {
			if row[i], err = valueOf(v, kinds[i]); err != nil {
				return fmt.Errorf("column %q: %w", s.Columns[i].Name, err)
			}
		}
		if err := fn(row); err != nil {
			return err
		}
	}
	return sqliteError(rows.Err())
}

func valueOf(v any, a affinity) (Value, error) {
	switch v := v.(type) {
	case nil:
		return Value{Null: true}, nil
	case string:
		return Value{Text: v}, nil
	case []byte:
		return Value{Text: string(v), Class: ClassBlob}, nil
	case int64:
		return integerValue(v, a), nil
	case float64:
		return realValue(v, a), nil
	}
	return Value{}, fmt.Errorf("value of Go type %T", v)
}
