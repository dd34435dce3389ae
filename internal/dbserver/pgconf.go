package dbserver

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// maxIncludes is how deep files may include others, as in PostgreSQL
// (CONF_FILE_MAX_DEPTH).
const maxIncludes = 10

// pgSettings reads postgresql.conf with what it includes; of a setting that comes
// twice the last counts. Names are lower case. See PostgreSQL's documentation,
// "Parameter Interaction via the Configuration File".
func (m *machine) pgSettings(file string) (map[string]string, error) {
	set := map[string]string{}
	err := m.pgInclude(file, set, 0)
	return set, err
}

func (m *machine) pgInclude(file string, set map[string]string, depth int) error {
	if depth > maxIncludes {
		return errors.New("file " + file + ": is included by itself")
	}
	text, err := m.read(file)
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		name, value, ok := pgSetting(line)
		if !ok {
			continue
		}
		at := value
		if !path.IsAbs(at) {
			at = path.Join(path.Dir(file), value)
		}
		switch name {
		case "include":
			err = m.pgInclude(at, set, depth+1)
		case "include_if_exists":
			if err = m.pgInclude(at, set, depth+1); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		case "include_dir":
			err = m.pgIncludeDir(at, set, depth)
		default:
			set[name] = value
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pgIncludeDir reads the files of a directory that end in ".conf" and do not begin
// with ".", in the order of their names.
func (m *machine) pgIncludeDir(dir string, set map[string]string, depth int) error {
	names, err := m.root.Names(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".conf") && !strings.HasPrefix(n, ".") {
			if err := m.pgInclude(path.Join(dir, n), set, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// pgSetting reads one line: NAME [=] VALUE, the value bare or in single quotes, in
// which a quote is written as two or behind a backslash.
func pgSetting(line string) (name, value string, ok bool) {
	line = strings.TrimSpace(line)
	end := strings.IndexFunc(line, func(r rune) bool { return r == '=' || r == ' ' || r == '\t' })
	if line == "" || line[0] == '#' || end <= 0 {
		return "", "", false
	}
	name = strings.ToLower(line[:end])
	rest := strings.TrimSpace(line[end:])
	rest = strings.TrimSpace(strings.TrimPrefix(rest, "="))
	if !strings.HasPrefix(rest, "'") {
		value, _, _ = strings.Cut(rest, "#")
		return name, strings.TrimSpace(value), true
	}
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' && i+1 < len(rest), rest[i] == '\'' && i+1 < len(rest) && rest[i+1] == '\'':
			i++
		case rest[i] == '\'':
			return name, b.String(), true
		}
		b.WriteByte(rest[i])
	}
	return name, b.String(), true
}

// pgListens reports whether a server that listens at the addresses of a setting is
// reached at all of want, and else what the setting has to be. "" listens nowhere;
// localhost is what is there where nothing is set.
func pgListens(setting string, want []string) (next string, ok bool) {
	have := strings.FieldsFunc(setting, func(r rune) bool { return r == ',' || r == ' ' })
	missing := []string{}
	for _, w := range want {
		if !listensAt(have, w) && !slices.Contains(missing, w) {
			missing = append(missing, w)
		}
	}
	return strings.Join(append(have, missing...), ","), len(missing) == 0
}

func listensAt(have []string, want string) bool {
	p, err := parsePeer(want)
	v6 := err == nil && p.net.IsValid() && p.net.Addr().Is6()
	v4 := err == nil && p.net.IsValid() && p.net.Addr().Is4()
	for _, h := range have {
		switch {
		case h == "*", h == want, h == "0.0.0.0" && v4, h == "::" && v6,
			h == "localhost" && p.net.IsValid() && p.net.Addr().IsLoopback():
			return true
		}
	}
	return false
}
