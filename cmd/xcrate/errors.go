package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/registry"
	"github.com/xcrate/xcrate/internal/stack"
	"github.com/xcrate/xcrate/layers"
	"github.com/xcrate/xcrate/layout"
	"github.com/xcrate/xcrate/restore"
)

// The exit codes, as docs/cli.md lists them.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitWarnings    = 3
	exitCorrupt     = 4
	exitRefused     = 5
	exitInterrupted = 130
)

// hinted is an error with what to type next. An error that says all itself
// has an empty hint.
type hinted struct {
	err  error
	hint string
	code int // 0 for what the error itself says
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// hint adds what to do about err.
func hint(err error, format string, args ...any) error {
	return &hinted{err: err, hint: fmt.Sprintf(format, args...)}
}

// usage marks err as a mistake in the command line.
func usage(err error, hint string) error { return &hinted{err: err, hint: hint, code: exitUsage} }

// exit ends with a code; what there is to say has been said.
func exit(code int) error { return &hinted{err: errSilent, code: code} }

var errSilent = errors.New("")

// report prints err, for people or as part of the document, and returns the
// exit code.
func (a *app) report(err error) int {
	code := exitCodeOf(err)
	err = spoken(err)
	var p *problem
	if err != nil {
		code = exitCodeOf(err)
		p = &problem{Message: err.Error(), Hint: hintFor(err), ExitCode: code}
		if errors.Is(err, context.Canceled) {
			p.Message = "interrupted: nothing was left half done"
			if errors.Is(err, restore.ErrHalfway) {
				p.Message = "interrupted: the import is neither finished nor taken back"
			}
		}
	}
	if a.events != nil {
		if p != nil {
			p.Hint = strings.Join(strings.Fields(p.Hint), " ") // it is laid out for a terminal
		}
		if !a.writeDocument(p) && code == exitOK {
			code = exitError
		}
		return code
	}
	if p != nil {
		_, _ = fmt.Fprintf(a.err, "xcrate: %s\n", escape(p.Message))
		if p.Hint != "" {
			_, _ = fmt.Fprintf(a.err, "        %s\n", p.Hint)
		}
	}
	return code
}

// spoken returns err without the parts that only carry an exit code, nil if there
// is no other. Those may be joined to an error, which must not be lost for that.
func spoken(err error) error {
	if !errors.Is(err, errSilent) {
		return err
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var rest []error
	for _, part := range joined.Unwrap() {
		rest = append(rest, spoken(part))
	}
	return errors.Join(rest...)
}

// exitCodeOf returns the code to end with after err.
func exitCodeOf(err error) int {
	var h *hinted
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &h) && (h.code != 0 || h.err == errSilent): //nolint:errorlint // itself, not one joined to another
		return h.code
	}
	return codeFor(err)
}

func codeFor(err error) int {
	switch {
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case isCorrupt(err):
		return exitCorrupt
	case errors.Is(err, restore.ErrBlocked), errors.Is(err, restore.ErrUnfinished), errors.Is(err, stack.ErrNotMN), errors.Is(err, errUntrusted):
		return exitRefused
	default:
		return exitError
	}
}

func isCorrupt(err error) bool {
	return errors.Is(err, layout.ErrCorrupt) || errors.Is(err, layout.ErrMissing) || errors.Is(err, layout.ErrIndex) ||
		errors.Is(err, artifact.ErrForeign) ||
		errors.Is(err, content.ErrMismatchedDigest) || errors.Is(err, content.ErrInvalidDescriptorSize)
}

// advice is what to do about errors of the packages below, in order.
var advice = []struct {
	is   error
	text string
}{
	{context.Canceled, ""},
	{syscall.ENOSPC, "free space there, or choose another place"},
	{syscall.EROFS, "the place is read-only: mount it for writing, or choose another"},
	{layout.ErrLocked, "wait until the other program is done with it"},
	{layout.ErrNoLayout, "give the directory that an export wrote to"},
	{layout.ErrNotFound, "see which there are: xcrate list PLACE"},
	{artifact.ErrForeign, "xcrate reads only what xcrate export wrote"},
	{restore.ErrLocked, "wait until it is done"},
	{layers.ErrNoPackages, "say where they are: --packages WHERE, or go without: --packages none"},
	{layers.ErrMissing, "say where else they are: --packages auto --packages WHERE,\n        or go on without them: --allow-missing-packages"},
	{layers.ErrUnreadable, "mend that (are you root?), or go on without what cannot be read:\n        --ignore-unreadable"},
	{fs.ErrPermission, "run it as root"},
}

func hintFor(err error) string {
	var h *hinted
	if errors.As(err, &h) && (h.hint != "" || h.code != 0) {
		return h.hint
	}
	var remote *registry.Error
	if errors.As(err, &remote) && remote.Advice != "" {
		return strings.ReplaceAll(remote.Advice, "\n", "\n        ")
	}
	for _, a := range advice {
		if errors.Is(err, a.is) {
			if errors.Is(a.is, fs.ErrPermission) && os.Geteuid() == 0 {
				return "" // root is refused too, by chattr or SELinux
			}
			return a.text
		}
	}
	if isCorrupt(err) {
		return "do not use it: copy or export it again (xcrate verify names every damaged part)"
	}
	return ""
}

// escape keeps bytes of a hostile or odd name from acting on the terminal.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if (r < ' ' && r != '\n' && r != '\t') || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			fmt.Fprintf(&b, "\\x%02x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// args checks the number of arguments and names what is missing.
func args(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		switch {
		case len(given) < len(names):
			return usage(fmt.Errorf("%s: %s is missing", c.Name(), names[len(given)]), "see: "+c.CommandPath()+" --help")
		case len(given) > len(names):
			return usage(fmt.Errorf("%s: unexpected argument %q", c.Name(), given[len(names)]), "see: "+c.CommandPath()+" --help")
		}
		return nil
	}
}
