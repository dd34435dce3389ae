package dbserver

import (
	"context"
	"fmt"
	"slices"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// Access returns whom the database server of a host lets in as user to a database
// over the network: service nodes read the tables there. Entries are those of
// Want.Access, each once, in the order they were found; loopback is not among
// them. Warnings name what was seen and cannot be carried elsewhere, or not told.
//
// PostgreSQL's rules are read from pg_hba.conf. MariaDB's accounts are asked for,
// so its server has to run. A host without the server, whose database is another
// machine's, is an error that wraps ErrNotInstalled.
func Access(ctx context.Context, root *host.Root, run host.Runner, engine database.Engine, name, user string) (entries, warnings []string, err error) {
	s, err := Find(root, run, engine)
	if err != nil {
		return nil, nil, err
	}
	var peers []peer
	switch k := s.kind.(type) {
	case *postgres:
		peers, warnings, err = k.access(name, user)
	case *mariadb:
		peers, warnings, err = k.access(ctx, user)
	}
	for _, p := range peers {
		if e := p.String(); !slices.Contains(entries, e) {
			entries = append(entries, e)
		}
	}
	return entries, warnings, err
}

func (p *postgres) access(name, user string) ([]peer, []string, error) {
	settings, err := p.pgSettings(p.conf())
	if err != nil {
		return nil, nil, err
	}
	text, err := p.read(p.hba(settings))
	if err != nil {
		return nil, nil, err
	}
	peers, warnings := hbaAccess(text, name, user)
	return peers, warnings, nil
}

// access asks for the accounts and not for their rights: one without any in the
// database is harmless where it is made again, and one that has them through a
// pattern or a role is not missed.
func (m *mariadb) access(ctx context.Context, user string) (peers []peer, warnings []string, err error) {
	if err := checkName("database user", user); err != nil {
		return nil, nil, err
	}
	rows, err := m.query(ctx, "", "SELECT Host FROM mysql.user WHERE User = "+mysqlText(user)+" ORDER BY Host")
	if err != nil {
		return nil, nil, err
	}
	for _, h := range firsts(rows) {
		p, ok := mysqlPeer(h)
		switch {
		case !ok:
			warnings = append(warnings, fmt.Sprintf("account %q at %q: is a pattern that is not carried over", user, h))
		case p.name == "localhost" || p.net.IsValid() && p.net.Addr().IsLoopback():
		default:
			peers = append(peers, p)
		}
	}
	return peers, warnings, nil
}

// hba is the path of pg_hba.conf.
func (p *postgres) hba(settings map[string]string) string {
	if f := settings["hba_file"]; f != "" {
		return f
	}
	return p.config + "/pg_hba.conf"
}
