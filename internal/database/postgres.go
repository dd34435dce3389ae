package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/xcrate/xcrate/artifact"
)

// Postgres is a Source that is one read-only transaction on a PostgreSQL server.
// Others read and write meanwhile; only who wants to change a table itself
// waits. It is for one goroutine.
//
// Texts are the bytes that xCAT has. In a database in UTF8 these lie as the
// characters U+0000 to U+00FF (appendLatin says why); a text with others is
// given as its UTF-8, as a ClassUnicode. In a database of any other encoding,
// SQL_ASCII before all, they lie as they are. A bytea is a ClassBlob, all other
// types are what the server prints of them.
type Postgres struct {
	conn   *postgresConn
	tables []postgresTable // sorted by name
	left   []artifact.LeftOut
}

// OpenPostgres logs in at l and holds the moment. It takes the tables on the
// search path of the role, with every row, and lists all else in LeftOut. A
// table that the role may not read is an error that names it.
func OpenPostgres(ctx context.Context, l Location) (*Postgres, error) {
	conn, err := connectPostgres(ctx, l)
	if err != nil {
		return nil, err
	}
	p := &Postgres{conn: conn}
	if err := p.begin(ctx, l); err != nil {
		return nil, errors.Join(fmt.Errorf("database %q: %w", l.Name, err), p.Close())
	}
	return p, nil
}

func (p *Postgres) begin(ctx context.Context, l Location) (err error) {
	if p.tables, err = p.conn.lockAll(ctx); err != nil {
		return err
	}
	if err := p.conn.describe(ctx, p.tables); err != nil {
		return err
	}
	for _, t := range p.tables {
		for _, col := range t.columns {
			if col.generated {
				return fmt.Errorf("table %q: column %q: is generated, which a snapshot cannot carry", t.name, col.Name)
			}
		}
	}
	if p.left, err = p.conn.leftOut(ctx, l.Name, p.tables); err != nil {
		return err
	}
	elsewhere := slices.ContainsFunc(p.left, func(l artifact.LeftOut) bool { return strings.HasPrefix(l.What, "table ") })
	if len(p.tables) == 0 && elsewhere {
		return fmt.Errorf("none of its tables is on the search path of user %q", l.User)
	}
	return nil
}

// openTries is how often the tables may change under lockAll.
const openTries = 5

// lockAll begins the transaction and returns its tables. They are locked before
// its snapshot is taken, by the first query: one that was emptied by TRUNCATE
// or rewritten by ALTER TABLE after the snapshot would read as empty
// (https://www.postgresql.org/docs/current/mvcc-caveats.html). So they are
// listed before, too, and once more afterwards.
func (c *postgresConn) lockAll(ctx context.Context) ([]postgresTable, error) {
	if err := c.exec(ctx, "SET lock_timeout = '30s'"); err != nil {
		return nil, err
	}
	for range openTries {
		before, err := c.listTables(ctx)
		if err != nil {
			return nil, err
		}
		if err := c.exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
			return nil, err
		}
		gone := false
		for _, t := range before {
			if gone, err = c.lock(ctx, t, "ACCESS SHARE"); gone {
				break
			} else if err != nil {
				return nil, err
			}
		}
		if !gone {
			now, err := c.listTables(ctx)
			if err != nil {
				return nil, err
			}
			if slices.EqualFunc(before, now, func(a, b postgresTable) bool { return a.oid == b.oid && a.quoted() == b.quoted() }) {
				return now, nil
			}
		}
		if err := c.exec(ctx, "ROLLBACK"); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("tables come and go without an end")
}

// lock takes a lock of table t; gone says that the table is not there any more.
func (c *postgresConn) lock(ctx context.Context, t postgresTable, mode string) (gone bool, err error) {
	err = c.Exec(ctx, "LOCK TABLE "+t.quoted()+" IN "+mode+" MODE").Close()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		if err != nil {
			err = fmt.Errorf("table %q: lock: %w", t.name, serverError(ctx, err))
		}
		return false, err
	}
	if pg.Code == "55P03" {
		return false, fmt.Errorf("table %q: is locked by another program for too long", t.name)
	}
	return pg.Code == "42P01", fmt.Errorf("table %q: lock: %w", t.name, serverError(ctx, err))
}

// Engine implements Source.
func (*Postgres) Engine() Engine { return EnginePostgres }

// Tables implements Source.
func (p *Postgres) Tables(context.Context) ([]string, error) {
	names := make([]string, len(p.tables))
	for i, t := range p.tables {
		names[i] = t.name
	}
	return names, nil
}

// Schema implements Source. Types are in the words of format_type.
func (p *Postgres) Schema(_ context.Context, table string) (Schema, error) {
	t, err := p.table(table)
	if err != nil {
		return Schema{}, err
	}
	return t.schema(), nil
}

// Rows implements Source. When fn ends the reading early, the rest of the table
// is received and dropped, so that the moment lasts.
func (p *Postgres) Rows(ctx context.Context, table string, fn func([]Value) error) error {
	t, err := p.table(table)
	if err != nil {
		return err
	}
	return p.conn.rows(ctx, t, t.schema(), fn)
}

func (p *Postgres) table(name string) (postgresTable, error) {
	i, found := slices.BinarySearchFunc(p.tables, name, func(t postgresTable, n string) int { return strings.Compare(t.name, n) })
	if !found {
		return postgresTable{}, fmt.Errorf("table %q: there is none", name)
	}
	return p.tables[i], nil
}

// LeftOut implements Source.
func (p *Postgres) LeftOut() []artifact.LeftOut { return slices.Clone(p.left) }

// Close implements Source.
func (p *Postgres) Close() error { return p.conn.close() }
