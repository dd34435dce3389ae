package dbserver

import (
	"fmt"
	"net/netip"
	"strings"
)

// hbaAccess returns who pg_hba.conf lets in as user to database over the network,
// loopback aside, and warns of what cannot be told or carried elsewhere.
func hbaAccess(text, database, user string) (peers []peer, warnings []string) {
	for _, l := range parseHBA(text) {
		warn := func(what string) {
			warnings = append(warnings, fmt.Sprintf("pg_hba.conf: line %d: %s", l.number, what))
		}
		kind := l.fields[0][0].text
		switch {
		case strings.HasPrefix(kind, "include"):
			warn("what is included is not read")
			continue
		case !strings.HasPrefix(kind, "host") || len(l.fields) < 5:
			continue
		}
		known := true
		meant := hbaNames(l.fields[1], database, user, true, &known) && hbaNames(l.fields[2], user, "", false, &known)
		if !known {
			warn("groups, patterns and lists in files are not looked into")
		}
		if !meant {
			continue
		}
		method := l.fields[4]
		p, masked, ok := hbaPeer(l.fields)
		if masked && len(l.fields) > 5 {
			method = l.fields[5]
		}
		switch {
		case method[0].text == "reject":
			warn("refuses some; it is not carried over")
		case !ok:
			warn("lets in the networks of the machine itself; it is not carried over")
		case p.net.IsValid() && p.net.Addr().IsLoopback():
		default:
			if method[0].text == "trust" {
				warn("lets in without a password; the target asks for it")
			}
			peers = append(peers, p)
		}
	}
	return peers, warnings
}

// hbaNames reports whether a list of databases or users has name among it; known
// becomes false for words that only the server can resolve.
func hbaNames(list []hbaToken, name, sameUser string, databases bool, known *bool) bool {
	for _, t := range list {
		special := !t.quoted
		switch {
		case special && t.text == "all", special && databases && t.text == "sameuser" && sameUser == name:
			return true
		case special && databases && (t.text == "sameuser" || t.text == "replication"):
		case special && databases && (t.text == "samerole" || t.text == "samegroup"),
			special && strings.HasPrefix(t.text, "+"), special && strings.HasPrefix(t.text, "@"), strings.HasPrefix(t.text, "/"):
			*known = false
		case t.text == name:
			return true
		}
	}
	return false
}

// hbaPeer reads the address, which a mask may follow; false for the words that
// stand for networks of the machine the file is of.
func hbaPeer(fields [][]hbaToken) (p peer, masked, ok bool) {
	address := fields[3][0]
	if !address.quoted && (address.text == "samehost" || address.text == "samenet") {
		return peer{}, false, false
	}
	if a, err := netip.ParseAddr(address.text); err == nil {
		if n, ok := maskNet(a.String(), fields[4][0].text); ok {
			return peer{net: n}, true, true
		}
	}
	p, err := parsePeer(address.text)
	if err != nil || p.all && address.quoted {
		return peer{}, false, false
	}
	return p, false, true
}
