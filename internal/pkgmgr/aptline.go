package pkgmgr

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// aptSuite is what a source of apt says beside where the repository lies
// (sources.list(5)).
type aptSuite struct {
	// dir is the suite, such as "jammy", or of a flat repository the directory its
	// index is in, "." for its top.
	dir        string
	flat       bool
	components []string // none of a flat repository
	arches     []string // nil for the host's own
	signedBy   []string // files and fingerprints of keys
	unsigned   bool     // trusted=yes, allow-insecure=yes: apt takes it without a signature
	forever    bool     // check-valid-until=no
}

// top is the directory of the Release file in the repository, "" or with a slash at
// its end.
func (s aptSuite) top() string {
	if !s.flat {
		return "dists/" + s.dir + "/"
	}
	if s.dir == "." {
		return ""
	}
	return strings.TrimPrefix(s.dir, "./") + "/"
}

// isAptLine reports whether where is a source of apt in one line.
func isAptLine(where string) bool {
	words := strings.Fields(where)
	return len(words) > 1 && (words[0] == "deb" || words[0] == "deb-src")
}

// openApt opens sources of apt, each in one line.
func openApt(lines []string, o SourceOptions) (Source, error) {
	var sections []repoSection
	for _, line := range lines {
		s, err := parseAptLine(line, o.Vars["debarch"])
		if err != nil {
			return nil, fmt.Errorf("apt source: %w", err)
		}
		sections = append(sections, s)
	}
	if len(sections) == 0 {
		return nil, errors.New("apt sources: none that is enabled and of debs")
	}
	return openRepositories(sections, o)
}

// parseAptLine reads "deb [OPTION=VALUE...] URL SUITE COMPONENT...". Errors do not
// repeat it, for it may hold a password.
func parseAptLine(line, arch string) (repoSection, error) {
	l, err := splitAptLine(line)
	if err != nil {
		return repoSection{}, err
	}
	if l.typ != "deb" {
		return repoSection{}, fmt.Errorf("type %.20q: only deb is known", l.typ)
	}
	for _, to := range []*string{&l.uri, &l.suite} {
		if strings.Contains(*to, "$(ARCH)") && arch == "" {
			return repoSection{}, errors.New("$(ARCH): the architecture is not known here")
		}
		*to = strings.ReplaceAll(*to, "$(ARCH)", arch)
	}
	// To apt "copy:" is a file too.
	if rest, ok := strings.CutPrefix(l.uri, "copy:"); ok {
		l.uri = "file:" + rest
	}
	u, err := parseURL(l.uri)
	if err != nil {
		return repoSection{}, err
	}
	s := aptSuite{dir: strings.Trim(l.suite, "/"), flat: strings.HasSuffix(l.suite, "/"), components: l.components}
	if s.flat && s.dir == "" {
		s.dir = "."
	}
	for _, p := range append([]string{s.dir}, s.components...) {
		if _, err := localPath(p); err != nil {
			return repoSection{}, err
		}
	}
	if err := s.apply(l.options, arch); err != nil {
		return repoSection{}, err
	}
	return repoSection{name: shown(u) + " " + l.suite, baseurl: []*url.URL{u}, apt: &s}, nil
}

// aptLine are the words of a source in one line.
type aptLine struct {
	typ, uri, suite string
	options         []string // "NAME=VALUE"
	components      []string
}

func splitAptLine(line string) (l aptLine, err error) {
	typ, rest, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ")
	rest = strings.TrimSpace(rest)
	if inside, ok := strings.CutPrefix(rest, "["); ok {
		options, after, ok := strings.Cut(inside, "]")
		if !ok {
			return l, errors.New("options without an end")
		}
		l.options, rest = strings.Fields(options), after
	}
	words := strings.Fields(rest)
	if len(words) < 2 {
		return l, errors.New("no URL and suite")
	}
	l.typ, l.uri, l.suite, l.components = typ, words[0], words[1], words[2:]
	switch flat := strings.HasSuffix(l.suite, "/"); {
	case flat && len(l.components) > 0:
		return l, fmt.Errorf("suite %.100q: components of a flat repository", l.suite)
	case !flat && len(l.components) == 0:
		return l, fmt.Errorf("suite %.100q: no component", l.suite)
	}
	return l, nil
}

// apply takes in options. Those that say nothing about which packages there are
// and where are passed over; one that is not known is an error, so that nothing is
// fetched in another way than is meant.
func (s *aptSuite) apply(options []string, arch string) error {
	for _, option := range options {
		name, value, ok := strings.Cut(option, "=")
		if !ok {
			return fmt.Errorf("option %.40q: no value", name)
		}
		values := strings.FieldsFunc(value, func(r rune) bool { return r == ',' })
		switch name {
		case "arch":
			s.arches = values
		case "arch+":
			s.arches = append(slices.Clone(values), arch)
		case "arch-":
			s.arches = slices.DeleteFunc([]string{arch}, func(a string) bool { return slices.Contains(values, a) })
		case "signed-by":
			s.signedBy = values
		case "trusted", "allow-insecure":
			s.unsigned = s.unsigned || aptYes(value)
		case "check-valid-until":
			s.forever = !aptYes(value)
		case "lang", "lang+", "lang-", "target", "target+", "target-", "pdiffs", "by-hash", "allow-weak", "allow-downgrade-to-insecure",
			"valid-until-min", "valid-until-max", "check-date", "date-max-future":
		default:
			return fmt.Errorf("option %.40q: not supported", name)
		}
	}
	return nil
}

// aptYes reads what apt takes for yes.
func aptYes(value string) bool {
	return slices.Contains([]string{"yes", "true", "with", "on", "enable", "1", "force"}, strings.ToLower(value))
}
