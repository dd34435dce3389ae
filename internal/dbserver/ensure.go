package dbserver

import (
	"context"
	"fmt"
)

// Note makes an Act durable before it comes to be.
type Note func(Act) error

// Plan is what Ensure would do.
type Plan struct {
	Steps []string // as a person says them; none if there is nothing to do
	Notes []string // what is as it is, and somebody should know
}

// step is one change that is not made yet.
type step struct {
	act   Act
	do    func(context.Context) error
	takes effect
}

// effect is what a change takes to be seen by a running server.
type effect int

const (
	effectNone effect = iota
	effectReload
	effectRestart
)

// Plan says what Start and Ensure would do now. With the server stopped, what only
// the server knows is a note.
func (s *Server) Plan(ctx context.Context, w Want) (Plan, error) {
	if err := s.check(w); err != nil {
		return Plan{}, err
	}
	empty, err := s.kind.empty()
	if err != nil {
		return Plan{}, err
	}
	var p Plan
	var live, still []step
	if empty { // the files come with the cluster
		p.Steps = append([]string{s.clusterAct().What}, s.kind.fresh(w)...)
	} else if live, still, p.Notes, err = s.present(ctx, w); err != nil {
		return Plan{}, err
	}
	boot, err := s.bootSteps(ctx, w)
	if err != nil {
		return Plan{}, err
	}
	for _, steps := range [][]step{live, still, boot} {
		for _, st := range steps {
			p.Steps = append(p.Steps, st.act.What)
		}
	}
	return p, nil
}

// present returns what is to change in a cluster that is there.
func (s *Server) present(ctx context.Context, w Want) (live, still []step, notes []string, err error) {
	switch err := s.kind.answers(ctx); {
	case err == nil:
		if live, notes, err = s.kind.statements(ctx, w); err != nil {
			return nil, nil, nil, err
		}
	case noWaiting(err):
		return nil, nil, nil, err
	default:
		notes = []string{"the database server does not run: what it has of user, password and database shows when it is started"}
	}
	still, more, err := s.kind.files(w)
	return live, still, append(notes, more...), err
}

// Ensure gives the running server what w wants and it does not have. note comes
// before each change; its error ends the work. It returns what was done: nothing
// if all was there.
func (s *Server) Ensure(ctx context.Context, w Want, note Note) (Plan, error) {
	if err := s.check(w); err != nil {
		return Plan{}, err
	}
	if err := s.kind.answers(ctx); err != nil {
		return Plan{}, err
	}
	live, notes, err := s.kind.statements(ctx, w)
	if err != nil {
		return Plan{}, err
	}
	still, more, err := s.kind.files(w)
	if err != nil {
		return Plan{}, err
	}
	done := Plan{Notes: append(notes, more...)}
	takes := effectNone
	for _, steps := range [][]step{live, still} {
		did, e, err := carryOut(ctx, steps, note)
		done.Steps = append(done.Steps, did...)
		if err != nil {
			return done, err
		}
		takes = max(takes, e)
	}
	if err := s.apply(ctx, w, takes); err != nil {
		return done, err
	}
	boot, err := s.bootSteps(ctx, w)
	if err != nil {
		return done, err
	}
	did, _, err := carryOut(ctx, boot, note)
	done.Steps = append(done.Steps, did...)
	return done, err
}

// apply makes the running server take up what changed in its files.
func (s *Server) apply(ctx context.Context, w Want, e effect) error {
	if e == effectNone {
		return nil
	}
	if err := s.kind.reload(ctx); err != nil || e == effectReload {
		return err
	}
	if err := s.restart(ctx); err != nil {
		return err
	}
	return s.kind.applied(ctx, w)
}

func (s *Server) check(w Want) error {
	if err := w.check(); err != nil {
		return err
	}
	return s.kind.check(w)
}

func carryOut(ctx context.Context, steps []step, note Note) (did []string, takes effect, err error) {
	for _, st := range steps {
		if err := note(st.act); err != nil {
			return did, takes, fmt.Errorf("note of %q: %w", st.act.What, err)
		}
		if err := st.do(ctx); err != nil {
			return did, takes, fmt.Errorf("%s: %w", st.act.What, err)
		}
		did = append(did, st.act.What)
		takes = max(takes, st.takes)
	}
	return did, takes, nil
}

// sqlStep is a step of statements that run in a database, "" for the
// administrator's, and those that take it back.
func sqlStep(k kind, what, database, sql string, undo ...string) step {
	act := Act{Kind: ActSQL, What: what, Name: database}
	for _, u := range undo {
		act.Undo = append(act.Undo, Kept(u))
	}
	return step{act: act, do: func(ctx context.Context) error {
		_, err := k.query(ctx, database, sql)
		return err
	}}
}

// clusterAct is the act of making the cluster.
func (m *machine) clusterAct() Act {
	return Act{Kind: ActCluster, What: "initialise the database cluster in " + m.data, Name: m.data}
}
