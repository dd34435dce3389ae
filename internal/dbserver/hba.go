package dbserver

import (
	"strings"
)

// hbaToken is one word of a line of pg_hba.conf. In a quoted one nothing has a
// meaning: "all" is a database of that name.
type hbaToken struct {
	text   string
	quoted bool
}

// hbaLine is one line of pg_hba.conf that says something. Fields are lists: words
// joined by commas. See PostgreSQL's documentation, "The pg_hba.conf File".
type hbaLine struct {
	number int // of its first line in the file, from 1
	at     int // the offset of that line
	fields [][]hbaToken
}

// parseHBA returns the lines of pg_hba.conf that are neither blank nor comments. A
// backslash at its end continues a line, since PostgreSQL 14.
func parseHBA(text string) []hbaLine {
	var lines []hbaLine
	offset, number := 0, 0
	var open *hbaLine
	var joined string
	for raw := range strings.Lines(text) {
		number++
		if open == nil {
			open, joined = &hbaLine{number: number, at: offset}, ""
		}
		offset += len(raw)
		joined += strings.TrimRight(raw, "\r\n")
		if head, ok := strings.CutSuffix(joined, `\`); ok {
			joined = head
			continue
		}
		lines = open.addTo(lines, joined)
		open = nil
	}
	if open != nil {
		lines = open.addTo(lines, joined)
	}
	return lines
}

func (l *hbaLine) addTo(lines []hbaLine, text string) []hbaLine {
	l.fields = hbaFields(text)
	if len(l.fields) == 0 {
		return lines
	}
	return append(lines, *l)
}

// hbaFields splits a line as next_token of PostgreSQL's hba.c does: blanks and
// commas part words, quotes keep them together, two quotes in a quoted word are
// one, and "#" outside of quotes begins a comment.
func hbaFields(line string) (fields [][]hbaToken) {
	var list []hbaToken
	var word strings.Builder
	quoted, inWord, inQuote := false, false, false
	endWord := func() {
		if inWord {
			list = append(list, hbaToken{word.String(), quoted})
		}
		word.Reset()
		quoted, inWord = false, false
	}
	comma := false // the last thing seen: the list goes on
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case inQuote && c == '"' && i+1 < len(line) && line[i+1] == '"':
			word.WriteByte('"')
			i++
		case c == '"':
			if !inWord && !comma && len(list) > 0 {
				fields, list = append(fields, list), nil
			}
			quoted = quoted || !inWord
			inWord, inQuote, comma = true, !inQuote, false
		case inQuote:
			word.WriteByte(c)
		case c == '#':
			i = len(line)
		case c == ' ' || c == '\t' || c == '\r':
			endWord()
		case c == ',':
			endWord()
			comma = true
		default:
			if !inWord && !comma && len(list) > 0 {
				fields, list = append(fields, list), nil
			}
			word.WriteByte(c)
			inWord, comma = true, false
		}
	}
	endWord()
	if len(list) > 0 {
		fields = append(fields, list)
	}
	return fields
}

// hbaQuote writes a name so that nothing in it has a meaning.
func hbaQuote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// hbaPlace is where a block goes in front of the first rule: the first line that
// fits a connection decides, whatever stands behind it.
func hbaPlace(text string) int {
	if lines := parseHBA(text); len(lines) > 0 {
		return lines[0].at
	}
	return len(text)
}

// hbaRules are the lines that let w's user into its database. Over the socket of
// the machine only where cfgloc names no host: there "peer" would ask for an
// account of the operating system with the role's name.
func hbaRules(w Want, peers []peer) []string {
	who := hbaQuote(w.Location.Name) + " " + hbaQuote(w.Location.User)
	var rules []string
	if h := w.Location.Host; h == "" || strings.HasPrefix(h, "/") {
		rules = append(rules, "local "+who+" scram-sha-256")
	}
	for _, p := range peers {
		rules = append(rules, "host "+who+" "+p.hba()+" scram-sha-256")
	}
	return rules
}
