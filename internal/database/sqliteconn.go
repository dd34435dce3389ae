package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// fileSuffix ends the name of a table's file.
const fileSuffix = ".sqlite"

// connection is one SQLite connection. There is no pool: a lock belongs to the
// connection that took it.
type connection struct {
	*sql.Conn
	db *sql.DB
}

// connect opens the file at path. mode is "ro" or "rw": neither creates it.
// busy is how long to wait for the locks of others.
func connect(ctx context.Context, path, mode string, busy time.Duration) (*connection, error) {
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?mode=" + mode +
		"&_busy_timeout=" + strconv.FormatInt(busy.Milliseconds(), 10)
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(sqliteError(err), db.Close())
	}
	return &connection{Conn: c, db: db}, nil
}

// Close closes the connection, and with it drops its locks.
func (c *connection) Close() error { return errors.Join(c.Conn.Close(), c.db.Close()) }

// run executes a statement that returns no rows.
func (c *connection) run(ctx context.Context, statement string) error {
	_, err := c.ExecContext(ctx, statement)
	return sqliteError(err)
}

// one reads a single value.
func (c *connection) one(ctx context.Context, query string, to any, args ...any) error {
	return sqliteError(c.QueryRowContext(ctx, query, args...).Scan(to))
}

// list reads a column of texts.
func (c *connection) list(ctx context.Context, query string) ([]string, error) {
	rows, err := c.QueryContext(ctx, query)
	if err != nil {
		return nil, sqliteError(err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, sqliteError(rows.Err())
}

// limit lowers what SQLite takes from a statement that may be hostile.
func (c *connection) limit() error {
	for id, value := range map[int]int{
		sqlite3.SQLITE_LIMIT_ATTACHED:      0,
		sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
		sqlite3.SQLITE_LIMIT_COLUMN:        maxColumns,
		sqlite3.SQLITE_LIMIT_LENGTH:        MaxRow + maxSQL,
		sqlite3.SQLITE_LIMIT_EXPR_DEPTH:    100,
	} {
		if _, err := sqlite.Limit(c.Conn, id, value); err != nil {
			return err
		}
	}
	return nil
}

// errBusy says that another program holds a lock.
var errBusy = errors.New("busy: another program is writing to it")

// errNeedsCopy says that a file cannot be read without writing beside it.
var errNeedsCopy = errors.New("has to be recovered before it can be read")

// sqliteError puts the errors a caller may act on into words and values of the
// operating system.
func sqliteError(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff { // the high bytes of an extended code are details
	case sqlite3.SQLITE_BUSY:
		return errBusy
	case sqlite3.SQLITE_FULL:
		return unix.ENOSPC
	case sqlite3.SQLITE_READONLY: // a hot journal on a read-only connection
		return fmt.Errorf("%w: %w", errNeedsCopy, err)
	}
	return err
}
