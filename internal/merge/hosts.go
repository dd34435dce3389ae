package merge

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Self is what a host is called and where it can be reached.
type Self struct {
	Names []string // short and with its domain; what everyone is called, localhost, counts for nothing
	// Addresses have prefix lengths, "10.0.0.9/24". None means that they are not
	// known: the host does not run.
	Addresses []string
}

// Hosts merges hosts(5). All lines of the snapshot stay whole and in order: the
// cluster knows its nodes by them. What the host has of loopback addresses stays
// its own and comes first; of its other lines those names stay that the snapshot
// lacks, and come last, so that an address leads back to the snapshot's name.
//
// The host's own name leads to an address that the host has, as far as they are
// known, and never to the loopback address where the snapshot has another: the
// line of the snapshot gets another address if it has to. What it has besides
// names stays.
func Hosts(host, snapshot []byte, self Self) Result {
	m := hostsMerge{host: parseHosts(host), snapshot: parseHosts(snapshot), own: lineSet{}, spelled: lineSet{}, leads: map[string][]netip.Addr{}}
	m.know(self)
	m.knowDomains()
	m.ownLines()
	m.loopback()
	m.takeSnapshot()
	m.completeOwn()
	m.takeHost()
	lines := slices.Concat(m.top, m.middle, m.tail)
	return Result{Content: joinLines(lines, host), Notes: m.notes()}
}

// hostsMerge is a merge at work.
type hostsMerge struct {
	host, snapshot []hostsLine
	own            lineSet // the host's names
	prefixes       []netip.Prefix
	real           bool        // the snapshot has an address that is not loopback for one of them
	good           bool        // one that the host has, or nobody knows
	mine           netip.Addr  // else the one that it gets
	stay           []hostsLine // loopback lines of the host that stay
	ownAt          int         // place in middle of the host's own line, -1 for none

	top, middle, tail []string
	spelled           lineSet                 // the lines of middle
	leads             map[string][]netip.Addr // by name in lower case, of middle

	added                int
	kept, replaced, told []string
}

// know takes down who the host is. Addresses by which nobody else reaches it are
// none.
func (m *hostsMerge) know(self Self) {
	for _, n := range self.Names {
		n = strings.ToLower(n)
		if n != "" && n != "localhost" && !strings.HasPrefix(n, "localhost.") {
			m.own.add(n)
		}
	}
	for _, a := range self.Addresses {
		p, err := netip.ParsePrefix(a)
		if addr, addrErr := netip.ParseAddr(a); err != nil && addrErr == nil {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() && !p.Addr().IsUnspecified() {
			m.prefixes = append(m.prefixes, p)
		}
	}
}

// knowDomains adds the host's short name with every domain that either file has for
// it: which of them the host goes by depends on the file.
func (m *hostsMerge) knowDomains() {
	short := slices.DeleteFunc(slices.Collect(maps.Keys(m.own)), func(n string) bool { return strings.Contains(n, ".") })
	for _, l := range slices.Concat(m.host, m.snapshot) {
		for _, n := range l.names {
			n = strings.ToLower(n)
			if slices.ContainsFunc(short, func(s string) bool { return strings.HasPrefix(n, s+".") }) {
				m.own.add(n)
			}
		}
	}
}

// has reports whether a is an address of the host, as far as they are known.
func (m *hostsMerge) has(a netip.Addr) bool {
	return len(m.prefixes) == 0 || slices.ContainsFunc(m.prefixes, func(p netip.Prefix) bool { return bare(p.Addr()) == bare(a) })
}

func (m *hostsMerge) isOwn(l hostsLine) bool { return l.isReal() && hasAny(l.names, m.own) }

// ownLines finds out where the snapshot has the host's own name, and which address
// it is to lead to if none of those is the host's.
func (m *hostsMerge) ownLines() {
	var was netip.Addr
	for _, l := range m.snapshot {
		if !m.isOwn(l) {
			continue
		}
		if !m.real {
			m.real, was = true, l.addr
		}
		m.good = m.good || m.has(l.addr)
	}
	if !m.real || m.good {
		return
	}
	var candidates []netip.Addr
	for _, l := range m.host {
		if m.isOwn(l) && m.has(l.addr) {
			candidates = append(candidates, l.addr)
		}
	}
	// In an order that does not depend on that of the lines, which is another once
	// they are merged.
	slices.SortFunc(candidates, netip.Addr.Compare)
	if len(candidates) == 0 {
		for _, p := range m.prefixes {
			candidates = append(candidates, p.Addr())
		}
	}
	m.mine = m.nearest(was, candidates)
}

// nearest chooses the address in the network of was, else one of its family.
func (m *hostsMerge) nearest(was netip.Addr, candidates []netip.Addr) netip.Addr {
	best, bits := candidates[0], -1
	for _, c := range candidates {
		if bits < 0 && best.Is4() != bare(was).Is4() && c.Is4() == bare(was).Is4() {
			best = c
		}
		for _, p := range m.prefixes {
			if bare(p.Addr()) == bare(c) && p.Contains(bare(was)) && p.Bits() > bits {
				best, bits = c, p.Bits()
			}
		}
	}
	return best
}

// loopback finds the host's loopback lines that stay, without names that lead to a
// real address.
func (m *hostsMerge) loopback() {
	for _, l := range m.host {
		if !l.isLoopback() {
			continue
		}
		if short := m.shortened(l); len(short.names) > 0 {
			m.stay = append(m.stay, short)
		}
		if m.real && hasAny(l.names, m.own) {
			m.told = append(m.told, fmt.Sprintf("%s does not lead to %s any more", list(m.ownAmong(l.names)), l.addr))
		}
	}
}

// shortened is loopback line l without the host's own names, if the snapshot has a
// real address for one of them.
func (m *hostsMerge) shortened(l hostsLine) hostsLine {
	if !m.real || !hasAny(l.names, m.own) {
		return l
	}
	names := without(l.names, m.own)
	if len(names) == 0 {
		return hostsLine{}
	}
	return l.with(names)
}

func (m *hostsMerge) ownAmong(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !m.own[strings.ToLower(n)] })
}

// takeSnapshot makes the middle of the file.
func (m *hostsMerge) takeSnapshot() {
	m.ownAt = -1
	before := lineSet{}
	for _, l := range m.host {
		before.add(l.raw)
	}
	for _, l := range m.snapshot {
		switch {
		case l.isLoopback():
			l = m.shortened(l)
			if !l.isEntry() || !m.takesLoopback(l) {
				continue
			}
		case m.isOwn(l) && !m.has(l.addr):
			if l = m.moved(l); !l.isEntry() {
				continue
			}
		}
		if m.ownAt < 0 && m.isOwn(l) {
			m.ownAt = len(m.middle)
		}
		if l.isEntry() && !before[l.raw] {
			m.added++
		}
		m.put(l)
	}
}

// put adds l to the middle.
func (m *hostsMerge) put(l hostsLine) {
	m.middle = append(m.middle, l.raw)
	m.learn(l)
}

func (m *hostsMerge) learn(l hostsLine) {
	m.spelled.add(l.raw)
	if !l.isReal() {
		return
	}
	for _, n := range l.names {
		n = strings.ToLower(n)
		m.leads[n] = append(m.leads[n], bare(l.addr))
	}
}

// takesLoopback reports whether a loopback line of the snapshot is taken: one that
// the host has as well, or of an address that it has no line for.
func (m *hostsMerge) takesLoopback(l hostsLine) bool {
	other := false
	for _, h := range m.stay {
		if h.raw == l.raw {
			return true
		}
		other = other || h.addr == l.addr
	}
	return !other
}

// moved is line l of the snapshot, which has the host's own name at an address that
// is not the host's: the first gets one that is, others lose the name.
func (m *hostsMerge) moved(l hostsLine) hostsLine {
	own := m.ownAmong(l.names)
	if !m.good && m.ownAt < 0 {
		m.told = append(m.told, fmt.Sprintf("%s leads to %s, an address of this host; the snapshot has %s", list(own), m.mine, l.addr))
		return l.at(m.mine)
	}
	m.told = append(m.told, fmt.Sprintf("%s does not lead to %s as in the snapshot: this host does not have the address", list(own), l.addr))
	names := without(l.names, m.own)
	if len(names) == 0 {
		return hostsLine{}
	}
	return l.with(names)
}

// completeOwn gives the host's own line those of its names that the host's file had
// and the snapshot lacks.
func (m *hostsMerge) completeOwn() {
	if m.ownAt < 0 {
		return
	}
	l := parseHostsLine(m.middle[m.ownAt])
	names, there := slices.Clone(l.names), lineSet{}
	for _, h := range m.host {
		for _, n := range m.ownAmong(h.names) {
			if low := strings.ToLower(n); len(m.leads[low]) == 0 && !there[low] {
				there.add(low)
				names = append(names, n)
			}
		}
	}
	l = l.with(names)
	m.middle[m.ownAt] = l.raw
	m.learn(l)
}

// takeHost adds what only the host has, loopback addresses first, all else last.
// Comments stay with the line that they are above.
func (m *hostsMerge) takeHost() {
	var comments []string
	for _, l := range m.host {
		switch {
		case l.isLoopback():
			l = m.shortened(l)
			if !l.isEntry() || m.spelled[l.raw] {
				continue // the comments go with the next
			}
			m.top = append(append(m.top, comments...), l.raw)
			comments = nil
		case m.spelled[l.raw] || isBlank(l.raw):
		case !l.isEntry():
			comments = append(comments, l.raw)
		default:
			if l = m.remainder(l); !l.isEntry() || m.spelled[l.raw] {
				continue
			}
			m.tail = append(append(m.tail, comments...), l.raw)
			comments = nil
			m.kept = append(m.kept, l.names...)
		}
	}
	m.tail = append(m.tail, comments...)
}

// remainder is line l of the host with the names that stay. Its own name may lead
// to several of its addresses.
func (m *hostsMerge) remainder(l hostsLine) hostsLine {
	var names []string
	for _, n := range l.names {
		to := m.leads[strings.ToLower(n)]
		same := slices.Contains(to, bare(l.addr))
		another := len(m.prefixes) > 0 && m.has(l.addr) && m.own[strings.ToLower(n)] && !same
		switch {
		case len(to) == 0 || another:
			names = append(names, n)
		case !same:
			m.replaced = append(m.replaced, fmt.Sprintf("%s (%s, here %s)", n, to[0], l.addr))
		}
	}
	if len(names) == 0 {
		return hostsLine{}
	}
	return l.with(names)
}

func (m *hostsMerge) notes() []string {
	notes := slices.Clone(m.told)
	if m.added > 0 {
		notes = append(notes, count(m.added, "line", "lines")+" of the snapshot added")
	}
	if len(m.kept) > 0 {
		notes = append(notes, "names of this host kept: "+list(m.kept))
	}
	if len(m.replaced) > 0 {
		notes = append(notes, "names that lead where the snapshot has them: "+list(m.replaced))
	}
	return notes
}
