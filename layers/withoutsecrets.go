package layers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
)

// hider finds secrets in what is captured for somebody who must not have them. It errs
// on the safe side: a file too much that is left out costs a question.
type hider struct {
	c *capture
	// values are those of the database's secret columns, by their first bytes.
	values map[[shortest]byte][]string
	begins [256]bool // the first bytes of values
	forms  []form
}

// shortest is how long a value must be to be told from other text, in bytes.
const shortest = 5

// searchable is how large a file may be to be looked through, in bytes. What is larger
// is of no use for support.
const searchable = 16 << 20

// form is how secrets look that are in no table.
type form struct {
	what string
	// hints are in lower case; a text without any of them does not match, and most texts
	// are told by that.
	hints   []string
	pattern *regexp.Regexp
}

// forms lists them. A value that begins with $ or < is a variable.
func forms() []form {
	const value = `["']?[^\s"'$<>(){},;]{3}`
	return []form{
		{"a private key", []string{"private key-----", "age-secret-key-1"}, regexp.MustCompile(`PRIVATE KEY-----|AGE-SECRET-KEY-1`)},
		// crypt(5)
		{"a password hash", []string{"$", "{ssha", "{crypt", "{sha"}, regexp.MustCompile(`\$(1|2[abxy]|5|6|7|y|gy|sha1|apr1)\$[./A-Za-z0-9=,$]{8}|\{(SSHA|CRYPT|SHA)[0-9]*\}[./A-Za-z0-9+=]{8}|SCRAM-SHA-256\$`)},
		{"an SNMP community", []string{"community"}, regexp.MustCompile(`(?i)\b(com|trap|snmp-?)?community[ \t]*[=: \t][ \t]*` + value)},
		{"an SNMP community", []string{"community", "com2sec"}, regexp.MustCompile(`(?im)^[ \t]*(ro|rw|trap)community6?[ \t]+\S|^[ \t]*com2sec6?[ \t]`)},
		{"what is assigned to a secret's name", []string{"passw", "passphrase", "pwd", "secret", "token", "api", "licen", "private"}, regexp.MustCompile(
			`(?i)(passw(or)?d|passphrase|pwd|secret|token|api_?-?key|licen[cs]e_?-?key|private_?-?key)[a-z0-9_]*["']?[ \t]*(=>?|:)[ \t]*` + value)},
		{"what follows an option for a secret", []string{"-key", "-p", "-secret", "-token", "-api"}, regexp.MustCompile(`(?i)(^|\s)--?(key|p(ass)?w(or)?d|pass|passphrase|secret|token|api-?key)[ \t=]+` + value)},
		{"a key of TSIG", []string{"secret"}, regexp.MustCompile(`(?i)\bsecret[ \t]+"?[A-Za-z0-9+/]{8}`)},
		{"a password in a URL", []string{"://"}, regexp.MustCompile(`[a-z][a-z0-9+.-]*://[^\s/:@"'<>]+:[^\s/@$"'<>]+@`)},
		{"a login", []string{"authorization"}, regexp.MustCompile(`(?i)authorization[ \t]*:[ \t]*(basic|bearer)[ \t]`)},
	}
}

// hideSecrets returns src without the values that are secrets, and remembers them to
// find them in files.
func (c *capture) hideSecrets(ctx context.Context, src database.Source) (database.Source, error) {
	if !c.o.WithoutSecrets {
		return src, nil
	}
	h := &hider{c: c, values: map[[shortest]byte][]string{}, forms: forms()}
	tables, err := src.Tables(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		err := database.Records(ctx, src, t, func(row map[string]string) error {
			for column, value := range row {
				if c.o.Stack.IsSecret(t, column, row) {
					h.know(value)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	c.hider = h
	return database.Redact(src, func(table, column string, row map[string]string) bool {
		return c.o.Stack.IsSecret(table, column, row) || h.find([]byte(row[column])) != ""
	}), nil
}

// know remembers a value.
func (h *hider) know(value string) {
	value = strings.TrimSpace(value)
	if len(value) < shortest {
		return
	}
	begin := [shortest]byte([]byte(value)[:shortest])
	h.begins[value[0]] = true
	if !slices.Contains(h.values[begin], value) {
		h.values[begin] = append(h.values[begin], value)
	}
}

// find says what secret is in content, "" if none is.
func (h *hider) find(content []byte) string {
	for i := 0; len(h.values) > 0 && i+shortest <= len(content); i++ {
		if !h.begins[content[i]] {
			continue
		}
		for _, value := range h.values[[shortest]byte(content[i:i+shortest])] {
			end := i + len(value)
			if end > len(content) || string(content[i:end]) != value {
				continue
			}
			if i > 0 && isWord(content[i-1]) && isWord(value[0]) || end < len(content) && isWord(content[end]) && isWord(value[len(value)-1]) {
				continue // part of a longer word
			}
			return "a value of the database that is a secret"
		}
	}
	lower := bytes.ToLower(content)
	for _, f := range h.forms {
		hinted := slices.ContainsFunc(f.hints, func(hint string) bool { return bytes.Contains(lower, []byte(hint)) })
		if hinted && f.pattern.Match(content) {
			return f.what
		}
	}
	return ""
}

func isWord(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// whatSecret is what is said of a file that is left out because of what is in it.
const whatSecret = "left out with the secrets"

// look says why the file of e, whose content r has, is left out; "" if it is not.
func (h *hider) look(e artifact.Entry, r io.ReaderAt) (string, error) {
	if e.FileSize() > searchable {
		return fmt.Sprintf("too large to look through for secrets: %d bytes", e.FileSize()), nil
	}
	content := make([]byte, e.FileSize())
	n, err := r.ReadAt(content, 0)
	if err != nil && err != io.EOF {
		return "", err
	}
	for _, value := range e.Xattrs {
		content = append(append(content[:n], '\n'), value...)
		n = len(content)
	}
	if why := h.find(content[:n]); why != "" {
		return "holds " + why, nil
	}
	// What is compressed shows nothing of what is in it.
	if isPacked(content[:n]) {
		return "compressed: what is in it cannot be looked through for secrets", nil
	}
	return "", nil
}

// isPacked reports whether content is an archive or compressed.
func isPacked(content []byte) bool {
	for _, magic := range []string{"\x1f\x8b", "BZh", "\xfd7zXZ\x00", "\x28\xb5\x2f\xfd", "PK\x03\x04", "\xed\xab\xee\xdb", "!<arch>\n", "\x1f\x9d", "7z\xbc\xaf"} {
		if bytes.HasPrefix(content, []byte(magic)) {
			return true
		}
	}
	return false
}

// leaveSecrets lists what the kind secrets would have held, by directory.
func (c *capture) leaveSecrets(items []item) {
	at := map[string]int{}
	for _, it := range items {
		if !it.file {
			continue
		}
		dir := path.Clean("/" + it.dir.path)
		i, ok := at[dir]
		if !ok {
			i = len(c.config.LeftOut)
			at[dir] = i
			c.leaveOut(artifact.LeftOut{Path: dir, What: "secrets", Reason: "left out of a snapshot for support"})
		}
		c.config.LeftOut[i].Entries++
		c.config.LeftOut[i].Size += it.size
	}
}
