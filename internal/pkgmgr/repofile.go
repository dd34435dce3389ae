package pkgmgr

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
)

// repoSection is one repository: where it lies and how to get there.
type repoSection struct {
	name    string // for people
	baseurl []*url.URL
	lists   []*url.URL // mirrorlist and metalink
	keys    []*url.URL // gpgkey
	caFile  string
	signing *Signing
	apt     *aptSuite // nil for one of yum
	guess   bool      // it may be one of apt for all we know
}

// openRepoFile opens the enabled sections of a .repo file ("dnf.conf(5)", "Repo
// Options").
func openRepoFile(where string, in io.Reader, o SourceOptions) (Source, error) {
	sections, err := parseRepoFile(in, o.Vars)
	if err != nil {
		return nil, fmt.Errorf("repositories of %s: %w", where, err)
	}
	return openRepositories(sections, o)
}

// rawSection is a section as it stands in the file.
type rawSection struct {
	name string
	keys map[string]string
}

func parseRepoFile(in io.Reader, vars map[string]string) ([]repoSection, error) {
	raw, err := readSections(in)
	if err != nil {
		return nil, err
	}
	var all []repoSection
	for _, r := range raw {
		on, err := r.flag("enabled", true)
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", r.name, err)
		}
		if r.name == "main" || !on {
			continue
		}
		s, err := r.section(vars)
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", r.name, err)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, errors.New("no section that is enabled")
	}
	return all, nil
}

// readSections reads "[name]", "key = value" and values that go on in indented
// lines.
func readSections(in io.Reader) ([]rawSection, error) {
	var all []rawSection
	seen := map[string]bool{}
	last := ""
	lines := bufio.NewScanner(newBounded(in, maxRepoFile))
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSuffix(lines.Text(), "\r")
		line := strings.TrimSpace(text)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' && line[len(line)-1] == ']' {
			name := strings.TrimSpace(line[1 : len(line)-1])
			if name == "" || seen[name] {
				return nil, fmt.Errorf("line %d: section %q: no name, or one that was before", n, name)
			}
			seen[name], last = true, ""
			all = append(all, rawSection{name, map[string]string{}})
			continue
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("line %d: not in a section", n)
		}
		keys := all[len(all)-1].keys
		if text[0] == ' ' || text[0] == '\t' {
			if last == "" {
				return nil, fmt.Errorf("line %d: it continues nothing", n)
			}
			keys[last] += "\n" + line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("line %d: not \"key = value\"", n) // it may hold a password
		}
		last = strings.ToLower(strings.TrimSpace(key))
		keys[last] = strings.TrimSpace(value)
	}
	return all, lines.Err()
}

func (r rawSection) flag(key string, otherwise bool) (bool, error) {
	switch strings.ToLower(r.keys[key]) {
	case "":
		return otherwise, nil
	case "1", "yes", "true", "on":
		return true, nil
	case "0", "no", "false", "off":
		return false, nil
	}
	return false, fmt.Errorf("%s=%.40q: neither yes nor no", key, r.keys[key])
}

// section makes sense of the keys. What would have to be done and is not
// known is an error, so that nothing is fetched in another way than is meant.
func (r rawSection) section(vars map[string]string) (repoSection, error) {
	s := repoSection{name: r.name, caFile: strings.TrimPrefix(r.keys["sslcacert"], "file://")}
	verify, err := r.flag("sslverify", true)
	if err != nil {
		return s, err
	}
	if !verify {
		return s, errors.New("sslverify=0: packages are not taken from a server nobody vouches for: name its CA in sslcacert")
	}
	for _, key := range []string{"sslclientcert", "sslclientkey", "proxy", "proxy_username"} {
		if r.keys[key] != "" {
			return s, fmt.Errorf("%s=: not supported", key)
		}
	}
	if s.baseurl, err = r.urls("baseurl", vars); err != nil {
		return s, err
	}
	if below := strings.Trim(r.keys["path"], "/"); below != "" { // zypper's
		for i, u := range s.baseurl {
			s.baseurl[i] = u.JoinPath(below)
		}
	}
	for _, key := range []string{"metalink", "mirrorlist"} {
		urls, err := r.urls(key, vars)
		if err != nil {
			return s, err
		}
		s.lists = append(s.lists, urls...)
	}
	if len(s.baseurl)+len(s.lists) == 0 {
		return s, errors.New("no baseurl, mirrorlist or metalink")
	}
	s.signing = &Signing{Repo: r.name}
	if s.signing.Packages, err = r.flag("gpgcheck", false); err != nil {
		return s, err
	}
	if s.signing.Metadata, err = r.flag("repo_gpgcheck", false); err != nil {
		return s, err
	}
	s.keys, err = r.urls("gpgkey", vars)
	for _, k := range s.keys {
		s.signing.Keys = append(s.signing.Keys, shown(k))
	}
	return s, err
}

// urls returns the URLs of a key, which stand between spaces, commas or lines.
func (r rawSection) urls(key string, vars map[string]string) ([]*url.URL, error) {
	var all []*url.URL
	for _, word := range strings.FieldsFunc(r.keys[key], func(c rune) bool { return strings.ContainsRune(" \t\n,", c) }) {
		word, err := expandVars(word, vars)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if dir, ok := strings.CutPrefix(word, "dir:"); ok { // zypper's name of it
			word = "file:" + dir
		}
		u, err := parseURL(word)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if user := r.keys["username"]; user != "" && u.User == nil && key != "gpgkey" && u.Scheme != "file" {
			u.User = url.UserPassword(user, r.keys["password"])
		}
		all = append(all, u)
	}
	return all, nil
}

// expandVars replaces $name and ${name}. One that has no value is an error: the
// URL would be another.
func expandVars(s string, vars map[string]string) (string, error) {
	var missing error
	out := os.Expand(s, func(name string) string {
		v, ok := vars[name]
		if !ok {
			missing = fmt.Errorf("variable $%s: it has no value here", name)
		}
		return v
	})
	return out, missing
}
