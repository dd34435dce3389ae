package dbserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// mariadb is MariaDB 10.3 and later, and MySQL 8.
type mariadb struct{ *machine }

const (
	mysqlSocket = "mysql.sock" // in the private directory
	// maxMySQLUser is how long a user's name may be in MySQL, in characters;
	// MariaDB takes more.
	maxMySQLUser = 32
)

func (m *mariadb) check(w Want) error {
	if len(w.Location.User) > maxMySQLUser {
		return fmt.Errorf("database user: is longer than %d bytes", maxMySQLUser)
	}
	_, err := w.peers()
	return err
}

// empty looks for the tables of the server itself. What else lies there does not
// count: packages leave a flag or two.
func (m *mariadb) empty() (bool, error) {
	if m.root.Exists(m.data + "/mysql") {
		return false, nil
	}
	if m.root.Exists(m.data + "/ibdata1") {
		return false, fmt.Errorf("directory %s: holds data of a server, but none of its own tables", m.data)
	}
	_, err := m.root.Names(m.data)
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("directory %s: is missing, though the server is installed", m.data)
	}
	return true, err
}

// initialise does what the unit of the distro would at its first start, which is
// not there in a root that does not run.
func (m *mariadb) initialise(ctx context.Context) error {
	c := host.Command{Name: m.init, Args: []string{"--user=" + m.account, "--datadir=" + m.data, "--skip-name-resolve"}, Chroot: m.chroot()}
	// With the test database come users without name and password. Older programs
	// do not know how to do without.
	if text, err := m.root.ReadFile(m.init, maxConfig); m.init != "" && err == nil && strings.Contains(string(text), "--skip-test-db") {
		c.Args = append(c.Args, "--skip-test-db")
	}
	if m.init == "" {
		c.Name, c.Args = m.server, []string{"--initialize-insecure", "--user=" + m.account, "--datadir=" + m.data}
	}
	_, err := m.run.Run(ctx, c)
	return err
}

func (m *mariadb) destroy(context.Context) error { return m.clearDir(m.data) }

func (m *mariadb) others(ctx context.Context) ([]string, error) {
	rows, err := m.query(ctx, "", "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN "+
		"('mysql', 'sys', 'information_schema', 'performance_schema', 'test') ORDER BY 1")
	return firsts(rows), err
}

// serve runs the server with its own configuration, except for its doors. It
// neither joins a cluster nor follows another server. "loose" passes over what an
// older or the other server does not know.
func (m *mariadb) serve(context.Context) (host.Command, error) {
	return host.Command{Name: m.server, Chroot: m.chroot(), Args: []string{
		"--user=" + m.account, "--skip-networking", "--socket=" + m.private + "/" + mysqlSocket, "--pid-file=" + m.private + "/pid",
		"--loose-mysqlx=OFF", "--loose-wsrep-on=OFF", "--loose-skip-slave-start",
	}}, nil
}

func (m *mariadb) shutdown(ctx context.Context) error {
	_, err := m.query(ctx, "", "SHUTDOWN")
	return err
}

func (*mariadb) endSignal() unix.Signal { return unix.SIGTERM }

func (m *mariadb) answers(ctx context.Context) error {
	rows, err := m.query(ctx, "", "SELECT @@datadir")
	if err == nil {
		return m.isOurs(rows)
	}
	if strings.Contains(err.Error(), "ERROR 1045 ") || strings.Contains(err.Error(), "ERROR 1698 ") {
		return fmt.Errorf("administrator root: %w: put the password into /root/.my.cnf: %w", database.ErrDenied, err)
	}
	return err
}

func (m *mariadb) login(l database.Location) database.Location {
	l.Host, l.Port = m.root.Path(m.private+"/"+mysqlSocket), ""
	return l
}

// query hands the client statements on stdin. It runs as root, whom the server
// knows by the socket, or by a password that stands in root's .my.cnf.
func (m *mariadb) query(ctx context.Context, _, sql string) ([][]string, error) {
	args := []string{"--batch", "--skip-column-names", "--default-character-set=utf8mb4", "--no-auto-rehash"}
	if m.private != "" {
		args = append(args, "--protocol=socket", "--socket="+m.private+"/"+mysqlSocket)
	}
	c := host.Command{Name: m.client, Args: args, Chroot: m.chroot(), Stdin: []byte("SET SESSION sql_mode = '';\n" + sql + ";\n")}
	out, err := m.run.Run(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("database server: %w", hidden(err, sql))
	}
	var rows [][]string
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for i, f := range fields {
			fields[i] = mysqlUnescape.Replace(f)
		}
		rows = append(rows, fields)
	}
	return rows, nil
}

// mysqlUnescape undoes what the client does in batches.
var mysqlUnescape = strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n", `\0`, "\x00")

// hiddenError is an error whose text was too open.
type hiddenError struct {
	text string
	err  error
}

func (e *hiddenError) Error() string { return e.text }
func (e *hiddenError) Unwrap() error { return e.err }

// hidden takes what a server stores of passwords out of an error: the server
// quotes the part of a statement it does not like.
func hidden(err error, sql string) error {
	text := err.Error()
	for word := range strings.SplitSeq(sql, "'") {
		if strings.HasPrefix(word, "*") {
			for n := len(word); n > 4; n-- { // the quoted part may end within
				text = strings.ReplaceAll(text, word[:n], "(secret)")
			}
		}
	}
	return &hiddenError{text, err}
}

// mysqlName quotes an identifier, mysqlText a text. Names hold no backslash, so
// that doubling the quote is all, whatever the mode of the server.
func mysqlName(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

func mysqlText(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }

// mysqlScope is all tables of a database in GRANT, where "_" and "%" would stand
// for other databases as well.
func mysqlScope(db string) string {
	return mysqlName(strings.NewReplacer("_", `\_`, "%", `\%`).Replace(db)) + ".*"
}
