package restore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/internal/host"
)

// maxSaid bounds how much of what a command says is kept to look for errors, and
// maxSaidShown what of it stands in an error.
const (
	maxSaid      = 1 << 20
	maxSaidShown = 5
)

// saysError finds the lines in which xCAT's client shows an error, alone or for a
// node: "Error: no such thing", "cn01: Error: no such thing", "[mgmt01]: Error: ...".
var saysError = regexp.MustCompile(`^(?:\[?[\w.-]+\]?: ?)?(?:Error|ERROR): `)

// runCommand runs c on the running machine with a clean environment, nothing to
// read, and for as long as it may take; then it is killed with what it started. What
// it says goes to output. An exit code of 0 is not believed if it says that it
// failed: xCAT's client counts errors by their code, and not each has one.
func runCommand(ctx context.Context, run host.Runner, c StackCommand, output io.Writer) error {
	program, err := findProgram(run, c.program)
	if err != nil {
		return fmt.Errorf("command %s: %w", c.ID, err)
	}
	within, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	said := &head{max: maxSaid}
	_, err = run.Run(within, host.Command{
		Name: program, Args: c.Args, Env: c.env, Output: io.MultiWriter(output, said),
		Private: true, // it may show values of the database; its errors are picked below
		Family:  true, // xCAT's commands start a process for each plugin
	})
	if ctx.Err() == nil && within.Err() != nil {
		err = fmt.Errorf("command %q: killed after %s: %w", c.Command, c.Timeout, within.Err())
	}
	told := failuresIn(said.buf.String(), c.failures)
	switch {
	case len(told) == 0:
		return err
	case err == nil:
		return fmt.Errorf("command %q: exit code 0, and it says: %s", c.Command, strings.Join(told, "; "))
	}
	return fmt.Errorf("%w: %s", err, strings.Join(told, "; "))
}

// findProgram returns the first of candidates that the machine has.
func findProgram(run host.Runner, candidates []string) (found string, err error) {
	for _, p := range candidates {
		if found, err = run.Look("", p); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%s: %w", strings.Join(candidates, ", "), err)
}

// failuresIn are the lines of said that tell of a failure, the first few. begins are
// beginnings of such lines beside those of saysError.
func failuresIn(said string, begins []string) (lines []string) {
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(strings.ToValidUTF8(line, "?"))
		known := slices.ContainsFunc(begins, func(b string) bool { return strings.HasPrefix(line, b) })
		if !known && !saysError.MatchString(line) || slices.Contains(lines, line) {
			continue
		}
		if lines = append(lines, line); len(lines) == maxSaidShown {
			break
		}
	}
	return lines
}

// head keeps the first max bytes written to it.
type head struct {
	max int
	buf bytes.Buffer
}

func (h *head) Write(p []byte) (int, error) {
	h.buf.Write(p[:min(len(p), h.max-h.buf.Len())])
	return len(p), nil
}
