package dbserver

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/xcrate/xcrate/internal/host"
)

// A kill of this program ends neither the programs it ran nor what it asked of
// systemd. Who comes next waits for them, or works on what still changes.

// settled returns once systemd is at no work on the server's unit: a server that is
// about to stop may answer once more.
func (s *Server) settled(ctx context.Context) error {
	return s.poll(ctx, func() (string, error) {
		out, err := s.run.Run(ctx, host.Command{Name: "systemctl", Args: []string{"show", "--property=ActiveState,Job", s.unit}})
		for line := range strings.Lines(string(out)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			if key == "Job" && value != "" || key == "ActiveState" && (value == "activating" || value == "deactivating" || value == "reloading") {
				return "unit " + s.unit + ": still has a job", err
			}
		}
		return "", err
	})
}

// made returns once nobody is making a cluster for the server.
func (s *Server) made(ctx context.Context) error {
	return s.poll(ctx, func() (string, error) {
		all, err := host.Processes(s.root)
		if i := slices.IndexFunc(all, s.isMaker); i >= 0 {
			return fmt.Sprintf("process %d: still makes a database cluster", all[i].ID), err
		}
		return "", err
	})
}

// isMaker reports whether p makes the server's cluster. The cluster stands on the
// command line as a directory, or as Debian names it.
func (s *Server) isMaker(p host.Process) bool {
	makers := []string{"pg_createcluster", "--initialize-insecure", "initdb"}
	if s.init != "" {
		makers = append(makers, path.Base(s.init))
	}
	return slices.ContainsFunc(p.Args, func(a string) bool { return slices.Contains(makers, path.Base(a)) }) &&
		(slices.ContainsFunc(p.Args, func(a string) bool { return strings.HasSuffix(a, s.data) }) ||
			slices.Contains(p.Args, s.version) && slices.Contains(p.Args, path.Base(s.data)))
}

// poll asks again and again until there is nothing to wait for.
func (s *Server) poll(ctx context.Context, busy func() (why string, err error)) error {
	late := time.NewTimer(startWithin)
	defer late.Stop()
	for {
		why, err := busy()
		if err != nil || why == "" {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return fmt.Errorf("%s after %v", why, startWithin)
		case <-time.After(pollEvery):
		}
	}
}
