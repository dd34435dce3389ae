package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	mariaPort        = "3306"
	mariaConnectWait = 10 * time.Second
	// mariaCharset is that of the connection: the server converts each column to
	// and from it, and it is the only one that holds all of UTF-8.
	mariaCharset   = "utf8mb4"
	mariaCollation = "utf8mb4_general_ci"
)

// mariaSockets are where distributions put the socket of a local server.
func mariaSockets() []string {
	return []string{"/var/lib/mysql/mysql.sock", "/run/mysqld/mysqld.sock", "/var/run/mysql/mysql.sock"}
}

// mariaSession sets up a connection. The server ends what waits for a lock too
// long; it must not end what takes long because there is much of it, or because
// we are slow to take it.
//   - NO_BACKSLASH_ESCAPES leaves one thing to quote in a text, the quote.
//   - TIMESTAMP columns show the time zone's time, and those an hour before
//     winter time begins are not told apart but in UTC.
const mariaSession = `SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION',
	time_zone = '+00:00', lock_wait_timeout = 30, innodb_lock_wait_timeout = 30,
	net_write_timeout = 3600, net_read_timeout = 3600, wait_timeout = 86400`

// mariaConn is one connection to a server. There is no pool: transactions and
// locks belong to the connection that took them.
type mariaConn struct {
	*sql.Conn
	db       *sql.DB
	database string
	mariadb  bool // MySQL otherwise
}

// connectMaria logs in. Errors wrap ErrUnreachable, ErrDenied or ErrNoDatabase.
func connectMaria(ctx context.Context, l Location) (*mariaConn, error) {
	cfg, err := mariaConfig(l)
	if err != nil {
		return nil, fmt.Errorf("database %q: %w", l.Name, err)
	}
	where := fmt.Sprintf("database %q at %s", l.Name, cfg.Addr)
	connector, err := mysql.NewConnector(cfg)
	if err != nil { // its text may quote the configuration
		return nil, fmt.Errorf("%s: configuration of the connection is refused", where)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	dialing, cancel := context.WithTimeout(ctx, mariaConnectWait)
	defer cancel()
	conn, err := db.Conn(dialing)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, errors.Join(mariaLoginError(err), db.Close()))
	}
	c := &mariaConn{Conn: conn, db: db, database: l.Name}
	if err := c.setUp(ctx); err != nil {
		return nil, fmt.Errorf("%s: session: %w", where, errors.Join(err, c.Close()))
	}
	return c, nil
}

// mariaConfig takes nothing from files or the environment.
func mariaConfig(l Location) (*mysql.Config, error) {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.DBName = l.User, l.Password.Reveal(), l.Name
	cfg.Timeout = mariaConnectWait
	cfg.Logger = &mysql.NopLogger{} // the default writes to the terminal
	cfg.MaxAllowedPacket = 0        // what the server says
	if err := cfg.Apply(mysql.Charset(mariaCharset, mariaCollation)); err != nil {
		return nil, err
	}
	switch {
	case strings.HasPrefix(l.Host, "/"):
		cfg.Net, cfg.Addr = "unix", l.Host
	case l.Host == "" || l.Host == "localhost": // the client library of xCAT takes both for the socket
		for _, s := range mariaSockets() {
			if info, err := os.Stat(s); err == nil && info.Mode()&os.ModeSocket != 0 {
				cfg.Net, cfg.Addr = "unix", s
				return cfg, nil
			}
		}
		return nil, fmt.Errorf("%w: no socket at %s", ErrUnreachable, strings.Join(mariaSockets(), " or "))
	default:
		port := l.Port
		if port == "" {
			port = mariaPort
		}
		cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(l.Host, port)
		cfg.TLSConfig = "preferred" // encrypted where the server can; xCAT's own client asks for no certificate
	}
	return cfg, nil
}

func (c *mariaConn) setUp(ctx context.Context) error {
	if err := c.run(ctx, mariaSession); err != nil {
		return err
	}
	var version string
	if err := c.one(ctx, "SELECT VERSION()", &version); err != nil {
		return err
	}
	c.mariadb = strings.Contains(strings.ToLower(version), "mariadb")
	if c.mariadb {
		return c.run(ctx, "SET SESSION max_statement_time = 0")
	}
	// MySQL 8 shows numbers in information_schema that are up to a day old.
	return c.run(ctx, "SET SESSION max_execution_time = 0, information_schema_stats_expiry = 0")
}

// Close ends the session: the server rolls back what was not committed.
func (c *mariaConn) Close() error {
	err := c.Conn.Close()
	if errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) {
		err = nil // the server was first; whatever it interrupted has said so
	}
	return errors.Join(err, c.db.Close())
}

// run executes a statement that returns no rows.
func (c *mariaConn) run(ctx context.Context, statement string) error {
	return c.Raw(func(conn any) error {
		e, ok := conn.(driver.ExecerContext)
		if !ok {
			return errors.New("driver: takes no statement without arguments")
		}
		_, err := e.ExecContext(ctx, statement, nil)
		return mariaError(err)
	})
}

// one reads a single value. The error is sql.ErrNoRows where there is none.
func (c *mariaConn) one(ctx context.Context, query string, to any, args ...any) error {
	return mariaError(c.QueryRowContext(ctx, query, args...).Scan(to))
}

// each calls scan for every row of a query.
func (c *mariaConn) each(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return mariaError(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return mariaError(rows.Err())
}

// stream calls fn for every row of a query, whose values, as the driver made
// them, are good until fn returns. It goes past database/sql, which takes
// longer to copy a value than the server to send it.
func (c *mariaConn) stream(ctx context.Context, query string, fn func([]driver.Value) error) error {
	return c.Raw(func(conn any) (err error) {
		q, ok := conn.(driver.QueryerContext)
		if !ok {
			return errors.New("driver: takes no query without arguments")
		}
		rows, err := q.QueryContext(ctx, query, nil)
		if err != nil {
			return mariaError(err)
		}
		defer func() {
			if e := mariaError(rows.Close()); err == nil {
				err = e
			}
		}()
		values := make([]driver.Value, len(rows.Columns()))
		for {
			err := rows.Next(values)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return mariaError(err)
			}
			if err := fn(values); err != nil {
				return err
			}
		}
	})
}

// quoteMaria writes name as an SQL identifier, whatever the sql_mode.
func quoteMaria(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
