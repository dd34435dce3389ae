package hooks

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/xcrate/xcrate/internal/host"
)

// Run runs the hooks of point and tells each of them doc. It returns what became
// of each, and an error that names those that did not do their work:
// `hook pre-import.d/10-x: exit status 3`.
//
// Before something, the first that fails is the last that is run, and none is run
// if one of them is not safe. Afterwards all are run.
func (s Set) Run(ctx context.Context, point Point, doc Document) ([]Result, error) {
	all := s.find(point)
	if len(all) == 0 {
		return nil, nil
	}
	doc.Format, doc.Hook = Format, point
	stdin, err := doc.json()
	if err != nil {
		return nil, fmt.Errorf("document for hooks: %w", err)
	}
	if point.before() {
		for _, f := range all {
			if f.result != nil && f.result.Bad() {
				return []Result{*f.result}, f.fail(errors.New(f.result.Message))
			}
		}
	}
	var results []Result
	var errs []error
	for _, f := range all {
		if f.result != nil {
			results = append(results, *f.result)
			if f.result.Bad() {
				errs = append(errs, f.fail(errors.New(f.result.Message)))
			}
			continue
		}
		r, err := s.one(ctx, f, stdin, doc.environment())
		results = append(results, r)
		if err != nil {
			errs = append(errs, f.fail(err))
			if point.before() {
				break
			}
		}
	}
	return results, errors.Join(errs...)
}

func (f found) fail(err error) error { return fmt.Errorf("hook %s: %w", f.name, err) }

// one runs one hook.
func (s Set) one(ctx context.Context, f found, stdin []byte, env []string) (Result, error) {
	limited, cancel := context.WithTimeout(ctx, s.Limit)
	defer cancel()
	out := &lines{line: func(text string) { s.Line(f.name, text) }}
	begun := s.Now()
	_, err := s.Runner.Run(limited, host.Command{
		Name: f.path, Env: env, Stdin: stdin, Output: out, Streamed: true, Private: true, Family: true,
	})
	out.end()
	r := Result{Name: f.name, Status: OK, Took: seconds(s.Now().Sub(begun))}
	switch {
	case err == nil:
		return r, nil
	case ctx.Err() != nil:
		r.Status, err = Interrupted, ctx.Err()
	case limited.Err() != nil:
		r.Status, err = TimedOut, fmt.Errorf("not done after %v, and ended", s.Limit)
	default:
		r.Status, err = Failed, reason(err)
	}
	r.Message = err.Error()
	return r, err
}

func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

// reason says why a hook failed, without its path, which the hook's name says.
func reason(err error) error {
	if code := host.ExitCode(err); code >= 0 {
		return fmt.Errorf("exit status %d", code)
	}
	if host.LeftOpen(err) {
		return errors.New("what it left running keeps its output open")
	}
	return err
}
