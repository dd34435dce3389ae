package dbserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// systemd stands in for the one thing that a root in a test has not: it starts and
// stops the real server of the root as its unit would, with its own configuration
// and at its own port, in a network of its own where the management node has its
// address.
type systemd struct {
	host.Exec
	dir   string
	begin []string // starts the server
	end   []string
	calls []string
}

// inNetwork gives a new network its addresses with the programs of the root $1, and
// runs the rest of its arguments there.
const inNetwork = `chroot "$1" ip link set lo up && chroot "$1" ip addr add 10.10.0.1/32 dev lo && exec chroot "$@"`

func (s *systemd) Run(ctx context.Context, c host.Command) ([]byte, error) {
	if c.Name != "systemctl" || c.Args[0] == "enable" {
		return s.Exec.Run(ctx, c)
	}
	s.calls = append(s.calls, strings.Join(c.Args, " "))
	var err error
	switch c.Args[0] {
	case "start":
		err = s.start()
	case "stop":
		err = s.stop()
	case "restart":
		if err = s.stop(); err == nil {
			err = s.start()
		}
	}
	return nil, err
}

func (s *systemd) start() error {
	c := exec.Command("unshare", append([]string{"--net", "--", "sh", "-c", inNetwork, "sh", s.dir}, s.begin...)...)
	out, err := c.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return err
}

func (s *systemd) stop() error {
	out, err := exec.Command("chroot", append([]string{s.dir}, s.end...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return err
}

// count is how often systemctl was called so.
func (s *systemd) count(call string) int {
	n := 0
	for _, c := range s.calls {
		if c == call {
			n++
		}
	}
	return n
}

// manage has l's server run by a systemd.
func manage(l *lab, rundir, account string, begin, end []string) *systemd {
	l.t.Helper()
	if out, err := exec.Command("chroot", l.dir, "install", "-d", "-o", account, rundir).CombinedOutput(); err != nil {
		l.t.Fatalf("%v: %s", err, out)
	}
	s := &systemd{dir: l.dir, begin: begin, end: end}
	l.run, l.managed = s, true
	return s
}

// inside runs a program of the root in the network of a server, whose first pid
// stands in a file.
func inside(t *testing.T, l *lab, pidFile string, env []string, args ...string) (string, error) {
	t.Helper()
	pid, err := os.ReadFile(filepath.Join(l.dir, pidFile))
	check(t, err)
	first, _, _ := strings.Cut(string(pid), "\n")
	c := exec.Command("nsenter", append([]string{"--net", "--target", strings.TrimSpace(first), "--", "chroot", l.dir}, args...)...)
	c.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}, env...)
	out, err := c.CombinedOutput()
	return string(out), err
}

// TestPostgresLive sets a running server up: it listens after a restart, and new
// rules hold without one.
func TestPostgresLive(t *testing.T) {
	l := newLab(t, database.EnginePostgres)
	const data = "/var/lib/postgresql/15/main"
	ctl := []string{"runuser", "-u", "postgres", "--", "/usr/lib/postgresql/15/bin/pg_ctl", "-w", "-l", "/var/log/postgresql/test.log", "-D"}
	sys := manage(l, "/run/postgresql", "postgres", append(slices.Clone(ctl), "/etc/postgresql/15/main", "-o", "-c dynamic_shared_memory_type=mmap -c log_statement=all", "start"), append(slices.Clone(ctl), data, "-m", "fast", "stop"))
	before := l.state(pgConfigured...)
	l.start()
	w := want(database.EnginePostgres)
	l.ensure(w)
	if sys.count("restart postgresql@15-main") != 1 || l.Login(w.Location) != w.Location {
		t.Errorf("systemctl: %q", sys.calls)
	}
	login := func(host string) (string, error) {
		return inside(t, l, data+"/postmaster.pid", []string{"PGPASSWORD=" + w.Location.Password.Reveal()},
			"/usr/lib/postgresql/15/bin/psql", "-X", "-h", host, "-U", "xcatadm", "-d", "xcatdb", "-c", "CREATE TABLE t (k int); DROP TABLE t")
	}
	for _, at := range []string{"10.10.0.1", "127.0.0.1"} {
		if out, err := login(at); err != nil {
			t.Errorf("login at %s: %v: %s", at, err, out)
		}
	}
	w.Access = append(w.Access, "10.30.0.0/16")
	if did := l.ensure(w); len(did.Steps) != 1 || sys.count("restart postgresql@15-main") != 1 {
		t.Errorf("one more network: %q, %q", did.Steps, sys.calls)
	}
	if rows := l.sql("SELECT count(*) FROM pg_hba_file_rules WHERE address = '10.30.0.0'"); rows[0][0] != "1" {
		t.Errorf("rules: %v", rows)
	}
	if again := l.ensure(w); len(again.Steps) > 0 {
		t.Errorf("again: %q", again.Steps)
	}
	hba := filepath.Join(l.dir, "etc/postgresql/15/main/pg_hba.conf")
	good, err := os.ReadFile(hba)
	check(t, err)
	check(t, os.WriteFile(hba, append(good, "host all all nonsense\n"...), 0o640))
	w.Access = append(w.Access, "10.40.0.0/16")
	if _, err := l.Ensure(t.Context(), w, l.note); err == nil || !strings.Contains(err.Error(), "cannot read line") {
		t.Errorf("rules that nobody reads: %v", err)
	}
	text, err := os.ReadFile(hba)
	check(t, err)
	check(t, os.WriteFile(hba, []byte(strings.TrimSuffix(string(text), "host all all nonsense\n")), 0o640))
	entries, warnings, err := Access(t.Context(), l.root, l.run, database.EnginePostgres, "xcatdb", "xcatadm")
	if err != nil || fmt.Sprint(entries) != "[mgmt01 10.10.0.1 10.20.0.0/16 sn01.cluster 10.30.0.0/16 10.40.0.0/16]" || len(warnings) > 0 {
		t.Errorf("access: %q, %q, %v", entries, warnings, err)
	}
	check(t, l.Remove(t.Context(), l.acts))
	log, err := os.ReadFile(filepath.Join(l.dir, "var/log/postgresql/test.log"))
	check(t, err)
	if !strings.Contains(string(log), "CREATE TABLE t") || strings.Contains(string(log), "SCRAM-SHA") || strings.Contains(string(log), "CREATE ROLE") {
		t.Errorf("the log of the server: %s", log)
	}
	sameState(t, before, l.state(pgConfigured...))
	if sys.count("stop postgresql@15-main") != 1 {
		t.Errorf("a server that did not run before: systemctl: %q", sys.calls)
	}
	_, err = l.bringUp(t.Context(), l.note)
	check(t, err)
	if rows := l.sql("SHOW listen_addresses"); rows[0][0] != "localhost" {
		t.Errorf("it listens at %v", rows)
	}
}

// TestMariaDBLive is the same with MariaDB.
func TestMariaDBLive(t *testing.T) {
	l := newLab(t, database.EngineMariaDB)
	sys := manage(l, "/run/mysqld", "mysql",
		[]string{"sh", "-c", "mariadbd --user=mysql >/dev/null 2>&1 </dev/null &"},
		[]string{"sh", "-c", "p=$(cat /run/mysqld/mysqld.pid) && kill $p && while kill -0 $p 2>/dev/null; do sleep 0.1; done"})
	before := l.state(mariadbConfigured...)
	l.start()
	w := want(database.EngineMariaDB)
	l.ensure(w)
	if sys.count("restart mariadb") != 1 {
		t.Errorf("systemctl: %q", sys.calls)
	}
	if out, err := inside(t, l, "run/mysqld/mysqld.pid", []string{"MYSQL_PWD=" + w.Location.Password.Reveal()},
		"mariadb", "--no-defaults", "-h", "10.10.0.1", "-u", "xcatadm", "xcatdb", "-e", "CREATE TABLE t (k int); DROP TABLE t"); err != nil {
		t.Errorf("login: %v: %s", err, out)
	}
	if again := l.ensure(w); len(again.Steps) > 0 {
		t.Errorf("again: %q", again.Steps)
	}
	l.sql("CREATE USER xcatadm@'sn%', xcatadm@'10.30.%'")
	entries, warnings, err := Access(t.Context(), l.root, l.run, database.EngineMariaDB, "xcatdb", "xcatadm")
	if err != nil || fmt.Sprint(entries) != "[10.10.0.1 10.20.0.0/16 10.30.0.0/16 mgmt01 sn01.cluster]" || !says(warnings, "sn%") {
		t.Errorf("access: %q, %q, %v", entries, warnings, err)
	}
	check(t, l.Remove(t.Context(), l.acts))
	sameState(t, before, l.state(mariadbConfigured...))
	_, err = l.bringUp(t.Context(), l.note)
	check(t, err)
	if rows := l.sql("SELECT @@bind_address"); rows[0][0] != "127.0.0.1" {
		t.Errorf("it listens at %v", rows)
	}
}

// TestUnitRanBefore leaves a unit running that ran before.
func TestUnitRanBefore(t *testing.T) {
	l := newLab(t, database.EngineMariaDB)
	sys := manage(l, "/run/mysqld", "mysql",
		[]string{"sh", "-c", "mariadbd --user=mysql --skip-networking >/dev/null 2>&1 </dev/null &"},
		[]string{"sh", "-c", "p=$(cat /run/mysqld/mysqld.pid) && kill $p && while kill -0 $p 2>/dev/null; do sleep 0.1; done"})
	check(t, sys.start())
	t.Cleanup(func() { check(t, sys.stop()) })
	for range 100 {
		if l.kind.answers(t.Context()) == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop := l.start()
	stop()
	check(t, l.kind.answers(t.Context()))
	if slices.ContainsFunc(sys.calls, func(c string) bool { return !strings.HasPrefix(c, "show ") }) {
		t.Errorf("systemctl: %q", sys.calls)
	}
	l.data = "/srv/mysql"
	if _, err := l.Plan(t.Context(), want(database.EngineMariaDB)); err == nil {
		t.Error("no cluster, and no error")
	}
	check(t, os.MkdirAll(filepath.Join(l.dir, "srv/mysql/mysql"), 0o755))
	for _, act := range []func() error{
		func() error { _, err := l.Start(t.Context(), l.note); return err },
		func() error { _, err := l.Plan(t.Context(), want(database.EngineMariaDB)); return err },
		func() error { _, err := l.Ensure(t.Context(), want(database.EngineMariaDB), l.note); return err },
	} {
		if err := act(); !errors.Is(err, errOther) {
			t.Errorf("the server of another cluster: %v", err)
		}
	}
}
