package dbserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/service"
)

// privateDir is where the socket of a private server lies. The name is fixed, so
// that one that outlived a kill of this program is found; /run is root's, so
// nobody else can make it.
const privateDir = "/run/xcrate-database"

// pgSocket is the longest name of a socket in privateDir, and maxSocket what fits
// into sun_path (unix(7)).
const (
	pgSocket  = "/.s.PGSQL." + pgPort
	maxSocket = 107
)

const (
	pollEvery = 100 * time.Millisecond
	tellEvery = 20 // polls
	// askFor is how long a server that outlived a kill is asked to end. MariaDB was
	// seen to hang at its end then, and its tables, like PostgreSQL's, stand a crash.
	askFor = 30 * time.Second
	// startWithin is how long a server may take: longer than the crash recovery of a
	// large database.
	startWithin = 10 * time.Minute
)

// Start has the server run and answer. An empty cluster is initialised first, and
// noted. On a running machine its unit is started, which is noted too: it may run on
// after a kill of this program. In a root that does not run, and
// where there is no systemd, its program is started with no door but a socket that
// only root and the server's account reach.
//
// stop ends what Start started, and only that: a unit that ran before runs on.
func (s *Server) Start(ctx context.Context, note Note) (stop func(context.Context) error, err error) {
	empty, err := s.kind.empty()
	if err != nil {
		return nil, err
	}
	if empty {
		act := s.clusterAct()
		_, _, err := carryOut(ctx, []step{{act: act, do: s.kind.initialise}}, note)
		if err == nil {
			err = s.relabel(ctx, "-R", s.data)
		}
		if err != nil {
			return nil, err
		}
	}
	return s.bringUp(ctx, note)
}

// bringUp has the server of a cluster that is there run and answer.
func (s *Server) bringUp(ctx context.Context, note Note) (stop func(context.Context) error, err error) {
	switch {
	case s.managed:
		return s.startUnit(ctx, note)
	case s.own != nil:
		return func(context.Context) error { return nil }, nil
	default:
		return s.startPrivate(ctx)
	}
}

// startUnit starts the unit, if it does not run.
func (s *Server) startUnit(ctx context.Context, note Note) (stop func(context.Context) error, err error) {
	stop = func(context.Context) error { return nil }
	if err := s.settled(ctx); err != nil {
		return nil, err
	}
	switch err := s.kind.answers(ctx); {
	case err == nil:
		return stop, nil
	case noWaiting(err):
		return nil, err
	}
	act := Act{Kind: ActStart, What: "start " + s.unit, Name: s.unit}
	start := func(ctx context.Context) error { return service.Start(ctx, s.run, s.unit) }
	if _, _, err := carryOut(ctx, []step{{act: act, do: start}}, note); err != nil {
		return nil, err
	}
	stop = func(ctx context.Context) error { return service.Stop(ctx, s.run, s.unit) }
	if err := s.wait(ctx, nil); err != nil {
		return nil, errors.Join(err, stop(context.WithoutCancel(ctx)))
	}
	return stop, nil
}

// restart starts the server anew and waits until it answers.
func (s *Server) restart(ctx context.Context) error {
	if s.own != nil {
		if err := s.stopPrivate(ctx); err != nil {
			return err
		}
		_, err := s.startPrivate(ctx)
		return err
	}
	if _, err := s.run.Run(ctx, host.Command{Name: "systemctl", Args: []string{"restart", s.unit}}); err != nil {
		return err
	}
	return s.wait(ctx, nil)
}

// wait returns once the server answers, or what ended it. own is the private
// server, nil where systemd runs it.
func (s *Server) wait(ctx context.Context, own *process) error {
	late := time.NewTimer(startWithin)
	defer late.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var ended <-chan struct{}
	if own != nil {
		ended = own.done
	}
	for {
		err := s.kind.answers(ctx)
		if err == nil || noWaiting(err) {
			return err
		}
		select {
		case <-ended:
			if own.err == nil {
				return errors.New("database server: ended as soon as it was started")
			}
			return fmt.Errorf("database server: %w", own.err)
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return fmt.Errorf("database server: no answer within %v: %w", startWithin, err)
		case <-tick.C:
		}
	}
}

// noWaiting reports whether an answer is one that stays.
func noWaiting(err error) bool {
	return errors.Is(err, database.ErrDenied) || errors.Is(err, errOther)
}

// process is the private server.
type process struct {
	done chan struct{} // closed at its end
	err  error         // why, valid then
	kill func()
}

// startPrivate starts the server's own program.
func (s *Server) startPrivate(ctx context.Context) (stop func(context.Context) error, err error) {
	if st, err := s.root.Stat("/dev/null"); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return nil, fmt.Errorf("database server: %s has no devices: bind-mount /dev there", s.root.Path("/dev"))
	}
	if p := s.root.Path(privateDir + pgSocket); len(p) > maxSocket {
		return nil, fmt.Errorf("database server: %s: a socket's path has at most %d bytes: mount the root at a shorter one", p, maxSocket)
	}
	s.private = privateDir
	fail := func(err error) (func(context.Context) error, error) {
		return nil, errors.Join(err, s.removePrivate())
	}
	if err := s.clearLeftover(ctx); err != nil {
		s.private = ""
		return nil, err
	}
	if err := s.makePrivate(); err != nil {
		return fail(err)
	}
	command, err := s.kind.serve(ctx)
	if err != nil {
		return fail(err)
	}
	// The server outlives ctx, which is that of its start; kill is for one that does
	// not end when it is told to.
	serving, kill := context.WithCancel(context.WithoutCancel(ctx))
	s.own = &process{done: make(chan struct{}), kill: kill}
	go func(p *process) {
		_, p.err = s.run.Run(serving, command)
		close(p.done)
	}(s.own)
	if err := s.wait(ctx, s.own); err != nil {
		kill()
		<-s.own.done // the runner sends SIGKILL in the end
		s.own = nil
		return fail(err)
	}
	return s.stopPrivate, nil
}

// stopPrivate ends the private server in good order, and hard if ctx ends before.
// Without one it does nothing.
func (s *Server) stopPrivate(ctx context.Context) error {
	if s.own == nil {
		return nil
	}
	err := s.kind.shutdown(ctx)
	if err == nil {
		late := time.NewTimer(startWithin)
		defer late.Stop()
		select {
		case <-s.own.done:
			err = s.own.err
		case <-ctx.Done():
			err = ctx.Err()
		case <-late.C:
			err = fmt.Errorf("still runs after %v", startWithin)
		}
	}
	if err != nil {
		s.own.kill()
		<-s.own.done
		err = fmt.Errorf("database server: end: %w", err)
	}
	s.own.kill()
	s.own = nil
	return errors.Join(err, s.removePrivate())
}

// makePrivate makes the directory of the socket, which only the server's account
// and root can enter.
func (s *Server) makePrivate() error {
	accounts, err := host.ReadAccounts(s.root)
	if err != nil {
		return err
	}
	u, ok := accounts.LookupUser(s.account)
	if !ok {
		return fmt.Errorf("account %s: is not in /etc/passwd", s.account)
	}
	if err := s.root.MkdirAll(path.Dir(privateDir), 0o755); err != nil {
		return err
	}
	d, name, err := s.root.OpenParent(privateDir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	if err := d.Mkdir(name, 0o700); err != nil {
		return err
	}
	return d.Chown(name, u.UID, u.GID)
}

// removePrivate removes the directory of the socket.
func (s *Server) removePrivate() error {
	s.private = ""
	d, name, err := s.root.OpenParent(privateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.RemoveAll(name)
}

// clearLeftover ends a private server that outlived a kill of this program, also one
// that does not answer yet. It is known by our directory on its command line.
func (s *Server) clearLeftover(ctx context.Context) error {
	if err := s.endLeftover(ctx); err != nil {
		return fmt.Errorf("database server of an earlier run: end: %w", err)
	}
	err := s.removePrivate()
	s.private = privateDir
	return err
}

func (s *Server) endLeftover(ctx context.Context) error {
	late := time.NewTimer(startWithin)
	defer late.Stop()
	for tries := 0; ; tries++ {
		left, err := s.leftover()
		if err != nil || len(left) == 0 {
			return err
		}
		if tries%tellEvery == 0 { // again and again: one that has just begun to start does not listen
			signal := s.kind.endSignal()
			if time.Duration(tries)*pollEvery >= askFor {
				signal = unix.SIGKILL
			}
			for _, p := range left {
				if err := p.Signal(signal); err != nil {
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return fmt.Errorf("process %d still runs after %v", left[0].ID, startWithin)
		case <-time.After(pollEvery):
		}
	}
}

// leftover are the processes of a private server.
func (s *Server) leftover() ([]host.Process, error) {
	all, err := host.Processes(s.root)
	return slices.DeleteFunc(all, func(p host.Process) bool {
		return !slices.ContainsFunc(p.Args, func(a string) bool { return strings.Contains(a, privateDir) })
	}), err
}
