package dbserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// pgPort is PostgreSQL's own port, the only one xCAT's scripts know.
const pgPort = "5432"

// postgres is PostgreSQL 10 and later.
type postgres struct{ *machine }

// debian reports whether postgresql-common manages the clusters.
func (p *postgres) debian() bool { return p.config != p.data }

// conf is the path of postgresql.conf.
func (p *postgres) conf() string { return p.config + "/postgresql.conf" }

func (p *postgres) check(w Want) error {
	for _, name := range []string{w.Location.Name, w.Location.User} {
		if strings.HasPrefix(name, "/") { // since 16, quoted or not
			return fmt.Errorf("name %q: pg_hba.conf takes it for a pattern", name)
		}
	}
	if strings.Trim(w.Encoding, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		return errors.New("database encoding: is no name of one")
	}
	_, err := w.peers()
	return err
}

func (p *postgres) empty() (bool, error) {
	if p.root.Exists(p.data + "/PG_VERSION") {
		if p.debian() && !p.root.Exists(p.conf()) {
			return false, fmt.Errorf("directory %s: a cluster without its configuration in %s", p.data, p.config)
		}
		return false, nil
	}
	names, err := p.root.Names(p.data)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("directory %s: is not empty, and no cluster", p.data)
	}
	return err == nil, err
}

// initialise makes the cluster: with the distro's own program where there is one
// that does more than initdb, which is the same on a machine that runs and on one
// that does not. Only the account of the server logs in without a password.
func (p *postgres) initialise(ctx context.Context) error {
	auth := []string{"--encoding=UTF8", "--locale=C", "--auth-local=peer", "--auth-host=scram-sha-256"}
	if p.debian() {
		args := append([]string{p.version, path.Base(p.data), "--"}, auth...)
		_, err := p.run.Run(ctx, host.Command{Name: "pg_createcluster", Args: args, Chroot: p.chroot()})
		return err
	}
	_, err := p.run.Run(ctx, p.as(p.init, append([]string{"--pgdata=" + p.data}, auth...)...))
	return err
}

func (p *postgres) destroy(ctx context.Context) error {
	if p.debian() && !p.root.Exists(p.conf()) { // which comes last: it was not made to its end
		return errors.Join(p.removeDir(p.data), p.removeDir(p.config))
	}
	if p.debian() {
		_, err := p.run.Run(ctx, host.Command{Name: "pg_dropcluster", Args: []string{p.version, path.Base(p.data)}, Chroot: p.chroot()})
		return err
	}
	return p.clearDir(p.data)
}

func (p *postgres) others(ctx context.Context) ([]string, error) {
	rows, err := p.query(ctx, "", "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1")
	return firsts(rows), err
}

// serve runs the server with its own configuration, except for its doors: no
// network, a socket in our directory, and there no password, for who can enter it
// is root or the server itself. What it needs of /run and /dev/shm is not there in
// a root that does not run.
func (p *postgres) serve(ctx context.Context) (host.Command, error) {
	rules := p.private + "/pg_hba.conf"
	if err := p.write(ctx, rules, "local all all trust\n", 0o644); err != nil {
		return host.Command{}, err
	}
	args := []string{"-D", p.config}
	for _, set := range []string{
		"listen_addresses=", "port=" + pgPort, "unix_socket_directories=" + p.private, "unix_socket_permissions=0700",
		"hba_file=" + rules, "external_pid_file=" + p.private + "/pid", "dynamic_shared_memory_type=mmap",
		"logging_collector=off", "log_destination=stderr", "ssl=off", "archive_mode=off",
	} {
		args = append(args, "-c", set)
	}
	return p.as(p.server, args...), nil
}

func (p *postgres) shutdown(ctx context.Context) error {
	_, err := p.run.Run(ctx, p.as(p.ctl, "stop", "-D", p.data, "-m", "fast", "-w", "-t", "600"))
	return err
}

// endSignal: the fast shutdown (PostgreSQL, "Shutting Down the Server").
func (*postgres) endSignal() unix.Signal { return unix.SIGINT }

func (p *postgres) answers(ctx context.Context) error {
	rows, err := p.query(ctx, "", "SHOW data_directory")
	if err == nil {
		return p.isOurs(rows)
	}
	if strings.Contains(err.Error(), "authentication failed") || strings.Contains(err.Error(), "pg_hba.conf") {
		return fmt.Errorf("administrator %s: %w: pg_hba.conf needs a line for it, with peer: %w", p.account, database.ErrDenied, err)
	}
	return err
}

func (p *postgres) login(l database.Location) database.Location {
	l.Host, l.Port = p.root.Path(p.private), pgPort
	return l
}

// quiet keeps what is sent out of the server's log and its errors: a verifier is
// as good as a password to who wants to guess one.
const quiet = `SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_min_error_statement = 'panic';
SET standard_conforming_strings = on; SET search_path = pg_catalog;
`

// pgField parts the fields of what psql prints. Names hold no control characters.
const pgField = "\x1f"

// query hands psql statements on stdin; each is a transaction of its own. The
// database's name goes through the environment: psql takes an
// argument with "=" in it for more than a name.
func (p *postgres) query(ctx context.Context, name, sql string) ([][]string, error) {
	if name == "" {
		name = "postgres"
	}
	c := p.as(p.client, "-X", "-A", "-t", "-q", "-F", pgField, "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=terse", "-f", "-")
	c.Stdin = []byte(quiet + sql + ";\n")
	home, err := p.home()
	if err != nil {
		return nil, err
	}
	c.Env = []string{"HOME=" + home, "PGDATABASE=" + name, "PGCLIENTENCODING=UTF8", "PGAPPNAME=xcrate", "PGPORT=" + pgPort}
	if dir, err := p.socketDir(); err != nil {
		return nil, err
	} else if dir != "" {
		c.Env = append(c.Env, "PGHOST="+dir)
	}
	out, err := p.run.Run(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("database server: %w", err)
	}
	var rows [][]string
	for line := range strings.Lines(string(out)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), pgField))
	}
	return rows, nil
}

// socketDir is where the server's socket lies, "" for where its own client looks.
func (p *postgres) socketDir() (string, error) {
	if p.private != "" {
		return p.private, nil
	}
	settings, err := p.pgSettings(p.conf())
	if err != nil {
		return "", err
	}
	dir, _, _ := strings.Cut(settings["unix_socket_directories"], ",")
	return strings.TrimSpace(dir), nil
}

// firsts are the first fields of rows.
func firsts(rows [][]string) []string {
	var all []string
	for _, r := range rows {
		all = append(all, r[0])
	}
	return all
}

// pgName quotes an identifier, pgText a text: with standard_conforming_strings and
// without backslashes in names, doubling the quote is all.
func pgName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func pgText(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }
