package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xcrate/xcrate/artifact"
)

// MariaDB is a Source of a database on a MariaDB or MySQL server, read over one
// connection. While it is open no table can be altered, and where there are
// others than InnoDB's nobody can write: close it soon. It is for one goroutine.
type MariaDB struct {
	conn  *mariaConn
	views []mariaView // sorted by table
	left  []artifact.LeftOut
}

// mariaTries is how often the moment is looked for while others alter tables.
const mariaTries = 10

// OpenMariaDB connects to the server and holds the state of one moment: that of
// a transaction where all tables are InnoDB's, else by a read lock on all of
// them, for which it waits 30 seconds. Errors wrap ErrUnreachable, ErrDenied or
// ErrNoDatabase where they are about the connection.
//
// Whatever else the database holds is listed in LeftOut. A table that the user
// may not read is an error, as is a user who would not see all tables.
func OpenMariaDB(ctx context.Context, l Location) (*MariaDB, error) {
	c, err := connectMaria(ctx, l)
	if err != nil {
		return nil, err
	}
	m := &MariaDB{conn: c}
	tables, err := c.moment(ctx)
	if err == nil {
		err = m.look(ctx, tables)
	}
	if err != nil {
		return nil, fmt.Errorf("database %q: %w", l.Name, errors.Join(err, c.Close()))
	}
	return m, nil
}

// moment holds the state of now, and returns the tables of it.
func (c *mariaConn) moment(ctx context.Context) ([]mariaTable, error) {
	var err error
	closed := 0
	for range mariaTries {
		var tables []mariaTable
		if tables, err = c.tryMoment(ctx); err == nil {
			return tables, nil
		}
		if !isMaria(err, mariaTableChanged, mariaNoTable, mariaDeadlock) && !errors.Is(err, errMariaAltered) && !errors.Is(err, errMariaClosed) {
			return nil, err
		}
		if errors.Is(err, errMariaClosed) {
			closed++
		}
		// Both, because the next try may find other engines.
		if err := errors.Join(c.run(ctx, "ROLLBACK"), c.run(ctx, "UNLOCK TABLES")); err != nil {
			return nil, err
		}
		if err := wait(ctx, retryWait); err != nil {
			return nil, err
		}
	}
	// A table that is being made or dropped is closed too, but not each time.
	if closed == mariaTries {
		return nil, err
	}
	return nil, fmt.Errorf("tables are being altered, in %d tries: %w", mariaTries, err)
}

var errMariaAltered = errors.New("a table came, went or was altered")

// mariaRename is longer than a server takes to put the copy of an altered table
// in the place of the old one. In between the table is in no list, and locks on
// the others do not show it.
const mariaRename = 30 * time.Millisecond

// tryMoment takes the tables' locks one after the other, so in between tables
// may come, go and change. What was seen before is compared with what is there
// under the locks, and a while later: a table that is being put in place could
// be missed by the first two looks.
func (c *mariaConn) tryMoment(ctx context.Context) ([]mariaTable, error) {
	before, err := c.tables(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.hold(ctx, before); err != nil {
		return nil, err
	}
	now, err := c.tables(ctx)
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, mariaRename); err != nil {
		return nil, err
	}
	after, err := c.tables(ctx)
	if err != nil {
		return nil, err
	}
	if !sameDefinitions(before, now) || !sameDefinitions(now, after) {
		return nil, errMariaAltered
	}
	return now, nil
}

// wait returns after d, or with the error of a context that ended before.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (c *mariaConn) hold(ctx context.Context, tables []mariaTable) error {
	if slices.ContainsFunc(tables, func(t mariaTable) bool { return !t.innoDB() }) {
		locks := make([]string, len(tables))
		for i, t := range tables {
			locks[i] = quoteMaria(t.name) + " READ"
		}
		return c.run(ctx, "LOCK TABLES "+strings.Join(locks, ", "))
	}
	for _, statement := range []string{
		"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
	} {
		if err := c.run(ctx, statement); err != nil {
			return err
		}
	}
	for _, t := range tables {
		// Reading a row takes the lock that keeps ALTER TABLE out, and fails where
		// the table was altered since the transaction began.
		if err := c.run(ctx, "SELECT 1 FROM "+quoteMaria(t.name)+" LIMIT 1"); err != nil {
			return fmt.Errorf("table %q: %w", t.name, err)
		}
	}
	return nil
}

// look checks that everything can be read, before anybody relies on it.
func (m *MariaDB) look(ctx context.Context, tables []mariaTable) error {
	if err := m.conn.seesAll(ctx); err != nil {
		return err
	}
	for _, t := range tables {
		if err := checkTableName(t.name); err != nil {
			return fmt.Errorf("table %q: %w", t.name, err)
		}
		v, err := t.view(t.schema())
		if err == nil {
			err = checkColumnNames(v.schema.names())
		}
		if err == nil {
			err = m.conn.checkCharsets(ctx, v)
		}
		if err != nil {
			return fmt.Errorf("table %q: %w", t.name, err)
		}
		m.views = append(m.views, v)
	}
	var err error
	m.left, err = m.conn.leftOut(ctx, tables)
	return err
}

// seesAll fails where the user has rights on single tables only: the server
// hides all others from him, and a snapshot would lack them in silence. It asks
// for a table that is not there, which only who may read all tables gets to hear.
func (c *mariaConn) seesAll(ctx context.Context) error {
	const none = "xcrate there is none"
	err := c.run(ctx, "SELECT 1 FROM "+quoteMaria(c.database)+"."+quoteMaria(none))
	if isMaria(err, mariaNoTable, mariaNotLocked) {
		return nil
	}
	if isMaria(err, mariaTableDenied) {
		return errors.New("user may read single tables only and cannot see whether there are others: grant SELECT on the database")
	}
	if err == nil {
		err = fmt.Errorf("table %q exists", none)
	}
	return err
}

// checkCharsets fails where a text is in a charset of which the server shows
// some characters as "?". That cannot happen to those xCAT is set up with.
func (c *mariaConn) checkCharsets(ctx context.Context, v mariaView) error {
	for _, col := range v.columns {
		if slices.Contains([]string{"", mariaCharset, "utf8mb3", "utf8", "ascii", "latin1"}, col.charset) {
			continue
		}
		name := quoteMaria(col.Name)
		var lost int
		err := c.one(ctx, "SELECT COUNT(*) FROM "+quoteMaria(v.schema.Table)+" WHERE CAST(CONVERT(CONVERT("+name+
			" USING utf8mb4) USING "+col.charset+") AS BINARY) <> CAST("+name+" AS BINARY)", &lost)
		if err == nil && lost > 0 {
			err = fmt.Errorf("%d rows have characters of %s that are none of UTF-8: convert the table to utf8mb4", lost, col.charset)
		}
		if err != nil {
			return fmt.Errorf("column %q: %w", col.Name, err)
		}
	}
	return nil
}

// Engine implements Source.
func (*MariaDB) Engine() Engine { return EngineMariaDB }

// Tables implements Source.
func (m *MariaDB) Tables(context.Context) ([]string, error) {
	names := make([]string, len(m.views))
	for i, v := range m.views {
		names[i] = v.schema.Table
	}
	return names, nil
}

// Schema implements Source.
func (m *MariaDB) Schema(_ context.Context, table string) (Schema, error) {
	v, err := m.view(table)
	return v.schema, err
}

// Rows implements Source.
func (m *MariaDB) Rows(ctx context.Context, table string, fn func([]Value) error) error {
	v, err := m.view(table)
	if err != nil {
		return err
	}
	var fault error // of fn, which names the table itself
	err = m.conn.rows(ctx, v, true, func(row []Value) error {
		fault = fn(row)
		return fault
	})
	if err != nil && fault == nil {
		return fmt.Errorf("table %q: %w", table, err)
	}
	return err
}

func (m *MariaDB) view(table string) (mariaView, error) {
	i, found := slices.BinarySearchFunc(m.views, table, func(v mariaView, t string) int { return strings.Compare(v.schema.Table, t) })
	if !found {
		return mariaView{}, fmt.Errorf("table %q: there is none", table)
	}
	return m.views[i], nil
}

// LeftOut implements Source. Paths are names of the database.
func (m *MariaDB) LeftOut() []artifact.LeftOut { return slices.Clone(m.left) }

// Close implements Source.
func (m *MariaDB) Close() error { return m.conn.Close() }
