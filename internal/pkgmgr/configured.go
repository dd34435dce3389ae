package pkgmgr

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/internal/host"
)

// Configured is a repository that the administrator of a root configured, and
// did not switch off.
type Configured struct {
	// Name is that of the section, of apt the line without its options.
	Name string
	File string   // of the root: "/etc/yum.repos.d/xcat-core.repo"
	URLs []string // where it lies, without credentials
	// Local says that all of it lies in the root itself.
	Local bool
	// KeyFiles are files of the root with the keys that its packages must be
	// signed by, where the administrator demands that (gpgcheck=1).
	KeyFiles []string
	// Err says why it cannot be used.
	Err error

	section repoSection
	apt     string // the line for OpenSource, "" for others
}

// String names it for people.
func (c Configured) String() string { return "repository " + c.Name + " (" + c.File + ")" }

// Mentions reports whether word, in lower case, is in its name, file or URLs.
func (c Configured) Mentions(word string) bool {
	return slices.ContainsFunc(append([]string{c.Name, c.File}, c.URLs...), func(s string) bool {
		return strings.Contains(strings.ToLower(s), word)
	})
}

// ReadConfigured lists the repositories of a root in the order of their files,
// without running anything of it: dnf's and yum's (dnf.conf(5), "Repo Options"),
// zypper's, which has the same form, and apt's (sources.list(5)). vars are those
// of SourceOptions. A file or section that cannot be used is listed with its Err.
func ReadConfigured(root *host.Root, vars map[string]string) ([]Configured, error) {
	var all []Configured
	for _, dir := range []string{"/etc/yum.repos.d", "/etc/yum/repos.d", "/etc/distro.repos.d", "/etc/zypp/repos.d", "/etc/apt"} {
		files, err := repoFiles(root, dir)
		if err != nil {
			return nil, fmt.Errorf("repositories: %w", err)
		}
		for _, file := range files {
			b, err := root.ReadFile(file, maxRepoFile)
			switch {
			case err != nil:
				all = append(all, Configured{Name: path.Base(file), File: file, Err: err})
			case dir == "/etc/apt":
				all = append(all, aptRepositories(file, b)...)
			default:
				all = append(all, yumRepositories(file, b, vars)...)
			}
		}
	}
	return all, nil
}

// repoFiles lists the files of directory dir that say what repositories there are.
func repoFiles(root *host.Root, dir string) (files []string, err error) {
	add := func(dir string, suffixes ...string) error {
		names, err := root.Names(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		slices.Sort(names)
		for _, name := range names {
			if slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) }) {
				files = append(files, path.Join(dir, name))
			}
		}
		return err
	}
	if dir != "/etc/apt" {
		return files, add(dir, ".repo")
	}
	if root.Exists("/etc/apt/sources.list") {
		files = append(files, "/etc/apt/sources.list")
	}
	err = add("/etc/apt/sources.list.d", ".list", ".sources")
	return files, err
}

func yumRepositories(file string, content []byte, vars map[string]string) []Configured {
	raw, err := readSections(bytes.NewReader(content))
	if err != nil {
		return []Configured{{Name: path.Base(file), File: file, Err: err}}
	}
	var all []Configured
	for _, r := range raw {
		on, err := r.flag("enabled", true)
		if r.name == "main" || (!on && err == nil) {
			continue
		}
		c := Configured{Name: r.name, File: file, Err: err}
		if err == nil {
			c.section, c.Err = r.section(vars)
			c.section.name += " (" + file + ")"
		}
		for _, u := range slices.Concat(c.section.baseurl, c.section.lists) {
			c.URLs = append(c.URLs, shown(u))
		}
		isFile := func(u *url.URL) bool { return u.Scheme == "file" }
		c.Local = c.Err == nil && len(c.section.lists) == 0 && !slices.ContainsFunc(c.section.baseurl, func(u *url.URL) bool { return !isFile(u) })
		if c.Err == nil && c.section.signing.Packages {
			for _, k := range c.section.keys {
				if isFile(k) {
					c.KeyFiles = append(c.KeyFiles, k.Path)
				}
			}
		}
		all = append(all, c)
	}
	return all
}

func aptRepositories(file string, content []byte) []Configured {
	lines, err := ParseAptSources(file, content)
	var all []Configured
	if err != nil {
		all = append(all, Configured{Name: path.Base(file), File: file, Err: err})
	}
	for _, line := range lines {
		c := Configured{Name: aptBare(line), File: file, apt: line}
		where, _, _ := strings.Cut(c.Name, " ")
		c.Local = strings.HasPrefix(where, "file:") || strings.HasPrefix(where, "copy:")
		c.URLs = []string{where}
		all = append(all, c)
	}
	return all
}

// aptBare takes type, options and credentials out of a line: "URL SUITE COMPONENT".
func aptBare(line string) string {
	line = strings.TrimSpace(strings.TrimPrefix(line, "deb"))
	if _, rest, ok := strings.Cut(line, "]"); ok && strings.HasPrefix(line, "[") {
		line = strings.TrimSpace(rest)
	}
	where, rest, _ := strings.Cut(line, " ")
	if u, err := url.Parse(where); err == nil {
		where = shown(u)
	} else {
		where = "URL"
	}
	return strings.TrimSpace(where + " " + rest)
}

// Open opens the repository. o.Root must be the root it is of.
func (c Configured) Open(ctx context.Context, o SourceOptions) (Source, error) {
	if o.Stall == 0 {
		o.Stall = defaultStall
	}
	switch {
	case c.Err != nil:
		return nil, fmt.Errorf("%s: %w", c, c.Err)
	case c.apt != "":
		s, err := OpenSource(ctx, c.apt, o)
		if err != nil {
			err = fmt.Errorf("%s: %w", c, err)
		}
		return s, err
	case c.Local && len(c.section.baseurl) == 1:
		// A directory of packages that nobody indexed is a repository for zypper.
		dir := c.section.baseurl[0].Path
		if o.Root.Exists(dir) && !o.Root.Exists(path.Join(dir, "repodata/repomd.xml")) {
			return OpenDirectory(o.Root, dir, o), nil
		}
	}
	return openRepositories([]repoSection{c.section}, o)
}
