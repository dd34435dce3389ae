package dbserver

import (
	"context"
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/service"
)

// ErrNotInstalled is wrapped by the error of Find for a host without the server.
var ErrNotInstalled = errors.New("database server is not installed")

// Server is the database server of one host. It is for one goroutine.
type Server struct {
	machine
	kind kind
	own  *process // the private server, nil while there is none
}

// machine is where a server lies and how it is talked to: what all kinds share.
type machine struct {
	root *host.Root
	run  host.Runner
	place
	// private is the directory of the socket while the server runs for us alone, a
	// path of the host; "" while it does not.
	private string
	managed bool // systemd runs the server
}

// place is where packages put a server. Paths are the host's.
type place struct {
	version string // of PostgreSQL: the major, "15"; "" for the others
	programs
	data    string // the cluster's directory
	config  string // the directory of the files that configure it
	unit    string // systemd's name of what is started
	boot    string // of what is enabled, and what xcatd waits for
	account string // of the operating system: who runs it
}

// programs are the paths of what a server is worked with.
type programs struct {
	server string
	client string
	init   string // makes a cluster
	ctl    string // pg_ctl; "" for MariaDB
}

// kind is what tells one sort of server from another.
type kind interface {
	// check reports what of w this server cannot be given.
	check(w Want) error
	// empty reports whether there is no cluster yet. A directory with something
	// else in it is an error.
	empty() (bool, error)
	// initialise makes the cluster.
	initialise(ctx context.Context) error
	// destroy removes the cluster of a stopped server.
	destroy(ctx context.Context) error
	// others lists the databases of users other than those in the cluster.
	others(ctx context.Context) ([]string, error)
	// serve is the server in the foreground, with no door but the private socket.
	serve(ctx context.Context) (host.Command, error)
	// shutdown ends the server that serve started.
	shutdown(ctx context.Context) error
	// endSignal has the server end in good order, whoever is connected.
	endSignal() unix.Signal
	// answers is nil if the administrator gets an answer from this very cluster. Its
	// error wraps database.ErrDenied if there is a server that lets nobody in, and
	// errOther if it is another.
	answers(ctx context.Context) error
	// login is how this process reaches the private server.
	login(l database.Location) database.Location
	// query runs statements as the administrator and returns their rows; database
	// "" is the administrator's.
	query(ctx context.Context, database, sql string) ([][]string, error)
	// fresh says what w takes in an empty cluster.
	fresh(w Want) []string
	// files returns what is to change in configuration, as far as files tell it.
	files(w Want) (steps []step, notes []string, err error)
	// statements returns what is to change in the running server, and remarks.
	statements(ctx context.Context, w Want) (steps []step, notes []string, err error)
	// reload makes the running server read its files again, where that is enough.
	reload(ctx context.Context) error
	// applied reports what of w a server that was started anew does not have.
	applied(ctx context.Context, w Want) error
}

// Find returns the server of an engine that is installed on a host. If there is
// none the error wraps ErrNotInstalled and names the packages that bring it.
func Find(root *host.Root, run host.Runner, engine database.Engine) (*Server, error) {
	s := &Server{machine: machine{root: root, run: run, managed: service.Running(root)}}
	var ok bool
	var err error
	switch engine {
	case database.EnginePostgres:
		s.place, ok, err = findPostgres(root)
		s.kind = &postgres{&s.machine}
	case database.EngineMariaDB:
		s.place, ok, err = findMariaDB(root)
		s.kind = &mariadb{&s.machine}
	default:
		return nil, fmt.Errorf("engine %q: has no server", engine)
	}
	if err != nil {
		return nil, fmt.Errorf("engine %s: %w", engine, err)
	}
	if ok {
		return s, nil
	}
	facts, err := host.ReadFacts(root)
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("engine %s: %w: its packages are %s", engine, ErrNotInstalled, list(Packages(facts.Distro, engine)))
}

// errOther is the cause where another server has the port or the socket: what was
// done to it would be lost to xcatd, or worse.
var errOther = errors.New("another server answers")

// isOurs reports whether the directory a server gave in answer is the one that
// was found.
func (m *machine) isOurs(rows [][]string) error {
	if len(rows) != 1 {
		return errors.New("database server: unknown answer")
	}
	theirs, err := m.root.Resolve(rows[0][0])
	if err != nil {
		return err
	}
	ours, err := m.root.Resolve(m.data)
	if err == nil && path.Clean(theirs) != ours {
		err = fmt.Errorf("database server: %w: its data lies in %s, not in %s", errOther, theirs, ours)
	}
	return err
}

// Unit is the systemd unit that runs the server and xcatd waits for, without
// ".service".
func (s *Server) Unit() string { return s.boot }

// Login says how this process reaches the server that l names: as l says on a
// running machine, through the private socket where Start made one.
func (s *Server) Login(l database.Location) database.Location {
	if s.private == "" {
		return l
	}
	return s.kind.login(l)
}

// chroot is where programs run.
func (m *machine) chroot() string {
	if m.root.IsLive() {
		return ""
	}
	return m.root.Dir()
}

// as is a command that the account of the server runs.
func (m *machine) as(program string, args ...string) host.Command {
	return host.Command{Name: "runuser", Args: append([]string{"-u", m.account, "--", program}, args...), Chroot: m.chroot()}
}

// home is where the account of the server keeps its own settings.
func (m *machine) home() (string, error) {
	accounts, err := host.ReadAccounts(m.root)
	if err != nil {
		return "", err
	}
	u, ok := accounts.LookupUser(m.account)
	if !ok {
		return "", fmt.Errorf("account %s: is not in /etc/passwd", m.account)
	}
	return u.Home, nil
}
