package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// maxPassphrase is how long a password or passphrase may be, in bytes: some are tokens.
const maxPassphrase = 64 << 10

// errNobody says that a secret is needed and nobody can be asked for it.
var errNobody = errors.New("nobody to ask: not a terminal")

// askSecret puts a question whose answer is not shown.
func (a *app) askSecret(ctx context.Context, question string) (string, error) {
	in, ok := a.in.(*os.File)
	if !ok || !a.canAsk() {
		return "", errNobody
	}
	_, _ = fmt.Fprint(a.err, question)
	b, err := term.ReadPassword(int(in.Fd()))
	_, _ = fmt.Fprintln(a.err)
	return string(b), cmp.Or(err, ctx.Err())
}

// passphraseFlag is the flag that names the descriptor a passphrase is read from.
const passphraseFlag = "passphrase-fd"

// readPassphrase reads a passphrase from a file that whoever started the program opened
// as descriptor number, so that it stands in no command line and no environment. Only
// its end of line is no part of it.
func (a *app) readPassphrase(number string) (string, error) {
	fd, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return "", usage(fmt.Errorf("--%s %q: no number of a descriptor", passphraseFlag, number), "xcrate ... --passphrase-fd 3 3< FILE")
	}
	from := a.in
	if fd != 0 {
		f := os.NewFile(uintptr(fd), fmt.Sprintf("descriptor %d", fd)) //nolint:forbidigo // it was opened by the caller, and has no path
		if f == nil {
			return "", fmt.Errorf("passphrase: descriptor %d: not open", fd)
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, maxPassphrase))
	if err != nil {
		return "", fmt.Errorf("passphrase: descriptor %d: %w", fd, err)
	}
	if b = bytes.TrimRight(b, "\r\n"); len(b) == 0 {
		return "", usage(fmt.Errorf("passphrase: nothing on descriptor %d", fd), "give it there: xcrate ... --passphrase-fd 3 3< FILE")
	}
	return string(b), nil
}
