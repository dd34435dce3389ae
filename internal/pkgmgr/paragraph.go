package pkgmgr

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxParagraph bounds a paragraph: the longest of Debian 12 has 76 kilobytes.
const maxParagraph = 4 << 20

// Paragraph is a block of fields as Debian's files have them (deb822(5)): what a
// package says of itself, what a repository lists of it.
type Paragraph struct {
	fields []paragraphField
	index  map[string]int // by name in lower case
}

// paragraphField is a field: the first line of its value without blanks around it,
// lines it goes on in with the blank they begin with.
type paragraphField struct {
	name  string
	lines []string
}

// Get returns the value of a field, "" where it is absent, whatever the case of
// its name. Lines the value goes on in begin with a blank.
func (p Paragraph) Get(name string) string { return strings.Join(p.lines(name), "\n") }

func (p Paragraph) lines(name string) []string {
	if i, ok := p.index[strings.ToLower(name)]; ok {
		return p.fields[i].lines
	}
	return nil
}

// add takes in one line.
func (p *Paragraph) add(line string) error {
	if line[0] == ' ' || line[0] == '\t' {
		if len(p.fields) == 0 {
			return errors.New("it continues nothing")
		}
		last := &p.fields[len(p.fields)-1]
		last.lines = append(last.lines, line)
		return nil
	}
	name, value, ok := strings.Cut(line, ":")
	if !ok || name == "" || strings.ContainsAny(name, " \t") {
		return errors.New("no field") // the line may hold a password
	}
	key := strings.ToLower(name)
	if _, twice := p.index[key]; twice {
		return fmt.Errorf("field %.100q twice", key)
	}
	if p.index == nil {
		p.index = map[string]int{}
	}
	p.index[key] = len(p.fields)
	p.fields = append(p.fields, paragraphField{name, []string{strings.TrimSpace(value)}})
	return nil
}

// paragraphs reads one paragraph after the other.
type paragraphs struct {
	one      *bounded
	lines    *bufio.Reader
	number   int  // of the line that was read
	comments bool // lines that begin with "#" are none
}

func newParagraphs(in io.Reader) *paragraphs {
	one := newBounded(in, maxParagraph)
	return &paragraphs{one: one, lines: bufio.NewReaderSize(one, 1<<16)}
}

// next returns the next paragraph, io.EOF after the last. Lines that hold only
// blanks stand between paragraphs.
func (r *paragraphs) next() (Paragraph, error) {
	r.one.again()
	var p Paragraph
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return Paragraph{}, err
		}
		ended := err != nil
		r.number++
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.TrimSpace(line) == "":
			if len(p.fields) > 0 {
				return p, nil
			}
		case r.comments && line[0] == '#':
		default:
			if err := p.add(line); err != nil {
				return Paragraph{}, fmt.Errorf("line %d: %w", r.number, err)
			}
		}
		if ended && len(p.fields) > 0 {
			return p, nil
		}
		if ended {
			return Paragraph{}, io.EOF
		}
	}
}
