package merge

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// AuthorizedKeys merges the files of sshd(8) that say which keys may log in. What
// the host has stays, with its options; keys of the snapshot that it lacks come
// after, with theirs. Lines that are no keys stay as they are.
func AuthorizedKeys(host, snapshot []byte) Result {
	lines := splitLines(host)
	had, added, keys := lineSet{}, lineSet{}, map[string]string{} // the host's options by key
	had.add(lines...)
	for _, l := range lines {
		if key, options, ok := authorizedKey(l); ok {
			keys[key] = options
		}
	}
	n, differ := 0, 0
	u := union{had: had, lines: lines}
	for _, l := range splitLines(snapshot) {
		key, options, ok := authorizedKey(l)
		if !ok {
			u.other(l)
			continue
		}
		here, there := keys[key]
		if there && here != options {
			differ++
		}
		if there || added[key] {
			u.skip()
			continue
		}
		added.add(key)
		u.add(l)
		n++
	}
	var notes []string
	if n > 0 {
		notes = append(notes, count(n, "key", "keys")+" of the snapshot added")
	}
	if differ > 0 {
		notes = append(notes, count(differ, "key has", "keys have")+" other options in the snapshot: those of this host stay")
	}
	return Result{Content: joinLines(u.lines, host), Notes: notes}
}

// authorizedKey returns the key of line, type and content, and its options.
func authorizedKey(line string) (key, options string, ok bool) {
	if isText(line) {
		return "", "", false
	}
	pub, _, opts, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return "", "", false
	}
	return pub.Type() + " " + string(pub.Marshal()), strings.Join(opts, ","), true
}

// isText reports whether line is empty or a comment.
func isText(line string) bool {
	return isBlank(line) || strings.HasPrefix(strings.TrimLeft(line, blanks), "#")
}

// union adds lines to those that are there.
type union struct {
	had      lineSet
	lines    []string
	comments []string // that wait for the line they are above
}

// add adds a line and the comments above it.
func (u *union) add(line string) {
	u.lines = append(append(u.lines, u.comments...), line)
	u.comments = nil
}

// skip drops the comments above a line that is there.
func (u *union) skip() { u.comments = nil }

// other takes a line of the snapshot that means nothing to us. It is added if it is
// not there, a comment with what it is above, an empty line never.
func (u *union) other(line string) {
	switch {
	case u.had[line] || isBlank(line):
	case isText(line):
		u.comments = append(u.comments, line)
	default:
		u.had.add(line)
		u.add(line)
	}
}

// KnownHosts merges the files of ssh(1) that say which keys other hosts have. Of a
// plain name and a type of key, the key of the snapshot counts where they differ;
// names that are hashed, and patterns, are not compared.
func KnownHosts(host, snapshot []byte) Result {
	have := map[string]bool{}      // whole lines, without comments
	theirs := map[string]lineSet{} // keys of the snapshot by name and type
	var add []knownHost
	for _, l := range splitLines(snapshot) {
		k := parseKnownHost(l)
		add = append(add, k)
		for _, name := range k.plainNames() {
			if theirs[name+" "+k.typ] == nil {
				theirs[name+" "+k.typ] = lineSet{}
			}
			theirs[name+" "+k.typ].add(k.key)
		}
	}
	u := union{had: lineSet{}}
	var replaced []string
	for _, l := range splitLines(host) {
		u.had.add(l)
		k := parseKnownHost(l)
		stale := lineSet{}
		for _, name := range k.plainNames() {
			if keys := theirs[name+" "+k.typ]; keys != nil && !keys[k.key] {
				stale.add(name)
				replaced = append(replaced, name)
			}
		}
		if k, l = k.withoutNames(stale); l == "" && len(stale) > 0 {
			continue
		}
		have[k.id()] = k.key != ""
		u.lines = append(u.lines, l)
	}
	n := 0
	for _, k := range add {
		switch {
		case k.key == "":
			u.other(k.raw)
		case have[k.id()]:
			u.skip()
		default:
			have[k.id()] = true
			u.add(k.raw)
			n++
		}
	}
	var notes []string
	if n > 0 {
		notes = append(notes, count(n, "key", "keys")+" of the snapshot added")
	}
	if len(replaced) > 0 {
		notes = append(notes, "hosts that had another key here, and get that of the snapshot: "+list(replaced))
	}
	return Result{Content: joinLines(u.lines, host), Notes: notes}
}

// knownHost is a line of a known_hosts file (sshd(8), "SSH_KNOWN_HOSTS FILE
// FORMAT"). One without a key is a comment, or nothing we know.
type knownHost struct {
	raw, marker string
	hosts       []string
	typ, key    string
}

func parseKnownHost(line string) knownHost {
	k := knownHost{raw: line}
	if isText(line) {
		return k
	}
	marker, hosts, pub, _, _, err := ssh.ParseKnownHosts([]byte(line))
	if err != nil {
		return k
	}
	k.marker, k.hosts, k.typ, k.key = marker, hosts, pub.Type(), string(pub.Marshal())
	return k
}

func (k knownHost) id() string {
	return fmt.Sprintf("%s %s %s %s", k.marker, strings.Join(k.hosts, ","), k.typ, k.key)
}

// plainNames are the names of a line that says what key they have.
func (k knownHost) plainNames() []string {
	if k.marker != "" {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(k.hosts), func(h string) bool { return h == "" || strings.ContainsAny(h, "*?!|") })
}

// withoutNames returns the line without these names, "" if it has no others.
func (k knownHost) withoutNames(names lineSet) (knownHost, string) {
	if len(names) == 0 {
		return k, k.raw
	}
	left := slices.DeleteFunc(slices.Clone(k.hosts), func(h string) bool { return names[h] })
	if len(left) == 0 {
		return knownHost{}, ""
	}
	line := strings.TrimLeft(k.raw, blanks)
	line = strings.Join(left, ",") + line[len(strings.Join(k.hosts, ",")):]
	k.raw, k.hosts = line, left
	return k, line
}
