package service

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/host"
)

// systemctl writes down how it is called. PostgreSQL of Debian has one part.
type systemctl struct {
	host.Exec
	calls []string
	// start is what starting a unit does, status what is said of one.
	start  func(ctx context.Context) error
	status string
}

func (s *systemctl) Run(ctx context.Context, c host.Command) ([]byte, error) {
	call := strings.Join(c.Args, " ")
	s.calls = append(s.calls, call)
	if call == "show --property=ConsistsOf --value postgresql.service" {
		return []byte("postgresql@15-main.service\n"), nil
	}
	switch {
	case c.Args[0] == "start" && s.start != nil:
		return nil, s.start(ctx)
	case c.Args[0] == "status":
		return []byte(s.status), errors.New("exit status 3")
	}
	return []byte("\n"), nil
}

// TestStop names the parts of a unit, so that systemctl waits for them.
func TestStop(t *testing.T) {
	for unit, want := range map[string]string{
		"postgresql.service": "stop postgresql.service postgresql@15-main.service",
		"mariadb.service":    "stop mariadb.service",
	} {
		var s systemctl
		if err := Stop(t.Context(), &s, unit); err != nil || !slices.Contains(s.calls, want) {
			t.Errorf("%s: %q, %v", unit, s.calls, err)
		}
	}
}

// TestStartWithin has units that start, fail and hang.
func TestStartWithin(t *testing.T) {
	const seen = "xcatd.service - xCAT\n     Active: activating (start)\n  Nov 26 xcatd[7]: waiting for the database"
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	fail := func(context.Context) error { return errors.New("exit status 1") }
	ended, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		ctx    context.Context
		start  func(context.Context) error
		limit  time.Duration
		status string
		says   []string // of the error
		is     error
	}{
		"starts": {start: nil},
		"fails":  {start: fail, status: seen, says: []string{"unit xcatd.service: ", "exit status 1\n", "waiting for the database"}},
		"silent": {start: fail, says: []string{"unit xcatd.service: exit status 1"}},
		"hangs": {
			start: hang, limit: 20 * time.Millisecond, status: seen, is: context.DeadlineExceeded,
			says: []string{"not up after 20ms", "waiting for the database"},
		},
		"talks":  {start: fail, status: strings.Repeat("\xff much\n", 5000) + "last", says: []string{"? much", "last"}},
		"Ctrl-C": {ctx: ended, start: hang, status: seen, is: context.Canceled, says: []string{"context canceled"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := systemctl{start: c.start, status: c.status}
			ctx, limit := c.ctx, c.limit
			if ctx == nil {
				ctx = t.Context()
			}
			if limit == 0 {
				limit = time.Minute
			}
			err := StartWithin(ctx, &s, "xcatd.service", limit)
			if len(c.says) == 0 {
				if err != nil || !slices.Equal(s.calls, []string{"daemon-reload", "start xcatd.service"}) {
					t.Errorf("%q, %v", s.calls, err)
				}
				return
			}
			if err == nil || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("error %v, want %v", err, c.is)
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			if len(err.Error()) > maxStatus+200 || c.ctx == ended && strings.Contains(err.Error(), "database") {
				t.Errorf("says too much: %d bytes, %v", len(err.Error()), err)
			}
		})
	}
}
