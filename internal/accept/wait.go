package accept

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"
	"unicode"

	"github.com/xcrate/xcrate/internal/host"
)

const (
	// pause lies between two attempts.
	pause = 250 * time.Millisecond
	// patience is for one answer over the loopback.
	patience = 3 * time.Second
)

// finalError is one that waiting does not change.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

func final(err error) error {
	if err == nil {
		return nil
	}
	return finalError{err}
}

// until calls f until it succeeds, fails for good, or daemons have had their time,
// and returns what it said last. It is called once in any case.
func (t *tester) until(f func() error) error {
	for {
		err := f()
		var end finalError
		if err == nil || t.hopeless || errors.As(err, &end) {
			return err
		}
		select {
		case <-t.waiting.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// connect opens and closes a TCP connection to at, until it can.
func (t *tester) connect(ctx context.Context, at string) error {
	dialer := net.Dialer{Timeout: patience}
	return t.until(func() error {
		conn, err := dialer.DialContext(ctx, "tcp", at)
		if err != nil {
			return cause(err)
		}
		return conn.Close()
	})
}

// cause is err without the addresses in front of it, which the probe names itself.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// command runs a program on the host that may not take longer than Limit. hung says
// that it did.
func (t *tester) command(ctx context.Context, c host.Command) (stdout []byte, hung bool, err error) {
	limited, cancel := context.WithTimeout(ctx, t.Limit)
	defer cancel()
	c.Chroot, c.Family = t.chroot(), true
	stdout, err = t.Runner.Run(limited, c)
	return stdout, err != nil && limited.Err() != nil && ctx.Err() == nil, err
}

func (t *tester) chroot() string {
	if t.Root.IsLive() {
		return ""
	}
	return t.Root.Dir()
}

// look returns the path of program on the host, "" if it has none.
func (t *tester) look(program string) string {
	p, err := t.Runner.Look(t.chroot(), program)
	if err != nil {
		return ""
	}
	return p
}

func printable(r rune) rune {
	if r == '\t' || unicode.IsPrint(r) {
		return r
	}
	return -1
}

// short is the last line of err that says something, for a sentence.
func short(err error) string {
	const most = 300
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	// A server's own words may hold what moves a terminal's cursor.
	s := strings.TrimSpace(strings.Map(printable, lines[len(lines)-1]))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
