package database

import (
	"fmt"
	"slices"
	"strings"

	"modernc.org/sqlite"
)

// guard lets the connection compile nothing but what building table takes,
// whatever the statements look like (https://www.sqlite.org/c3ref/set_authorizer.html).
func (c *connection) guard(table string) error {
	return c.Raw(func(driver any) error {
		r, ok := driver.(sqlite.AuthorizerRegisterer)
		if !ok {
			return fmt.Errorf("guard: the SQLite driver has no authorizer")
		}
		return r.RegisterAuthorizer(func(action sqlite.AuthorizerActionCode, arg1, arg2, database, trigger string) sqlite.AuthorizerReturnCode {
			if mayCompile(action, arg1, arg2, database, trigger, table) {
				return sqlite.AuthorizerOK
			}
			return sqlite.AuthorizerDeny
		})
	})
}

func mayCompile(action sqlite.AuthorizerActionCode, arg1, arg2, database, trigger, table string) bool {
	if trigger != "" || database != "" && database != "main" {
		return false
	}
	switch action {
	case sqlite.AuthCreateTable:
		return arg1 == table || arg1 == "sqlite_sequence"
	case sqlite.AuthCreateIndex:
		return strings.EqualFold(arg2, table)
	case sqlite.AuthInsert, sqlite.AuthUpdate, sqlite.AuthDelete, sqlite.AuthRead:
		return strings.EqualFold(arg1, table) || slices.Contains(systemTables(), arg1)
	case sqlite.AuthFunction:
		return slices.Contains(plainFunctions(), strings.ToLower(arg2))
	case sqlite.AuthPragma:
		return slices.Contains([]string{"user_version", "application_id", "integrity_check"}, arg1)
	case sqlite.AuthTransaction, sqlite.AuthReindex:
		return true
	default:
		return false
	}
}

// systemTables are where SQLite itself keeps what a CREATE statement says.
func systemTables() []string { return []string{"sqlite_master", "sqlite_schema", "sqlite_sequence"} }

// plainFunctions are those a CHECK, a DEFAULT or an index of a schema may call:
// they look at their arguments and at nothing else, and give back no more than
// they were given.
func plainFunctions() []string {
	return []string{
		"abs", "coalesce", "date", "datetime", "glob", "ifnull", "iif", "instr", "julianday", "length",
		"like", "lower", "ltrim", "max", "min", "nullif", "octet_length", "round", "rtrim", "sign",
		"strftime", "substr", "substring", "time", "trim", "typeof", "unixepoch", "upper",
		"current_date", "current_time", "current_timestamp",
	}
}
