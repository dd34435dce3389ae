package service

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/host"
)

// systemctl writes down how it is called. PostgreSQL of Debian has one part.
type systemctl struct {
	host.Exec
	calls []string
}

func (s *systemctl) Run(_ context.Context, c host.Command) ([]byte, error) {
	call := strings.Join(c.Args, " ")
	s.calls = append(s.calls, call)
	if call == "show --property=ConsistsOf --value postgresql.service" {
		return []byte("postgresql@15-main.service\n"), nil
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
