// Package merge joins files of a host with those of a snapshot where neither may
// be lost: names and addresses, keys that may log in, keys of other hosts, NFS
// exports. It opens no file and knows no path: bytes in, bytes out.
//
// To merge a result with the same snapshot once more changes nothing, or a second
// import would find something to do.
package merge

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Result is a merged file.
type Result struct {
	Content []byte
	// Notes say for people what was added, kept and replaced: names, addresses and
	// paths of exports, never a key.
	Notes []string
}

// splitLines returns the lines of b without their newlines. A last line needs
// none.
func splitLines(b []byte) []string {
	if len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// joinLines is the file of these lines: host, byte for byte, if it has them
// already.
func joinLines(lines []string, host []byte) []byte {
	if len(lines) == 0 {
		return nil
	}
	content := strings.Join(lines, "\n") + "\n"
	if content == string(host) || content == string(host)+"\n" {
		return host
	}
	return []byte(content)
}

// lineSet is a set of lines.
type lineSet map[string]bool

func (s lineSet) add(lines ...string) {
	for _, l := range lines {
		s[l] = true
	}
}

// blanks are between the fields of all these files.
const blanks = " \t\r\f\v"

func isBlankRune(r rune) bool { return strings.ContainsRune(blanks, r) }

func isBlank(line string) bool { return strings.Trim(line, blanks) == "" }

// count says how many there are of what has these two forms.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// maxNamed is how many names a note has.
const maxNamed = 10

// list names some of all, each once. What a terminal would take for more than text
// is quoted.
func list(all []string) string {
	seen := lineSet{}
	all = slices.DeleteFunc(slices.Clone(all), func(s string) bool {
		defer seen.add(s)
		return seen[s]
	})
	for i, s := range all {
		if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			all[i] = strconv.QuoteToASCII(s)
		}
	}
	if len(all) <= maxNamed {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:maxNamed], ", "), len(all)-maxNamed)
}
