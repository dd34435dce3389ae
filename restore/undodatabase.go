package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/dbserver"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/service"
)

// acted takes back what was set up on the server. The list of it goes last: an
// undo may be interrupted, and done again.
func (u *undoer) acted(ctx context.Context, engine database.Engine) error {
	all, err := readActs(u.state)
	if err != nil || len(all) == 0 {
		return err
	}
	if err := u.reload(ctx); err != nil {
		return err
	}
	s, err := dbserver.Find(u.Root, u.Runner, engine)
	if err != nil {
		return err
	}
	if err := s.Remove(ctx, all); err != nil {
		return err
	}
	return ignoreMissing(u.state.Remove(actsFile))
}

// reload has systemd see what was put back of its units: a mask may be gone.
func (u *undoer) reload(ctx context.Context) error {
	if !service.Running(u.Root) {
		return nil
	}
	return service.Reload(ctx, u.Runner)
}

// tables puts back what the database held; ours says that the host serves it.
func (u *undoer) tables(ctx context.Context, ours bool) (err error) {
	d, err := u.state.OpenDir(keptDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was put back before
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	l, dump, err := openKept(d)
	if err != nil {
		return err
	}
	if ours {
		if err := u.reload(ctx); err != nil {
			return err
		}
		s, findErr := dbserver.Find(u.Root, u.Runner, l.Engine)
		if findErr != nil {
			return findErr
		}
		stop, startErr := s.Start(ctx, func(a dbserver.Act) error {
			if a.Kind == dbserver.ActStart {
				return nil // it is stopped below
			}
			return fmt.Errorf("%s: it was there during the import", a.What)
		})
		if startErr != nil {
			return startErr
		}
		defer func() { err = errors.Join(err, stop(ctx)) }()
		l = s.Login(l)
	}
	if err := database.PutBack(ctx, l, dump); err != nil {
		return err
	}
	return u.state.RemoveAll(keptDir)
}

// endStack ends the stack's own restore where it outlived a kill of this program:
// it would go on with tables that are put back. It is known by its name and the
// directory of the tables, both on its command line.
func (u *undoer) endStack(ctx context.Context) error {
	if _, err := u.state.Lstat(stagedDir); errors.Is(err, fs.ErrNotExist) {
		return nil // it was given no tables
	}
	dir := path.Join(StateDir, u.work.id, stagedDir)
	within, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	for {
		all, err := host.Processes(u.Root)
		if err != nil {
			return err
		}
		ended := true
		for _, p := range all {
			line := strings.Join(p.Args, " ")
			if !strings.Contains(line, dir) || !strings.Contains(line, "restorexCATdb") && !strings.Contains(line, "tabrestore") {
				continue
			}
			ended = false
			if err := p.Signal(unix.SIGKILL); err != nil {
				return err
			}
		}
		if ended {
			return nil
		}
		select {
		case <-within.Done():
			return fmt.Errorf("the stack's own restore still runs: %w", within.Err())
		case <-time.After(endPoll):
		}
	}
}

// endWithin is how long a process may take that was killed, and endPoll how often
// it is looked for.
const (
	endWithin = 10 * time.Second
	endPoll   = 20 * time.Millisecond
)
