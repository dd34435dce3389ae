package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// Errors of the server (https://mariadb.com/kb/en/mariadb-error-code-reference/;
// MySQL's numbers below 1900 are the same).
const (
	mariaDatabaseDenied  = 1044
	mariaLoginDenied     = 1045
	mariaNullRefused     = 1048
	mariaUnknownDatabase = 1049
	mariaDuplicate       = 1062
	mariaHostDenied      = 1130
	mariaTableDenied     = 1142
	mariaNoTable         = 1146
	mariaPacketTooBig    = 1153
	mariaLockTimeout     = 1205
	mariaDeadlock        = 1213
	mariaUnknownCollate  = 1273
	mariaWrongText       = 1366
	mariaTooLong         = 1406
	mariaTableChanged    = 1412
	mariaPluginDenied    = 1698
	mariaNotLocked       = 1100
	mariaWrongCollate    = 1253
)

// mariaFault is an error of the server without the text it came with: that
// quotes values.
type mariaFault struct {
	number uint16
	state  string // SQLSTATE
	column string // that the server names, unless it is no column
	row    int64  // of the statement, that a warning names; 0 for none
	text   string
}

// Error is a phrase of ours, or the server's own where that names objects only.
func (f *mariaFault) Error() string {
	if f.state == "" { // a warning has none
		return fmt.Sprintf("%s (server warning %d)", f.text, f.number)
	}
	return fmt.Sprintf("%s (server error %d, state %s)", f.text, f.number, f.state)
}

// mariaError makes errors of the driver fit to be shown.
func mariaError(err error) error {
	var e *mysql.MySQLError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return &mariaFault{number: e.Number, state: string(e.SQLState[:]), text: mariaPhrase(e), column: mariaColumnOf(e.Message)}
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("connection to the server is lost: %w", err)
	}
	return err
}

// mariaPhrase says what the error is. The texts of those that are about logins,
// privileges, locks and definitions hold no values of rows and are shown.
func mariaPhrase(e *mysql.MySQLError) string {
	plain := []uint16{
		mariaDatabaseDenied, mariaLoginDenied, mariaUnknownDatabase, mariaHostDenied, mariaTableDenied, mariaNoTable,
		mariaLockTimeout, mariaDeadlock, mariaUnknownCollate, mariaTableChanged, mariaPluginDenied,
		1005, 1030, 1040, 1050, 1053, 1059, 1071, 1114, 1117, 1118, 1143, 1170, 1203, 1226, 1227, 1290, 1317, 1836, 1877, 1927,
	}
	switch {
	case slices.Contains(plain, e.Number):
		return e.Message
	case e.Number == mariaNullRefused:
		return "NULL where the column takes none"
	case e.Number == mariaDuplicate:
		return "a key is there twice: for this table, keys that differ only in case, accents or trailing blanks are the same"
	case e.Number == mariaPacketTooBig:
		return "longer than the server's max_allowed_packet"
	case e.Number == mariaWrongText:
		return "value that the column's type or character set cannot hold"
	case e.Number == mariaTooLong, e.Number == 1265:
		return "value too long for its column"
	case e.Number == 4025, e.Number == 3819:
		return "value that a CHECK of the table refuses"
	case e.Number == 1038:
		return "values are too long for the server to sort the rows of a table without a key by them"
	case e.Number == 1264, e.Number == 1292:
		return "value that the column's type cannot hold"
	default:
		return "statement is refused"
	}
}

// mariaColumnOf finds the column in "Data too long for column 'x' at row 1" and
// "Incorrect string value: '..' for column `d`.`t`.`x` at row 1". A value may
// stand before it, and in other messages behind: callers know the columns.
func mariaColumnOf(message string) string {
	_, name, found := cutLast(message, "olumn ") // or "Column"
	if !found {
		return ""
	}
	name, _, _ = cutLast(name, " at row ")
	name = strings.TrimSuffix(name, " cannot be null")
	if i := strings.LastIndex(name, "`.`"); i >= 0 {
		name = name[i+3:]
	}
	return strings.Trim(name, "`'")
}

// mariaRowOf finds the row in the same messages.
func mariaRowOf(message string) int64 {
	_, number, _ := cutLast(message, " at row ")
	row, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0
	}
	return row
}

func cutLast(s, mark string) (before, after string, found bool) {
	if i := strings.LastIndex(s, mark); i >= 0 {
		return s[:i], s[i+len(mark):], true
	}
	return s, "", false
}

// isMaria reports whether err is one of these errors of the server.
func isMaria(err error, numbers ...uint16) bool {
	var f *mariaFault
	return errors.As(err, &f) && slices.Contains(numbers, f.number)
}

// mariaLoginError says why there is no connection.
func mariaLoginError(err error) error {
	fault := mariaError(err)
	var network *net.OpError
	switch {
	case isMaria(fault, mariaDatabaseDenied, mariaLoginDenied, mariaPluginDenied, mariaHostDenied):
		return fmt.Errorf("%w: %w", ErrDenied, fault)
	case isMaria(fault, mariaUnknownDatabase):
		return fmt.Errorf("%w: %w", ErrNoDatabase, fault)
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded), errors.Is(err, driver.ErrBadConn),
		errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %w", ErrUnreachable, fault)
	}
	return fault
}
