package hosttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// MariaDBServer is a real server with a data directory, a socket and a loopback
// port of its own.
type MariaDBServer struct {
	Socket string
	Port   string // on 127.0.0.1

	dir  string
	stop io.Closer // standard input of the keeper: its end is the server's
	done *exec.Cmd
	mu   sync.Mutex
	last int // database made last
}

// MariaDBLogin is what it takes to use one database of a server.
type MariaDBLogin struct {
	Socket, Port, Name, User, Password string
}

// mariaPassword has what a shell, a URL and a DSN would stumble over.
const mariaPassword = `p'w "x@/:%|1`

// sharedMariaDB starts the one server of a test process: it takes two seconds.
var sharedMariaDB = sync.OnceValues(func() (*MariaDBServer, error) { return newMariaDB() })

// MariaDB returns the server all tests of this process share: a test has a
// database of its own on it, and changes no setting of the server. It ends with
// the process. Without MariaDB on the machine the test is skipped, or fails
// where CI=true or XCRATE_TEST_ALL=1 is set.
func MariaDB(t testing.TB) *MariaDBServer {
	t.Helper()
	needMariaDB(t)
	s, err := sharedMariaDB()
	if err != nil {
		t.Fatalf("MariaDB: %v", err)
	}
	return s
}

// PrivateMariaDB starts a server for one test, which may kill it.
func PrivateMariaDB(t testing.TB, options ...string) *MariaDBServer {
	t.Helper()
	needMariaDB(t)
	s, err := newMariaDB(options...)
	if err != nil {
		t.Fatalf("MariaDB: %v", err)
	}
	t.Cleanup(func() {
		s.Kill()
		_ = os.RemoveAll(s.dir)
	})
	return s
}

func needMariaDB(t testing.TB) {
	t.Helper()
	for _, tool := range []string{"mariadbd", "mariadb-install-db", "mariadb"} {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if _, err := exec.LookPath("/usr/sbin/" + tool); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" || os.Getenv("XCRATE_TEST_ALL") == "1" {
			t.Fatal("apt-get install mariadb-server")
		}
		t.Skip("apt-get install mariadb-server")
	}
}

// newMariaDB makes a data directory and starts a server on it. Its path is
// short, because that of a socket ends at 107 bytes.
func newMariaDB(options ...string) (*MariaDBServer, error) {
	dir, err := os.MkdirTemp("", "xmy")
	if err != nil {
		return nil, err
	}
	s := &MariaDBServer{dir: dir, Socket: filepath.Join(dir, "s")}
	args := []string{"--no-defaults", "--datadir=" + s.data(), "--auth-root-authentication-method=normal", "--skip-test-db"}
	if os.Geteuid() == 0 { // the server refuses to run as root
		if err := giveToMysql(dir); err != nil {
			return nil, err
		}
		args = append(args, "--user=mysql")
	}
	if out, err := exec.Command("mariadb-install-db", args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}
	if err := s.start(options...); err != nil {
		s.Kill()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, s.run("", "CREATE USER xcatadmin@'%' IDENTIFIED BY '"+strings.ReplaceAll(mariaPassword, "'", "''")+"'")
}

func giveToMysql(dir string) error {
	u, err := user.Lookup("mysql")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	return os.Chown(dir, uid, gid)
}

func (s *MariaDBServer) data() string { return filepath.Join(s.dir, "data") }

// keeper runs the server until its own standard input ends, as it does when the
// test process is gone, however it went. Then it removes the directory, if it
// is told to.
const keeper = `PATH=$PATH:/usr/sbin
dir=$1; shift
mariadbd "$@" >"$dir/log" 2>&1 & pid=$!
read -r last
kill -9 $pid; wait $pid
[ "$last" = keep ] || rm -rf "$dir"`

// start starts the server on its data directory, as after Kill.
func (s *MariaDBServer) start(options ...string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, s.Port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	if err := l.Close(); err != nil {
		return err
	}
	args := []string{
		"-c", keeper, "keeper", s.dir,
		"--no-defaults", "--datadir=" + s.data(), "--socket=" + s.Socket, "--pid-file=" + filepath.Join(s.dir, "pid"),
		"--bind-address=127.0.0.1", "--port=" + s.Port, "--skip-log-bin", "--skip-name-resolve", "--innodb-buffer-pool-size=256M",
		// Nobody pulls the plug of the machine, and what is not synced outlives the server.
		"--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", "--skip-sync-frm",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--user=mysql")
	}
	s.done = exec.Command("sh", append(args, options...)...)
	stdin, err := s.done.StdinPipe()
	if err != nil {
		return err
	}
	s.stop = stdin
	if err := s.done.Start(); err != nil {
		return err
	}
	for range 1200 {
		if err = s.run("", "SELECT 1"); err == nil {
			return nil
		}
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		if bytes.Contains(log, []byte("[ERROR] Aborting")) {
			return fmt.Errorf("server does not start: %s", log)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("server does not answer: %w", err)
}

// Kill ends the server as a power failure would.
func (s *MariaDBServer) Kill() {
	if stdin, ok := s.stop.(io.WriteCloser); ok {
		_, _ = io.WriteString(stdin, "keep\n")
		_ = stdin.Close()
		_ = s.done.Wait()
	}
	s.stop = nil
}

// Restart starts a server that was killed, on another port.
func (s *MariaDBServer) Restart(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatalf("MariaDB: %v", err)
	}
}

// Admin runs statements as root, in no database, and returns what they print:
// a line per row, values between tabs.
func (s *MariaDBServer) Admin(t testing.TB, sql string) string {
	t.Helper()
	out, err := s.client("", strings.NewReader(sql))
	if err != nil {
		t.Fatalf("MariaDB: %v", err)
	}
	return out
}

// Load runs the statements of r, such as those of mysqldump, in a database.
func (s *MariaDBServer) Load(t testing.TB, database string, r io.Reader) {
	t.Helper()
	if _, err := s.client(database, r); err != nil {
		t.Fatalf("MariaDB: %v", err)
	}
}

// NewDatabase makes an empty database that xcatadmin may use and that goes with
// the test. charset is its default, as "latin1".
func (s *MariaDBServer) NewDatabase(t testing.TB, charset string) MariaDBLogin {
	t.Helper()
	s.mu.Lock()
	s.last++
	name := fmt.Sprintf("xcatdb%d", s.last)
	s.mu.Unlock()
	s.Admin(t, "CREATE DATABASE "+name+" CHARACTER SET "+charset+"; GRANT ALL ON "+name+".* TO xcatadmin@'%'")
	t.Cleanup(func() { _ = s.run("", "DROP DATABASE IF EXISTS "+name) }) // the server may be gone
	return MariaDBLogin{Socket: s.Socket, Port: s.Port, Name: name, User: "xcatadmin", Password: mariaPassword}
}

func (s *MariaDBServer) run(database, sql string) error {
	_, err := s.client(database, strings.NewReader(sql))
	return err
}

func (s *MariaDBServer) client(database string, sql io.Reader) (string, error) {
	cmd := exec.Command("mariadb", "--no-defaults", "--batch", "--skip-column-names", "--default-character-set=utf8mb4",
		"--socket="+s.Socket, "--user=root", database)
	cmd.Stdin = sql
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("client: %w: %s", err, problems.Bytes())
	}
	return out.String(), nil
}
