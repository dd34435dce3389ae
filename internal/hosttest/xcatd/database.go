package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	_ "github.com/go-sql-driver/mysql" // the three engines xCAT can be on
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// tables is the database that cfgloc names. Own SQL, not that of package
// database: what is tested must not be its own witness.
type tables struct {
	engine, dir string // dir of the SQLite files
	facts       []string
	db          *sql.DB // nil with SQLite, where each table has a file
}

var cfgloc = regexp.MustCompile(`^(Pg|mysql):dbname=([^;|]*);host=([^;|]*)(?:;port=(\d+))?\|([^|]*)\|(.*)$`)

func open() (*tables, error) {
	b, err := os.ReadFile("/etc/xcat/cfgloc")
	if errors.Is(err, os.ErrNotExist) {
		return &tables{engine: "SQLite", dir: "/etc/xcat", facts: []string{"dbengine=SQLite"}}, nil
	}
	if err != nil {
		return nil, err
	}
	m := cfgloc.FindStringSubmatch(strings.TrimSpace(string(b)))
	if m == nil {
		return nil, errors.New("cfgloc: no database in it")
	}
	name, host, port, user, password := m[2], m[3], m[4], m[5], m[6]
	t := &tables{engine: m[1], facts: []string{
		"cfgloc=" + m[1] + ":dbname=" + name + ";host=" + host + "|" + user, "dbengine=" + m[1], "dbname=" + name, "dbhost=" + host, "dbadmin=" + user,
	}}
	if m[1] == "Pg" {
		if port == "" {
			port = "5432"
		}
		t.db, err = sql.Open("pgx", fmt.Sprintf("host=%s port=%s dbname=%s user=%s password='%s' sslmode=disable connect_timeout=5", host, port, name, user, password))
	} else {
		if port == "" {
			port = "3306"
		}
		t.db, err = sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s:%s)/%s", user, password, host, port, name))
	}
	return t, err
}

// at calls fn with the database that has table name.
func (t *tables) at(name string, fn func(*sql.DB) error) error {
	if t.db != nil {
		return fn(t.db)
	}
	db, err := sql.Open("sqlite", filepath.Join(t.dir, name+".sqlite"))
	if err != nil {
		return err
	}
	return errors.Join(fn(db), db.Close())
}

// names are those of all tables.
func (t *tables) names(ctx context.Context) (all []string, err error) {
	if t.db == nil {
		files, err := filepath.Glob(filepath.Join(t.dir, "*.sqlite"))
		for _, f := range files {
			all = append(all, strings.TrimSuffix(filepath.Base(f), ".sqlite"))
		}
		return all, err
	}
	schema := "database()"
	if t.engine == "Pg" {
		schema = "current_schema()"
	}
	rows, err := t.db.QueryContext(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = "+schema+" ORDER BY 1")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	return all, rows.Err()
}

// dump is a table as tabdump shows it: a header and a line a row, unset values
// as nothing.
func (t *tables) dump(ctx context.Context, name string) (lines []string, err error) {
	if all, err := t.names(ctx); err != nil || !slices.Contains(all, name) {
		return nil, errors.Join(fmt.Errorf("No such table: %s", name), err) //nolint:staticcheck // xCAT's own words
	}
	err = t.at(name, func(db *sql.DB) error {
		rows, err := db.QueryContext(ctx, "SELECT * FROM "+t.quoted(name))
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		lines = append(lines, "#"+strings.Join(columns, ","))
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				return err
			}
			cells := make([]string, len(values))
			for i, v := range values {
				if v.String != "" {
					cells[i] = `"` + strings.ReplaceAll(v.String, `"`, `""`) + `"`
				}
			}
			lines = append(lines, strings.Join(cells, ","))
		}
		return rows.Err()
	})
	return lines, err
}

// column returns one column of a table, unset values as "".
func (t *tables) column(ctx context.Context, name, column string) (all []string, err error) {
	err = t.at(name, func(db *sql.DB) error {
		rows, err := db.QueryContext(ctx, "SELECT "+t.quoted(column)+" FROM "+t.quoted(name))
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var v sql.NullString
			if err := rows.Scan(&v); err != nil {
				return err
			}
			all = append(all, v.String)
		}
		return rows.Err()
	})
	return all, err
}

func (t *tables) exec(ctx context.Context, table, statement string) error {
	return t.at(table, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, statement)
		return err
	})
}

func (t *tables) quoted(name string) string {
	if t.engine == "mysql" {
		return "`" + name + "`"
	}
	return `"` + name + `"`
}
