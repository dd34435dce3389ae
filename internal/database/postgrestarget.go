package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/xcrate/xcrate/artifact"
)

// PostgresTarget is a Target that is one transaction on a PostgreSQL server,
// tables that it makes included: what was not committed never was.
//
// Texts are stored as Postgres reads them. It refuses what would not be read
// again as it was written: a byte 0, which PostgreSQL has no place for; a
// ClassUnicode in a database of another encoding than UTF8; and the classes of
// SQLite in columns of another type.
type PostgresTarget struct {
	conn   *postgresConn
	login  Location
	tables map[string]postgresTable // those that Prepare was given
	shapes map[string]Schema
	failed error // the server has given up the transaction since
}

// OpenPostgresTarget logs in at l and begins the transaction.
func OpenPostgresTarget(ctx context.Context, l Location) (*PostgresTarget, error) {
	conn, err := connectPostgres(ctx, l)
	if err != nil {
		return nil, err
	}
	t := &PostgresTarget{conn: conn, login: l}
	// READ COMMITTED sees what was committed before a lock was had.
	err = conn.exec(ctx, "SET lock_timeout = '60s'; SET synchronous_commit = on; BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("database %q: %w", l.Name, err), t.Close())
	}
	return t, nil
}

// Engine implements Target.
func (*PostgresTarget) Engine() Engine { return EnginePostgres }

// do keeps the first error of an act.
func (t *PostgresTarget) do(act func() error) error {
	if t.failed != nil {
		return fmt.Errorf("database %q: an earlier step failed: %w", t.login.Name, t.failed)
	}
	t.failed = act()
	return t.failed
}

// Put implements Target. Rows are taken away by TRUNCATE: it is undone with the
// transaction, leaves nothing to be cleaned up, runs no rule or trigger of the
// table, and refuses a table that a foreign key of another refers to, where
// DELETE might take rows of that one. Readers on other machines wait for the
// end of the transaction.
func (t *PostgresTarget) Put(ctx context.Context, s Schema, csv io.Reader) (got artifact.Table, err error) {
	table, found := t.tables[s.Table]
	if !found || !slices.Equal(t.shapes[s.Table].names(), s.names()) {
		return got, fmt.Errorf("table %q: was not prepared", s.Table)
	}
	err = t.do(func() error {
		got, err = t.put(ctx, table, s, csv)
		return err
	})
	return got, err
}

func (t *PostgresTarget) put(ctx context.Context, table postgresTable, s Schema, csv io.Reader) (artifact.Table, error) {
	if err := t.truncate(ctx, table); err != nil {
		return artifact.Table{}, err
	}
	rows, err := t.conn.copyIn(ctx, table, s, csv)
	if err != nil {
		return artifact.Table{}, err
	}
	if err := t.setSequence(ctx, table, s); err != nil {
		return artifact.Table{}, fmt.Errorf("table %q: sequence: %w", s.Table, err)
	}
	got, err := t.conn.summarise(ctx, table, s)
	if err != nil {
		return artifact.Table{}, fmt.Errorf("read back: %w", err)
	}
	if got.Rows != rows {
		return artifact.Table{}, fmt.Errorf("table %q: read back: %d rows of %d", s.Table, got.Rows, rows)
	}
	return got, t.checkOthers(ctx, table, s)
}

func (t *PostgresTarget) truncate(ctx context.Context, table postgresTable) error {
	if err := t.conn.exec(ctx, "TRUNCATE "+table.rowsOf()); err != nil {
		return fmt.Errorf("table %q: remove rows: %w", table.name, err)
	}
	return nil
}

// setSequence has the sequence go on where the source's would have. ALTER
// SEQUENCE is part of the transaction, which setval is not. A schema that knows
// of no sequence gets the next number behind its rows.
func (t *PostgresTarget) setSequence(ctx context.Context, table postgresTable, s Schema) error {
	if table.sequence == "" {
		return nil
	}
	at := slices.IndexFunc(table.columns, func(c postgresColumn) bool { return c.Auto })
	number := table.columns[at].Name
	last := ""
	if slices.ContainsFunc(s.Columns, func(c Column) bool { return c.Name == number && c.Auto }) {
		if s.Sequence != nil {
			last = strconv.FormatInt(*s.Sequence, 10)
		}
	} else {
		rows, err := t.conn.query(ctx, "SELECT max("+quoteName(number)+") FROM "+table.rowsOf())
		if err != nil {
			return err
		}
		last = rows[0][0]
	}
	restart := ""
	if last != "" {
		next, err := t.conn.query(ctx, "SELECT $1::bigint + seqincrement FROM pg_catalog.pg_sequence WHERE seqrelid = $2::regclass",
			last, table.sequence)
		if err != nil || len(next) != 1 {
			return errors.Join(errors.New("next number"), err)
		}
		restart = " WITH " + next[0][0]
	}
	return t.conn.exec(ctx, "ALTER SEQUENCE "+table.sequence+" RESTART"+restart)
}

// checkOthers makes sure that columns the snapshot knows nothing of are NULL,
// whatever a default or a trigger would have them be.
func (t *PostgresTarget) checkOthers(ctx context.Context, table postgresTable, s Schema) error {
	for _, c := range table.others(s) {
		rows, err := t.conn.query(ctx, "SELECT count(*) FROM "+table.rowsOf()+" WHERE "+quoteName(c.Name)+" IS NOT NULL")
		if err != nil {
			return fmt.Errorf("table %q: read back: %w", table.name, err)
		}
		if rows[0][0] != "0" {
			return fmt.Errorf("table %q: column %q: the server has set it in %s rows, and the snapshot has no such column",
				table.name, c.Name, rows[0][0])
		}
	}
	return nil
}

// others are the columns that can be written and that s does not have.
func (t postgresTable) others(s Schema) []postgresColumn {
	var all []postgresColumn
	for _, c := range t.columns {
		if !c.generated && !slices.Contains(s.names(), c.Name) {
			all = append(all, c)
		}
	}
	return all
}

// Clear implements Target.
func (t *PostgresTarget) Clear(ctx context.Context, table string) error {
	return t.do(func() error {
		found, err := t.find(ctx, table)
		if err != nil {
			return err
		}
		return t.truncate(ctx, found)
	})
}

// Drop implements Target. What depends on the table, as a view does, keeps it
// from being dropped.
func (t *PostgresTarget) Drop(ctx context.Context, table string) error {
	return t.do(func() error {
		found, err := t.find(ctx, table)
		if err != nil {
			return err
		}
		delete(t.tables, table)
		if err := t.conn.exec(ctx, "DROP TABLE "+found.quoted()); err != nil {
			return fmt.Errorf("table %q: drop: %w", table, err)
		}
		return nil
	})
}

func (t *PostgresTarget) find(ctx context.Context, name string) (postgresTable, error) {
	tables, err := t.conn.listTables(ctx)
	if err != nil {
		return postgresTable{}, err
	}
	at := slices.IndexFunc(tables, func(p postgresTable) bool { return p.name == name })
	if at < 0 {
		return postgresTable{}, fmt.Errorf("table %q: there is none", name)
	}
	return tables[at], nil
}

// Commit implements Target. When the connection is lost in the middle of it,
// the server may have done it or not.
func (t *PostgresTarget) Commit(ctx context.Context) error {
	return t.do(func() error {
		results, err := t.conn.Exec(ctx, "COMMIT").ReadAll()
		if err != nil {
			return fmt.Errorf("database %q: commit: %w", t.login.Name, serverError(ctx, err))
		}
		// COMMIT of a transaction that failed rolls it back, and is no error.
		if len(results) != 1 || results[0].CommandTag.String() != "COMMIT" {
			return fmt.Errorf("database %q: commit: the server has rolled it back", t.login.Name)
		}
		return nil
	})
}

// Close implements Target.
func (t *PostgresTarget) Close() error { return t.conn.close() }
