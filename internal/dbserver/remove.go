package dbserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/service"
)

// Remove takes acts back, the last first, whatever of them came to be: users,
// databases, lines in files, and a cluster that was empty before. It can be
// repeated after an error. Where only the server can do it, a stopped one is started
// for that long. A cluster that was made is stopped and removed, unless somebody has
// put other databases into it meanwhile: that is an error, and it stays.
func (s *Server) Remove(ctx context.Context, acts []Act) (err error) {
	cluster := slices.IndexFunc(acts, func(a Act) bool { return a.Kind == ActCluster })
	gone := false // with all that was in it
	if cluster >= 0 {
		if err := s.made(ctx); err != nil {
			return err
		}
		empty, err := s.kind.empty()
		gone = err == nil && empty
	}
	asks := cluster >= 0 && len(acts) > 1 || slices.ContainsFunc(acts, func(a Act) bool { return a.Kind == ActSQL })
	if asks && !gone {
		stop, err := s.bringUp(ctx, func(Act) error { return nil }) // ended below
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop(context.WithoutCancel(ctx))) }()
	}
	takes := effectNone
	for _, a := range slices.Backward(acts) {
		if a.Kind == ActCluster || a.Kind == ActStart || a.Kind == ActSQL && gone {
			continue
		}
		if err := s.takeBack(ctx, a); err != nil {
			return fmt.Errorf("taking back %q: %w", a.What, err)
		}
		if a.Kind == ActBlock || a.Kind == ActFile && a.Name != dropIn {
			takes = effectRestart
		}
	}
	if cluster >= 0 && !gone {
		if err := s.removeCluster(ctx, acts[cluster], asks); err != nil {
			return fmt.Errorf("taking back %q: %w", acts[cluster].What, err)
		}
		return nil
	}
	if !gone && slices.ContainsFunc(acts, func(a Act) bool { return a.Kind == ActStart }) {
		return s.stop(ctx)
	}
	if takes != effectNone && s.managed && s.kind.answers(ctx) == nil {
		return s.restart(ctx)
	}
	return nil
}

func (s *Server) takeBack(ctx context.Context, a Act) error {
	switch a.Kind {
	case ActSQL:
		for _, u := range a.Undo {
			if _, err := s.kind.query(ctx, a.Name, string(u)); err != nil {
				return err
			}
		}
		return nil
	case ActBlock:
		return s.putBlockBack(ctx, a.Name, a.Before)
	case ActFile:
		return s.putFileBack(ctx, a.Name, a.Before)
	case ActEnable:
		return service.Disable(ctx, s.root, s.run, a.Name+".service")
	default:
		return fmt.Errorf("act %q: unknown", a.Kind)
	}
}

// removeCluster removes the cluster that was initialised. used says that more was
// done to it than that: then it must answer before it goes, for only it knows what
// else is in it.
func (s *Server) removeCluster(ctx context.Context, a Act, used bool) error {
	if a.Name != s.data {
		return fmt.Errorf("directory %s: is not that of the server, which is %s", a.Name, s.data)
	}
	switch err := s.kind.answers(ctx); {
	case err == nil:
		others, err := s.kind.others(ctx)
		if err != nil {
			return err
		}
		if len(others) > 0 {
			return fmt.Errorf("directory %s: holds databases of others: %s", s.data, strings.Join(quoteAll(others), ", "))
		}
	case used, noWaiting(err):
		return err
	}
	if err := s.stop(ctx); err != nil {
		return err
	}
	return s.kind.destroy(ctx)
}

// stop stops the server, however it was started.
func (s *Server) stop(ctx context.Context) error {
	if s.managed {
		return service.Stop(ctx, s.run, s.unit)
	}
	return s.stopPrivate(ctx)
}

func quoteAll(words []string) []string {
	var all []string
	for _, w := range words {
		all = append(all, fmt.Sprintf("%q", w))
	}
	return all
}

// removeDir removes directory p, and the one it is in if that is empty then, as
// Debian's own program does.
func (m *machine) removeDir(p string) error {
	d, name, err := m.root.OpenParent(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = errors.Join(d.RemoveAll(name), d.Sync(), d.Close())
	if err != nil {
		return err
	}
	return m.removeEmpty(path.Dir(p))
}

// removeEmpty removes directory p if there is nothing in it.
func (m *machine) removeEmpty(p string) error {
	d, name, err := m.root.OpenParent(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	err = d.Remove(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) {
		return nil
	}
	return errors.Join(err, d.Sync())
}

// clearDir removes what lies in directory p, which stays: packages made it.
func (m *machine) clearDir(p string) (err error) {
	d, err := m.root.OpenDir(p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	names, err := d.Names()
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := d.RemoveAll(n); err != nil {
			return err
		}
	}
	return d.Sync()
}
