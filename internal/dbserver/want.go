package dbserver

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/xcrate/xcrate/internal/database"
)

// Want is what a server shall have.
type Want struct {
	// Location is what cfgloc says: the database, the user and its password, and
	// the address of the server, which is one of the management node itself.
	Location database.Location
	// Encoding is that of a PostgreSQL database if it is made, "" for UTF8. One that
	// is there keeps its own.
	Encoding string
	// Own are further names and addresses of the management node.
	Own []string
	// Access are the machines let in besides, as Access returns them: addresses,
	// networks ("10.0.0.0/8"), names, domains (".cluster"), or "all".
	Access []string
	// Listen are the addresses the server is to be reached at besides loopback.
	Listen []string
	// Standby is a server that is not started when the machine boots.
	Standby bool
}

// maxName is how long names may be: PostgreSQL cuts longer ones off, MariaDB
// refuses them (63 and 64 bytes; MySQL users 32).
const maxName = 63

// check reports what no server can be given. Names come from a file that somebody
// else wrote.
func (w Want) check() error {
	if err := checkName("database name", w.Location.Name); err != nil {
		return err
	}
	if err := checkName("database user", w.Location.User); err != nil {
		return err
	}
	if w.Location.Password.Reveal() == "" {
		return errors.New("database password: is empty")
	}
	if strings.ContainsRune(w.Location.Password.Reveal(), 0) {
		return errors.New("database password: holds a byte 0")
	}
	return nil
}

// checkName refuses what would be cut off, or what the files and clients of the
// servers have no way to write: quotes and blanks they have.
func checkName(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%s: is empty", what)
	case len(s) > maxName:
		return fmt.Errorf("%s: is longer than %d bytes", what, maxName)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s: is no UTF-8", what)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%s: holds a control character", what)
	case strings.Contains(s, `\`):
		return fmt.Errorf("%s: holds a backslash", what)
	}
	return nil
}
