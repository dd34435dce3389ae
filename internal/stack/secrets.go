package stack

import (
	"slices"
	"strings"
)

// SecretColumn is a column of a table that holds secrets.
type SecretColumn struct {
	Table, Column string
	// Keys are the values of column "key" of the rows in which it does; nil for all rows.
	Keys []string
}

// IsSecret reports whether column of a row of table, with these values by column, holds
// a secret: because the stack says so, or because it is called like one, as in tables
// that a later version adds.
func (s Stack) IsSecret(table, column string, row map[string]string) bool {
	for _, c := range s.SecretColumns {
		if c.Table == table && c.Column == column {
			return c.Keys == nil || slices.Contains(c.Keys, row["key"])
		}
	}
	return soundsSecret(column)
}

// soundsSecret reports whether a name is one that secrets have.
func soundsSecret(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"passw", "passphrase", "community", "privkey", "authkey", "secret", "token"}, func(part string) bool {
		return strings.Contains(name, part)
	})
}
