package dbserver

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// saslPrep prepares a password as both ends of SCRAM do (RFC 4013, and
// pg_saslprep of PostgreSQL): blanks of all sorts become a space, what is invisible
// goes, and the rest is brought into one form. As PostgreSQL does, a password that
// is no UTF-8 or must not be used is taken as it is.
func saslPrep(password string) string {
	if !utf8.ValidString(password) {
		return password
	}
	ascii := strings.IndexFunc(password, func(r rune) bool { return r > unicode.MaxASCII }) < 0
	if ascii {
		return password
	}
	mapped := strings.Map(func(r rune) rune {
		switch {
		case isInvisible(r):
			return -1
		case r > unicode.MaxASCII && unicode.Is(unicode.Zs, r), r == 0x200B:
			return ' '
		}
		return r
	}, password)
	prepared := norm.NFKC.String(mapped)
	if prepared == "" || strings.ContainsFunc(prepared, isProhibited) {
		return password
	}
	return prepared
}

// isInvisible is table B.1 of RFC 3454: what is commonly mapped to nothing.
func isInvisible(r rune) bool {
	switch r {
	case 0xAD, 0x34F, 0x1806, 0x180B, 0x180C, 0x180D, 0x200C, 0x200D, 0x2060, 0xFEFF:
		return true
	}
	return r >= 0xFE00 && r <= 0xFE0F
}

// isProhibited is what RFC 4013, section 2.3, forbids of what text is likely to
// hold: controls, private use, what is no character.
func isProhibited(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Co, r) || r&0xFFFE == 0xFFFE || r == 0xFFFD || r >= 0xFDD0 && r <= 0xFDEF
}
