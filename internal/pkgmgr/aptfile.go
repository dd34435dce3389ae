package pkgmgr

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ParseAptSources turns a file of apt's sources (sources.list(5)), in the form of
// one line each or that of paragraphs (name ends in ".sources"), into sources in
// one line, "deb [OPTION=VALUE...] URL SUITE COMPONENT...", as OpenSource takes
// them: one for each URL and suite that is enabled and of type deb. URLs keep
// their credentials, errors never have them. A key that stands in the file itself
// has no form in a line and is left out: its source is as one without signed-by.
func ParseAptSources(name string, content []byte) ([]string, error) {
	parse := parseAptList
	if strings.HasSuffix(name, ".sources") || (!strings.HasSuffix(name, ".list") && looksLikeAptParagraphs(content)) {
		parse = parseAptParagraphs
	}
	all, err := parse(content)
	if err != nil {
		return nil, fmt.Errorf("apt sources %s: %w", name, err)
	}
	return all, nil
}

// openAptFile opens the sources of a file.
func openAptFile(where string, in io.Reader, o SourceOptions) (Source, error) {
	b, err := readAtMost(in, maxRepoFile)
	if err != nil {
		return nil, fmt.Errorf("apt sources %s: %w", where, err)
	}
	lines, err := ParseAptSources(where, b)
	if err != nil {
		return nil, err
	}
	s, err := openApt(lines, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return s, nil
}

func parseAptList(content []byte) ([]string, error) {
	var all []string
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		l, err := splitAptLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		switch l.typ {
		case "deb":
			all = append(all, l.String())
		case "deb-src":
		default:
			return nil, fmt.Errorf("line %d: type %.20q: neither deb nor deb-src", n, l.typ)
		}
	}
	return all, nil
}

// String is the line again.
func (l aptLine) String() string {
	words := []string{l.typ}
	if len(l.options) > 0 {
		words = append(words, "["+strings.Join(l.options, " ")+"]")
	}
	return strings.Join(append(append(words, l.uri, l.suite), l.components...), " ")
}

func parseAptParagraphs(content []byte) ([]string, error) {
	var all []string
	in := newParagraphs(bytes.NewReader(content))
	in.comments = true
	for {
		p, err := in.next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		lines, err := aptParagraph(p)
		if err != nil {
			return nil, fmt.Errorf("paragraph that ends in line %d: %w", in.number, err)
		}
		all = append(all, lines...)
	}
}

// aptParagraph returns the sources of one paragraph.
func aptParagraph(p Paragraph) ([]string, error) {
	words := func(name string) []string { return strings.Fields(p.Get(name)) }
	if enabled := p.Get("Enabled"); enabled != "" && !aptYes(enabled) {
		return nil, nil
	}
	isDeb := false
	for _, typ := range words("Types") {
		switch typ {
		case "deb":
			isDeb = true
		case "deb-src":
		default:
			return nil, fmt.Errorf("type %.20q: neither deb nor deb-src", typ)
		}
	}
	switch {
	case len(words("Types")) == 0 || len(words("URIs")) == 0 || len(words("Suites")) == 0:
		return nil, errors.New("no Types, URIs or Suites")
	case !isDeb:
		return nil, nil
	}
	var options []string
	for _, f := range p.fields {
		option, ok := aptOption(strings.ToLower(f.name))
		value := strings.Join(strings.Fields(strings.Join(f.lines, " ")), ",")
		if ok && value != "" && !strings.HasPrefix(value, "-----BEGIN") {
			options = append(options, option+"="+value)
		}
	}
	var all []string
	for _, uri := range words("URIs") {
		for _, suite := range words("Suites") {
			line := aptLine{typ: "deb", uri: uri, suite: suite, options: options, components: words("Components")}.String()
			if _, err := splitAptLine(line); err != nil {
				return nil, err
			}
			all = append(all, line)
		}
	}
	return all, nil
}

// aptOption is the option of a line that a field is, in lower case. Fields of other
// names say something about the source to others.
func aptOption(field string) (option string, ok bool) {
	base := strings.TrimSuffix(strings.TrimSuffix(field, "-add"), "-remove")
	sign := map[string]string{"-add": "+", "-remove": "-"}[strings.TrimPrefix(field, base)]
	switch base {
	case "architectures":
		return "arch" + sign, true
	case "signed-by", "trusted", "allow-insecure", "check-valid-until", "inrelease-path", "snapshot":
		return base, sign == ""
	}
	return "", false
}

// looksLikeAptSources reports whether the first line that says something is one of
// a file of apt's sources, in either form.
func looksLikeAptSources(name string, head []byte) bool {
	if strings.HasSuffix(name, ".list") || strings.HasSuffix(name, ".sources") {
		return true
	}
	return isAptLine(firstLine(head)) || looksLikeAptParagraphs(head)
}

func looksLikeAptParagraphs(head []byte) bool {
	name, _, ok := strings.Cut(firstLine(head), ":")
	switch strings.ToLower(name) {
	case "types", "uris", "suites", "components", "enabled", "signed-by", "architectures", "x-repolib-name":
		return ok
	}
	return false
}

// firstLine is the first line that is neither blank nor a comment.
func firstLine(head []byte) string {
	for line := range bytes.Lines(head) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return string(line)
		}
	}
	return ""
}
