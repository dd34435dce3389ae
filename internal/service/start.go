package service

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/xcrate/xcrate/internal/host"
)

const (
	statusWithin = 10 * time.Second
	statusLines  = "10"
	maxStatus    = 2048
)

// StartWithin is Start for as long as limit at most, whatever the unit allows itself:
// xcatd's allows ten minutes. A unit that is not up by then goes on with what it does,
// and the error wraps context.DeadlineExceeded. Each error but that of a ctx which
// ended ends with what systemd says of the unit, and the last lines of its log.
func StartWithin(ctx context.Context, run host.Runner, unit string, limit time.Duration) error {
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := Start(within, run, unit)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if within.Err() != nil {
		err = fmt.Errorf("not up after %s: %w", limit, within.Err())
	}
	if seen := status(ctx, run, unit); seen != "" {
		return fmt.Errorf("unit %s: %w\n%s", unit, err, seen)
	}
	return fmt.Errorf("unit %s: %w", unit, err)
}

// status returns the last lines of what systemd says of unit, at most maxStatus
// bytes. Its exit code is that of the unit's state and no fault.
func status(ctx context.Context, run host.Runner, unit string) string {
	ctx, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	out, _ := run.Run(ctx, host.Command{Name: "systemctl", Args: []string{"status", "--no-pager", "--lines=" + statusLines, unit}})
	said := strings.TrimSpace(strings.ToValidUTF8(string(out), "?"))
	if over := len(said) - maxStatus; over > 0 {
		_, said, _ = strings.Cut(said[over:], "\n") // the rest of the line that was cut
	}
	return said
}
