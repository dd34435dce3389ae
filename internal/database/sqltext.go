package database

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The statements of a schema come from an artifact that may be hostile. Two
// walls stand before them: here their shape is checked, one statement about
// one table; and guard lets SQLite compile nothing else.

func checkCreateTable(sql, table string) error {
	t, err := newTokens(sql)
	if err != nil {
		return err
	}
	if !t.words("CREATE", "TABLE") {
		return errors.New(`does not begin with "CREATE TABLE"`)
	}
	if name := t.next(); name.text != table || !name.isName() {
		return fmt.Errorf("is for another table than %q", table)
	}
	if t.next().text != "(" {
		return errors.New(`no "(" after the table's name`)
	}
	return t.rest()
}

func checkCreateIndex(sql, table string) error {
	t, err := newTokens(sql)
	if err != nil {
		return err
	}
	if !t.words("CREATE", "INDEX") {
		t.reset()
		if !t.words("CREATE", "UNIQUE", "INDEX") {
			return errors.New(`does not begin with "CREATE INDEX" or "CREATE UNIQUE INDEX"`)
		}
	}
	if !t.next().isName() || !t.words("ON") {
		return errors.New(`no name and "ON" after "INDEX"`)
	}
	if name := t.next(); !strings.EqualFold(name.text, table) || !name.isName() {
		return fmt.Errorf("is for another table than %q", table)
	}
	return t.rest()
}

// token is a word, a quoted name or text without its quotes, or one other
// character.
type token struct {
	text  string
	quote byte // 0 where there is none
}

func (t token) isName() bool {
	return t.quote != 0 || t.text != "" && isWord(t.text[0])
}

// tokens walks over one SQL statement (https://www.sqlite.org/lang.html), as
// far as it takes to tell names, quotes and comments apart.
type tokens struct {
	sql string
	at  int
	err error
}

func newTokens(sql string) (*tokens, error) {
	if sql == "" || len(sql) > maxSQL {
		return nil, fmt.Errorf("is empty or longer than %d bytes", maxSQL)
	}
	if !utf8.ValidString(sql) || strings.ContainsRune(sql, 0) {
		return nil, errors.New("is not UTF-8 text")
	}
	return &tokens{sql: sql}, nil
}

func (t *tokens) reset() { t.at = 0 }

// words reports whether the next tokens are these words, and passes them.
func (t *tokens) words(words ...string) bool {
	for _, w := range words {
		if n := t.next(); n.quote != 0 || !strings.EqualFold(n.text, w) {
			return false
		}
	}
	return true
}

// rest passes the rest of the statement and refuses a second one.
func (t *tokens) rest() error {
	for {
		n := t.next()
		switch {
		case t.err != nil:
			return t.err
		case n == token{}:
			return nil
		case n.text == ";" && n.quote == 0:
			return errors.New(`";" in it: more than one statement`)
		}
	}
}

// has reports whether the unquoted word occurs anywhere from here.
func (t *tokens) has(word string) bool {
	for {
		n := t.next()
		if n == (token{}) {
			return false
		}
		if n.quote == 0 && strings.EqualFold(n.text, word) {
			return true
		}
	}
}

// next returns the next token, the zero token at the end.
func (t *tokens) next() token {
	t.skipBlank()
	if t.at >= len(t.sql) || t.err != nil {
		return token{}
	}
	start := t.at
	switch b := t.sql[t.at]; {
	case b == '\'' || b == '"' || b == '`':
		return t.quoted(b, b)
	case b == '[':
		return t.quoted(b, ']')
	case isWord(b):
		for t.at < len(t.sql) && isWord(t.sql[t.at]) {
			t.at++
		}
	default:
		t.at++
	}
	return token{text: t.sql[start:t.at]}
}

func (t *tokens) quoted(open, end byte) token {
	var text strings.Builder
	for t.at++; t.at < len(t.sql); t.at++ {
		b := t.sql[t.at]
		if b != end {
			text.WriteByte(b)
			continue
		}
		if open == end && t.at+1 < len(t.sql) && t.sql[t.at+1] == end {
			text.WriteByte(b)
			t.at++
			continue
		}
		t.at++
		return token{text: text.String(), quote: open}
	}
	t.err = errors.New("quote is not closed")
	return token{}
}

// skipBlank passes white space and comments.
func (t *tokens) skipBlank() {
	for t.at < len(t.sql) {
		rest := t.sql[t.at:]
		switch {
		case strings.IndexByte(" \t\n\r\f", rest[0]) >= 0:
			t.at++
		case strings.HasPrefix(rest, "--"):
			t.at += lengthTo(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			t.at += 2 + lengthTo(rest[2:], "*/")
		default:
			return
		}
	}
}

// lengthTo is the length of s up to the end of mark, all of s without one.
func lengthTo(s, mark string) int {
	if i := strings.Index(s, mark); i >= 0 {
		return i + len(mark)
	}
	return len(s)
}

func isWord(b byte) bool {
	return b == '_' || b == '$' || b >= 0x80 || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

// quoteName writes name as an SQL identifier.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoteNames writes names as a list of identifiers.
func quoteNames(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quoteName(n)
	}
	return strings.Join(quoted, ", ")
}
