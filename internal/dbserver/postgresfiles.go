package dbserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// letIn says whom the block in pg_hba.conf lets in.
func (p *postgres) letIn(w Want) string {
	who := "this machine"
	if len(w.Access) > 0 {
		who += ", " + strings.Join(w.Access, ", ")
	}
	return fmt.Sprintf("let %s in as %q (pg_hba.conf)", who, w.Location.User)
}

// files brings the block in pg_hba.conf up to date, and has the server listen.
func (p *postgres) files(w Want) (steps []step, notes []string, err error) {
	peers, err := w.peers()
	if err != nil {
		return nil, nil, err
	}
	settings, err := p.pgSettings(p.conf())
	if err != nil {
		return nil, nil, err
	}
	if port := settings["port"]; port != "" && port != pgPort {
		return nil, nil, fmt.Errorf("file %s: port %q: only %s is set up", p.conf(), port, pgPort)
	}
	st, err := p.blockStep(p.hba(settings), makeBlock(hbaRules(w, peers)), hbaPlace)
	if err != nil {
		return nil, nil, err
	}
	if st != nil {
		st.act.What, st.takes = p.letIn(w), effectReload
		steps = append(steps, *st)
	}
	listen, note, err := p.listenStep(w, settings)
	if listen != nil {
		steps = append(steps, *listen)
	}
	if note != "" {
		notes = append(notes, note)
	}
	return steps, notes, err
}

// listenStep has the server listen where w wants, at the end of postgresql.conf,
// where it wins.
func (p *postgres) listenStep(w Want, settings map[string]string) (st *step, note string, err error) {
	now, set := settings["listen_addresses"]
	if !set {
		now = "localhost"
	}
	// What ALTER SYSTEM wrote comes after all of postgresql.conf.
	auto, err := p.pgSettings(p.data + "/postgresql.auto.conf")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	if byServer, set := auto["listen_addresses"]; set {
		if _, ok := pgListens(byServer, w.Listen); !ok {
			note = "PostgreSQL does not listen at " + list(w.Listen) + ", and ALTER SYSTEM has set that: ALTER SYSTEM RESET listen_addresses"
		}
		return nil, note, nil
	}
	next, ok := pgListens(now, w.Listen)
	if ok {
		return nil, "", nil
	}
	st, err = p.blockStep(p.conf(), makeBlock([]string{"listen_addresses = " + pgText(next)}), func(text string) int { return len(text) })
	if st != nil {
		st.act.What, st.takes = "have PostgreSQL listen at "+strings.ReplaceAll(next, ",", ", "), effectRestart
	}
	return st, "", err
}

// reload makes the running server read its rules again. Rules that it cannot read
// it passes over in silence, and keeps the old: so it is asked first. A private
// server has rules of its own.
func (p *postgres) reload(ctx context.Context) error {
	if p.private != "" {
		return nil
	}
	rows, err := p.query(ctx, "", "SELECT line_number FROM pg_hba_file_rules WHERE error IS NOT NULL ORDER BY 1")
	if err != nil {
		return err
	}
	if len(rows) > 0 {
		return fmt.Errorf("pg_hba.conf: the server cannot read line %s", list(firsts(rows)))
	}
	_, err = p.query(ctx, "", "SELECT pg_reload_conf()")
	return err
}

func (p *postgres) applied(ctx context.Context, w Want) error {
	if p.private != "" {
		return nil
	}
	rows, err := p.query(ctx, "", "SHOW listen_addresses")
	if err != nil {
		return err
	}
	if _, ok := pgListens(rows[0][0], w.Listen); !ok {
		return fmt.Errorf("database server: does not listen at %s after its restart", list(w.Listen))
	}
	return nil
}
