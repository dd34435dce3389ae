package merge

import (
	"net/netip"
	"slices"
	"strings"
)

// hostsLine is a line of hosts(5).
type hostsLine struct {
	raw   string
	addr  netip.Addr // not valid for a comment, an empty line, and what is no line of hosts(5)
	names []string
}

func parseHostsLine(raw string) hostsLine {
	line := hostsLine{raw: raw}
	text, _, _ := strings.Cut(raw, "#")
	fields := strings.FieldsFunc(text, isBlankRune)
	if len(fields) < 2 {
		return line
	}
	if addr, err := netip.ParseAddr(fields[0]); err == nil {
		line.addr, line.names = addr, fields[1:]
	}
	return line
}

func parseHosts(b []byte) []hostsLine {
	var all []hostsLine
	for _, raw := range splitLines(b) {
		all = append(all, parseHostsLine(raw))
	}
	return all
}

func (l hostsLine) isEntry() bool    { return l.addr.IsValid() }
func (l hostsLine) isLoopback() bool { return l.isEntry() && bare(l.addr).IsLoopback() }
func (l hostsLine) isReal() bool     { return l.isEntry() && !l.isLoopback() }

// bare is a without a zone, and an IPv4 address as such.
func bare(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// with returns the line with these names in place of its own, at the same
// address, and unchanged if they are its own. Everything else of the line stays.
func (l hostsLine) with(names []string) hostsLine {
	if slices.Equal(names, l.names) {
		return l
	}
	text, _, _ := strings.Cut(l.raw, "#")
	end := len(strings.TrimRight(text, blanks)) // a comment keeps the blanks before it
	begin := len(l.raw) - len(strings.TrimLeft(l.raw, blanks))
	begin += strings.IndexAny(l.raw[begin:], blanks)
	begin += len(l.raw[begin:]) - len(strings.TrimLeft(l.raw[begin:], blanks))
	return parseHostsLine(l.raw[:begin] + strings.Join(names, " ") + l.raw[end:])
}

// at returns the line with another address.
func (l hostsLine) at(a netip.Addr) hostsLine {
	begin := len(l.raw) - len(strings.TrimLeft(l.raw, blanks))
	end := begin + strings.IndexAny(l.raw[begin:], blanks)
	return parseHostsLine(l.raw[:begin] + a.String() + l.raw[end:])
}

// without returns names without those in set, which has them in lower case.
func without(names []string, set lineSet) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return set[strings.ToLower(n)] })
}

// hasAny reports whether one of names is in set, which has them in lower case.
func hasAny(names []string, set lineSet) bool {
	return slices.ContainsFunc(names, func(n string) bool { return set[strings.ToLower(n)] })
}
