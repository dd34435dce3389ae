package pkgmgr

import (
	"errors"
	"io/fs"
	"net/http"
	"strings"
)

// lasting reports whether asking again would give the same answer.
func lasting(err error) bool {
	var status statusError
	return errors.Is(err, fs.ErrNotExist) || (errors.As(err, &status) && status >= 400 && status < 500)
}

// mirrorsError is what each mirror said, on one line.
type mirrorsError []error

func (e mirrorsError) Error() string {
	said := make([]string, 0, len(e))
	for _, err := range e {
		said = append(said, err.Error())
	}
	return strings.Join(said, "; ")
}

// Unwrap is for errors.Is and errors.As.
func (e mirrorsError) Unwrap() []error { return e }

// isAbsent reports whether an error says that a file is not there.
func isAbsent(err error) bool {
	var status statusError
	return errors.Is(err, fs.ErrNotExist) || (errors.As(err, &status) && (status == http.StatusNotFound || status == http.StatusGone))
}
