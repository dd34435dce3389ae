package hosttest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// PostgresServer is a real PostgreSQL server with a cluster of its own. It
// listens on a socket in a private directory, where everybody may log in, and
// on a port of the loopback interface, where passwords are asked for. Its disk
// is not synced: a crash of the machine may lose it, a crash of the server not.
type PostgresServer struct {
	// Dir is where the socket lies; Port is that of the loopback interface, and
	// part of the socket's name.
	Dir, Port string

	bin  string // directory of the programs
	data string
	stop io.Closer // ends the server
	last atomic.Int64
}

// PostgresDatabase is a database of a server, and the login of xCAT's role.
type PostgresDatabase struct {
	Server           *PostgresServer
	Host, Port, Name string // Host is 127.0.0.1
	User, Password   string
}

// Postgres returns a server that all tests of the process share; it ends with
// the process. It needs PostgreSQL's server, and root, which may become user
// postgres; without them the test is skipped, or fails where CI=true or
// XCRATE_TEST_ALL=1 is set.
func Postgres(t testing.TB) *PostgresServer {
	t.Helper()
	needPostgres(t)
	s, err := sharedPostgres()
	if err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	return s
}

// sharedPostgres is the one server of this process.
var sharedPostgres = sync.OnceValues(startPostgres)

// NewPostgres is as Postgres, with a server that nobody else uses, which a test
// may Kill.
func NewPostgres(t testing.TB) *PostgresServer {
	t.Helper()
	needPostgres(t)
	s, err := startPostgres()
	if err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	t.Cleanup(func() { _ = s.stop.Close() })
	return s
}

func needPostgres(t testing.TB) {
	t.Helper()
	what := ""
	switch _, err := postgresPrograms(); {
	case err != nil:
		what = "apt-get install postgresql"
	case os.Geteuid() != 0:
		what = "run it as root"
	default:
		return
	}
	if os.Getenv("CI") == "true" || os.Getenv("XCRATE_TEST_ALL") == "1" {
		t.Fatalf("PostgreSQL: %s", what)
	}
	t.Skipf("PostgreSQL: %s", what)
}

// postgresPrograms is the directory of the newest version's programs, where
// Debian puts them.
func postgresPrograms() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.Join(errors.New("no server in /usr/lib/postgresql"), err)
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// runServer starts the server and ends it, with its directory, when the pipe on
// its standard input closes: at the end of this process, however it ends.
const runServer = `trap '' INT
as="setpriv --reuid=postgres --regid=postgres --clear-groups"
$as "$1/initdb" -D "$2/data" -A scram-sha-256 --auth-local=trust --pwfile="$2/password" -E UTF8 --locale=C.UTF-8 --no-sync &&
$as "$1/postgres" -D "$2/data" -k "$2" -p "$3" -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=50 &
read -r end
while kill -0 $! 2>&-; do
  [ -f "$2/data/postmaster.pid" ] && kill -QUIT "$(head -n 1 "$2/data/postmaster.pid")"
  sleep 0.1
done
rm -rf "$2"`

func startPostgres() (*PostgresServer, error) {
	bin, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	// The path of a socket has at most 107 bytes, fewer than those of t.TempDir
	// may have.
	dir, err := os.MkdirTemp("/tmp", "xcrate-pg-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte("of-postgres\n"), 0o644); err != nil {
		return nil, err
	}
	if out, err := exec.Command("chown", "postgres:", dir, filepath.Join(dir, "password")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("chown: %w: %s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("sh", "-c", runServer, "xcrate-test-postgres", bin, dir, port)
	cmd.Stdout, cmd.Stderr = log, log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &PostgresServer{Dir: dir, Port: port, bin: bin, data: filepath.Join(dir, "data"), stop: stopper{stdin, cmd}}
	if err := s.wait(); err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w: %s", errors.Join(err, s.stop.Close()), text)
	}
	return s, nil
}

// stopper closes the pipe that keeps a server, and waits for its end.
type stopper struct {
	pipe io.Closer
	cmd  *exec.Cmd
}

func (s stopper) Close() error { return errors.Join(s.pipe.Close(), s.cmd.Wait()) }

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// wait waits until the server answers, and makes xCAT's role.
func (s *PostgresServer) wait() error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		_, err := s.psql("postgres", "CREATE ROLE xcatadm LOGIN PASSWORD 'xcat-secret'")
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// Kill ends a server of NewPostgres as the kernel would: all of its processes at
// once, without a word to anybody.
func (s *PostgresServer) Kill(t testing.TB) {
	t.Helper()
	pid, err := os.ReadFile(filepath.Join(s.data, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(pid), "\n")
	// The main process first: it would start others for those that die.
	script := `children=$(ps -o pid= --ppid "$1"); kill -KILL "$1" $children`
	if out, err := exec.Command("sh", "-c", script, "kill", first).CombinedOutput(); err != nil {
		t.Fatalf("kill: %v: %s", err, out)
	}
}

// KillProcess kills one process of a server of NewPostgres, as the kernel does
// when memory runs out. The server ends all its sessions then, and recovers,
// which this waits for.
func (s *PostgresServer) KillProcess(t testing.TB, pid string) {
	t.Helper()
	const checkpointer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
	before := s.Admin(t, checkpointer)
	if out, err := exec.Command("kill", "-KILL", pid).CombinedOutput(); err != nil {
		t.Fatalf("kill: %v: %s", err, out)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if now, err := s.psql("postgres", checkpointer); err == nil && now != "" && now != before {
			return
		}
	}
	t.Fatal("PostgreSQL: does not recover")
}

// Program is the path of one of the server's programs, as "pg_dump".
func (s *PostgresServer) Program(name string) string { return filepath.Join(s.bin, name) }

func (s *PostgresServer) psql(database, sql string) (string, error) {
	cmd := exec.Command(s.Program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", s.Dir, "-p", s.Port,
		"-U", "postgres", "-d", database, "-f", "-")
	cmd.Env = []string{"LC_ALL=C.UTF-8"} // nothing of who runs the test
	cmd.Stdin = strings.NewReader(sql)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, stderr.String())
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// Admin runs SQL as the superuser in database postgres, and returns what it
// says: a line a row, columns separated by "|".
func (s *PostgresServer) Admin(t testing.TB, sql string) string {
	t.Helper()
	out, err := s.psql("postgres", sql)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// NewDatabase makes a database in an encoding, "UTF8" or "SQL_ASCII" say. Texts
// in UTF8 sort as in English, not by bytes. It belongs to xCAT's role, or else
// to postgres, as those that xCAT's pgsqlsetup makes.
func (s *PostgresServer) NewDatabase(t testing.TB, encoding string, owner bool) *PostgresDatabase {
	t.Helper()
	name := "xcat" + strconv.FormatInt(s.last.Add(1), 10)
	locale := " LOCALE 'C'"
	if encoding == "UTF8" {
		locale = " LOCALE 'C.UTF-8' LOCALE_PROVIDER icu ICU_LOCALE 'en'"
	}
	role := "postgres"
	if owner {
		role = "xcatadm"
	}
	s.Admin(t, "CREATE DATABASE "+name+" OWNER "+role+" TEMPLATE template0 ENCODING '"+encoding+"'"+locale)
	t.Cleanup(func() { // the server may have been killed
		_, _ = s.psql("postgres", "DROP DATABASE "+name+" WITH (FORCE)")
	})
	return &PostgresDatabase{Server: s, Host: "127.0.0.1", Port: s.Port, Name: name, User: "xcatadm", Password: "xcat-secret"}
}

// Admin is as that of the server, in this database.
func (d *PostgresDatabase) Admin(t testing.TB, sql string) string {
	t.Helper()
	out, err := d.Server.psql(d.Name, sql)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Try is as Admin and returns the error.
func (d *PostgresDatabase) Try(sql string) (string, error) { return d.Server.psql(d.Name, sql) }
