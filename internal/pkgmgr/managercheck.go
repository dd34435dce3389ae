package pkgmgr

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// checkWith has ask find out whether what is not installed yet of want could be.
func checkWith(ctx context.Context, m Manager, want Request, ask func(Request) (Refusal, error)) (Refusal, error) {
	have, err := m.Installed(ctx)
	if err != nil {
		return Refusal{}, err
	}
	left := todo(want, have)
	if left.empty() {
		return Refusal{}, nil
	}
	r, err := ask(left)
	if err != nil {
		return Refusal{}, fmt.Errorf("check of %d packages: %w", len(left.Packages)+len(left.Names), err)
	}
	return r, nil
}

// refusal is that of a program which said no.
func refusal(said string, code int) Refusal {
	r := Refusal{Missing: lacking(said), Says: lastWords(said)}
	if r.Says == "" {
		r.Says = fmt.Sprintf("exit status %d", code)
	}
	return r
}

// lacking finds in what package managers say, one of them in one way, what
// they lack, each once. The words are those of libsolv (dnf, zypper), of the
// programs around it, of yum 3 and of apt.
func lacking(said string) []string {
	var all []string
	var wants string // who needs what the next lines name
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, " \r\n")
		var found string
		wants, found = lackingIn(line, wants)
		if found != "" && !slices.Contains(all, found) {
			all = append(all, found)
		}
	}
	return all
}

// lackingIn reads one line. wants is who the line before was about.
func lackingIn(line, wants string) (who, found string) {
	text := strings.TrimSpace(line)
	if i := strings.Index(text, "...E: "); i >= 0 { // apt was in the middle of saying what it does
		text = text[i+len("..."):]
	}
	if what, by, ok := cutBetween(text, "nothing provides ", " needed by "); ok {
		by = strings.TrimPrefix(strings.TrimPrefix(by, "the to be installed "), "the installed ")
		by, _, _ = strings.Cut(by, " from ")
		return "", strings.Trim(what, "'") + " needed by " + by
	}
	if by, what, ok := cutBetween(text, "package ", " requires "); ok {
		if what, _, ok := strings.Cut(what, ", but none of the providers can be installed"); ok {
			by, _, _ = strings.Cut(by, " from ")
			return "", what + " needed by " + by
		}
	}
	for _, form := range []struct{ before, after string }{
		{"No match for argument: ", ""},
		{"Unable to find a match: ", ""},
		{"No package ", " available."},
		{"No provider of '", "' found."},
		{"Package '", "' not found."},
		{"E: Unable to locate package ", ""},
		{"E: Package '", "' has no installation candidate"},
	} {
		if what, ok := strings.CutPrefix(text, form.before); ok {
			if what, ok = strings.CutSuffix(what, form.after); ok {
				return "", strings.TrimPrefix(strings.TrimPrefix(what, RepoID+":"), unsignedRepoID+":")
			}
		}
	}
	if version, name, ok := cutBetween(text, "E: Version '", "' for '"); ok {
		return "", strings.TrimSuffix(name, "' was not found") + "=" + version
	}
	return lackingPair(line, wants)
}

// lackingPair reads the forms that name who lacks something once, for several
// lines: "Error: Package: a-1-1.noarch (repository)" and "Requires: b" of yum, and
// " a : Depends: b but it is not installable" of apt, which leaves out "a :" in
// the lines that follow.
func lackingPair(line, wants string) (who, found string) {
	text := strings.TrimSpace(line)
	if by, ok := strings.CutPrefix(text, "Error: Package: "); ok {
		by, _, _ = strings.Cut(by, " (")
		return by, ""
	}
	if what, ok := strings.CutPrefix(text, "Requires: "); ok && wants != "" {
		return wants, what + " needed by " + wants
	}
	if by, rest, ok := strings.Cut(text, " : "); ok && line[0] == ' ' && !strings.Contains(by, " ") {
		wants, text = by, rest
	}
	for _, relation := range []string{"Depends: ", "PreDepends: "} {
		if what, ok := strings.CutPrefix(text, relation); ok && wants != "" {
			what, _, _ = strings.Cut(what, " but ")
			return wants, what + " needed by " + wants
		}
	}
	if strings.HasPrefix(line, "  ") {
		return wants, ""
	}
	return "", ""
}

// cutBetween splits text that begins with before at the first between.
func cutBetween(text, before, between string) (a, b string, ok bool) {
	_, rest, ok := strings.Cut(text, before)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, between)
}

// specs are a request as arguments of a program.
func specs(want Request, spec func(artifact.Package) string) []string {
	var all []string
	for _, p := range want.Packages {
		all = append(all, spec(p))
	}
	return append(all, want.Names...)
}
