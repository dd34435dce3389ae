package dbserver

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// peer is who may come in, in words of no engine: exactly one field is set.
type peer struct {
	all    bool
	net    netip.Prefix // a single address has all its bits
	name   string       // of a host
	domain string       // ".cluster": all hosts whose names end so
}

// nameRE is what a host name may look like in the files and tables of a server:
// quotes, blanks and wildcards are none.
var nameRE = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?$`)

// parsePeer reads an entry of Want: it is the inverse of peer.String.
func parsePeer(s string) (peer, error) {
	if s == "all" {
		return peer{all: true}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return peer{net: netip.PrefixFrom(a, a.BitLen())}, nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return peer{net: p.Masked()}, nil
	}
	if domain, ok := strings.CutPrefix(s, "."); ok && nameRE.MatchString(domain) {
		return peer{domain: s}, nil
	}
	if nameRE.MatchString(s) {
		return peer{name: s}, nil
	}
	return peer{}, fmt.Errorf("access of %q: is neither an address, a network, a name, a domain nor \"all\"", s)
}

// String is the entry as Want has it.
func (p peer) String() string {
	switch {
	case p.all:
		return "all"
	case p.net.IsValid() && p.net.IsSingleIP():
		return p.net.Addr().String()
	case p.net.IsValid():
		return p.net.String()
	case p.domain != "":
		return p.domain
	default:
		return p.name
	}
}

// hba is the address field of a line of pg_hba.conf.
func (p peer) hba() string {
	if p.net.IsValid() {
		return p.net.String()
	}
	return p.String()
}

// mysql is the host part of an account; false where accounts have no way to say it.
// See MariaDB, "CREATE USER", "Host Name Component": networks are ADDRESS/MASK, and
// IPv4 only.
func (p peer) mysql() (string, bool) {
	switch {
	case p.all:
		return "%", true
	case p.domain != "":
		return "%" + p.domain, true
	case !p.net.IsValid():
		return p.name, true
	case p.net.IsSingleIP():
		return p.net.Addr().String(), true
	case !p.net.Addr().Is4():
		return "", false
	}
	mask := ^uint32(0) << (32 - p.net.Bits())
	if p.net.Bits() == 0 {
		mask = 0
	}
	return fmt.Sprintf("%s/%d.%d.%d.%d", p.net.Addr(), byte(mask>>24), byte(mask>>16), byte(mask>>8), byte(mask)), true
}

// mysqlPeer reads the host part of an account; false for a pattern that no peer is.
func mysqlPeer(h string) (peer, bool) {
	if h == "%" || h == "" {
		return peer{all: true}, true
	}
	if domain, ok := strings.CutPrefix(h, "%."); ok && nameRE.MatchString(domain) {
		return peer{domain: "." + domain}, true
	}
	if addr, mask, ok := strings.Cut(h, "/"); ok {
		n, ok := maskNet(addr, mask)
		return peer{net: n}, ok
	}
	if n, ok := wildcardNet(h); ok {
		return peer{net: n}, true
	}
	p, err := parsePeer(h)
	// "_" is a wildcard for one character there, but in a name it stands for itself
	// first of all, and letting in that name is the narrower reading.
	return p, err == nil && !p.all
}

// maskNet is the network of an address and a mask, "10.0.0.0" and "255.0.0.0", or
// IPv6.
func maskNet(addr, mask string) (netip.Prefix, bool) {
	a, err := netip.ParseAddr(addr)
	m, err2 := netip.ParseAddr(mask)
	if err != nil || err2 != nil || a.BitLen() != m.BitLen() {
		return netip.Prefix{}, false
	}
	bits := 0
	ended := false
	for _, b := range m.AsSlice() {
		for i := 7; i >= 0; i-- {
			one := b>>i&1 == 1
			if one && ended {
				return netip.Prefix{}, false
			}
			if one {
				bits++
			}
			ended = ended || !one
		}
	}
	return netip.PrefixFrom(a, bits).Masked(), true
}

// wildcardNet is the network of "10.%" or "10.1.%".
func wildcardNet(h string) (netip.Prefix, bool) {
	begin, ok := strings.CutSuffix(h, ".%")
	parts := strings.Split(begin, ".")
	if !ok || len(parts) > 3 {
		return netip.Prefix{}, false
	}
	var b [4]byte
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return netip.Prefix{}, false
		}
		b[i] = byte(n)
	}
	return netip.PrefixFrom(netip.AddrFrom4(b), 8*len(parts)), true
}

// peers reads the entries of w: its own names and addresses first, then those of
// others, each once.
func (w Want) peers() ([]peer, error) {
	all := append([]string{"127.0.0.1", "::1"}, w.Own...)
	if h := w.Location.Host; h != "" && !strings.HasPrefix(h, "/") && h != "localhost" {
		all = append(all, h)
	}
	var peers []peer
	seen := map[string]bool{}
	for _, entry := range append(all, w.Access...) {
		p, err := parsePeer(entry)
		if err != nil {
			return nil, err
		}
		if !seen[p.String()] {
			seen[p.String()] = true
			peers = append(peers, p)
		}
	}
	return peers, nil
}
