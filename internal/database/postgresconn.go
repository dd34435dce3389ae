package database

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	postgresTimeout = 10 * time.Second // for a connection, and for its end
	postgresPort    = 5432
	// postgresSocket is where the packages of the distros put the server's socket.
	postgresSocket = "/var/run/postgresql"
)

// postgresConn is a session with a PostgreSQL server whose texts come and go as
// the bytes xCAT has.
type postgresConn struct {
	*pgconn.PgConn
	// unicode says that the database's encoding is UTF8: see decodeLatin.
	unicode  bool
	encoding string // as the server calls it
}

// connectPostgres logs in at l. Errors wrap ErrUnreachable, ErrDenied or
// ErrNoDatabase where it is one of these, and never hold the password.
func connectPostgres(ctx context.Context, l Location) (*postgresConn, error) {
	config, err := postgresConfig(l)
	if err != nil {
		return nil, fmt.Errorf("database server: %w", err)
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("database server %s: %w", config.Host, postgresLoginError(ctx, l, err))
	}
	c := &postgresConn{PgConn: conn, encoding: conn.ParameterStatus("server_encoding")}
	c.unicode = c.encoding == "UTF8"
	if err := c.prepareSession(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("database server %s: %w", config.Host, err), c.close())
	}
	return c, nil
}

// neutral are settings of libpq that shut out what pgconn would take from the
// environment, from ~/.pgpass, from service files and from ~/.postgresql: those
// are of whoever runs this program, not of the management node. The login itself
// is put in afterwards, as fields, so that nothing in it needs quoting.
const neutral = "host=/ port=5432 user=none password=none database=none passfile='' servicefile=/dev/null " +
	"sslcertmode=disable sslnegotiation=postgres target_session_attrs=any channel_binding=prefer require_auth='' " +
	"min_protocol_version=3.0 max_protocol_version=3.0 connect_timeout=10"

func postgresConfig(l Location) (*pgconn.Config, error) {
	config, err := pgconn.ParseConfig(neutral)
	if err != nil {
		// The one setting that cannot be overruled. The text of err is not shown: it
		// is about a connection nobody asked for.
		return nil, errors.New("environment variable PGSERVICE is set: unset it")
	}
	port := postgresPort
	if l.Port != "" {
		if port, err = strconv.Atoi(l.Port); err != nil || port < 1 || port > 65535 {
			return nil, errors.New("port is not a number from 1 to 65535")
		}
	}
	config.Host, config.Port = l.Host, uint16(port)
	config.Database, config.User, config.Password = l.Name, l.User, l.Password.Reveal()
	config.RuntimeParams = map[string]string{"application_name": "xcrate"}
	config.KerberosSpn, config.KerberosSrvName = "", ""
	config.TLSConfig, config.Fallbacks = nil, nil
	// A row is read whole. Beyond its values it has four bytes a column, and bytes
	// above 0x7F take two each in UTF8.
	config.MaxProtocolMessageBodyLen = 2*MaxRow + 64<<10
	if l.Host == "" {
		config.Host = postgresSocket
	}
	if !strings.HasPrefix(config.Host, "/") {
		// As libpq's sslmode=prefer, which is what xCAT gets: the certificate is not
		// checked, and a server without TLS is spoken to in the clear.
		config.TLSConfig = &tls.Config{InsecureSkipVerify: true}
		config.Fallbacks = []*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port}}
	}
	return config, nil
}

// postgresLoginError says which of the sentinels err is.
func postgresLoginError(ctx context.Context, l Location, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		// The driver joins the errors of all its tries by line ends, behind a line of
		// its own; with and without TLS they are the same where nobody listens.
		tries := slices.Compact(strings.Split(err.Error(), "\n\t"))
		text := strings.Join(tries[min(1, len(tries)-1):], "; ")
		// It is never in there; this is a second wall. What is short may stand in any
		// word, and to blank it out would show it.
		if p := l.Password.Reveal(); len(p) > 7 {
			text = strings.ReplaceAll(text, p, "(secret)")
		}
		return fmt.Errorf("%w: %s", ErrUnreachable, text)
	}
	switch pg.Code {
	case "3D000":
		return fmt.Errorf("%w: %q", ErrNoDatabase, l.Name)
	case "28000", "28P01", "42501": // wrong password, no line in pg_hba.conf, no right to connect
		return fmt.Errorf("%w: user %q: %s", ErrDenied, l.User, pg.Message)
	default: // it starts, stops, or has no connection left
		return fmt.Errorf("%w: %s", ErrUnreachable, pg.Message)
	}
}

// prepareSession overrules what the administrator may have set for the role or
// the database and would end a long transaction, hide rows, or print values in
// another form.
func (c *postgresConn) prepareSession(ctx context.Context) error {
	encoding := "SQL_ASCII" // of a server that does not say
	if c.encoding != "" {
		encoding = c.encoding
	}
	settings := []string{
		"client_encoding = " + quoteText(encoding), // of the database itself: nothing is converted on the way
		"statement_timeout = 0",
		"idle_in_transaction_session_timeout = 0",
		"standard_conforming_strings = on",
		"row_security = off", // an error instead of rows that are not seen
		"extra_float_digits = 3",
		"bytea_output = hex",
		"DateStyle = ISO",
		"IntervalStyle = postgres",
		"TimeZone = UTC",
		"work_mem = '64MB'", // tables are sorted, and 4 MB make that a matter of the disk
	}
	if err := c.exec(ctx, "SET "+strings.Join(settings, "; SET ")); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	// Those that not every version has.
	_, err := c.query(ctx, "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('transaction_timeout', 'jit')")
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	version := c.ParameterStatus("server_version")
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err == nil && n < oldestPostgres {
		return fmt.Errorf("PostgreSQL %s: is older than %d", version, oldestPostgres)
	}
	return nil
}

// oldestPostgres is what EL 8 has. Before it the catalog is another.
const oldestPostgres = 10

// exec runs statements without parameters, separated by ";".
func (c *postgresConn) exec(ctx context.Context, sql string) error {
	return serverError(ctx, c.Exec(ctx, sql).Close())
}

// query returns all rows of a small result, NULL as "".
func (c *postgresConn) query(ctx context.Context, sql string, args ...string) ([][]string, error) {
	values := make([][]byte, len(args))
	for i, a := range args {
		values[i] = []byte(a)
	}
	r := c.ExecParams(ctx, sql, values, nil, nil, nil).Read()
	if r.Err != nil {
		return nil, serverError(ctx, r.Err)
	}
	rows := make([][]string, len(r.Rows))
	for i, row := range r.Rows {
		rows[i] = make([]string, len(row))
		for j, v := range row {
			rows[i][j] = string(v)
		}
	}
	return rows, nil
}

// close ends the session, and with it the transaction if one is open.
func (c *postgresConn) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), postgresTimeout)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		return fmt.Errorf("database server: end of the session: %w", err)
	}
	return nil
}

// serverError is err without what its text might show of values: those of
// classes 22, 23 and P0 (data, constraints, what triggers say) quote them
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func serverError(ctx context.Context, err error) error {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.As(err, &pg):
		return err
	case strings.HasPrefix(pg.Code, "22"), strings.HasPrefix(pg.Code, "23"), strings.HasPrefix(pg.Code, "P0"):
		return errors.New(dataFault(pg))
	}
	return fmt.Errorf("%s (SQLSTATE %s)", pg.Message, pg.Code)
}

// dataFault says in words what the server has against a value.
func dataFault(pg *pgconn.PgError) string {
	switch pg.Code {
	case "22001":
		return "is too long for the column"
	case "22003":
		return "is a number out of the column's range"
	case "22P02", "22007", "22008":
		return "is not what the column's type holds"
	case "22021", "22P05":
		return "holds bytes that the database's encoding does not allow"
	case "23502":
		return "is NULL where the column must not be"
	case "23505":
		return "key is there twice"
	case "23514":
		return fmt.Sprintf("violates constraint %q", pg.ConstraintName)
	default:
		return "is refused by the server with SQLSTATE " + pg.Code
	}
}

// quoteText writes s as an SQL text.
func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
