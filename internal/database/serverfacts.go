package database

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Facts are what a server says of itself.
type Facts struct {
	Version  string // "15.20", "10.11.19-MariaDB"
	Encoding string // of the database: "UTF8", "SQL_ASCII", "latin1"
}

// Facts asks the server.
func (m *MariaDB) Facts(ctx context.Context) (f Facts, err error) {
	if err := m.conn.one(ctx, "SELECT VERSION()", &f.Version); err != nil {
		return f, fmt.Errorf("version: %w", err)
	}
	if err := m.conn.one(ctx, "SELECT @@character_set_database", &f.Encoding); err != nil {
		return f, fmt.Errorf("character set: %w", err)
	}
	return f, nil
}

// Count implements Source.
func (m *MariaDB) Count(ctx context.Context, table string) (n int64, err error) {
	if _, err := m.view(table); err != nil {
		return 0, err
	}
	if err := m.conn.one(ctx, "SELECT COUNT(*) FROM "+quoteMaria(table), &n); err != nil {
		return 0, fmt.Errorf("table %q: count: %w", table, err)
	}
	return n, nil
}

// Facts asks the server.
func (p *Postgres) Facts(context.Context) (Facts, error) {
	version, _, _ := strings.Cut(p.conn.ParameterStatus("server_version"), " ") // what packagers add
	return Facts{Version: version, Encoding: p.conn.encoding}, nil
}

// Count implements Source.
func (p *Postgres) Count(ctx context.Context, table string) (n int64, err error) {
	t, err := p.table(table)
	if err != nil {
		return 0, err
	}
	rows, err := p.conn.query(ctx, "SELECT count(*) FROM "+t.quoted())
	if err == nil {
		n, err = strconv.ParseInt(rows[0][0], 10, 64)
	}
	if err != nil {
		return 0, fmt.Errorf("table %q: count: %w", table, err)
	}
	return n, nil
}
