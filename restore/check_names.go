package restore

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// resolver asks DNS, as net.Resolver does.
type resolver interface {
	LookupHost(ctx context.Context, name string) ([]string, error)
	LookupAddr(ctx context.Context, address string) ([]string, error)
}

const (
	hostsFile = "/etc/hosts"
	// maxHosts bounds what is read of it: 60,000 nodes take some 4 MiB.
	maxHosts = 16 << 20
)

// checkResolution looks whether the name of the host leads to an address of it, and
// back. With a loopback address xCAT takes that for its own, with none it does not
// start to serve; both are found here before they are on the cluster.
func (p *planner) checkResolution(ctx context.Context) error {
	text, err := p.hostsAfter(ctx)
	if err != nil {
		return err
	}
	here := p.checked.here
	names := slices.DeleteFunc([]string{here.FQDN, here.Name}, func(n string) bool { return n == "" })
	own := bareAddresses(here.Addresses)
	mend := "give " + hostsFile + " the line: " + nearest("", false, p.snapshot.Config.Host.Addresses, here.Addresses) + " " + strings.Join(names, " ")
	name := cmp.Or(here.Name, here.FQDN)
	var found []string
	eachHost(text, func(address string, all []string) {
		if slices.ContainsFunc(names, func(n string) bool { return slices.Contains(all, n) }) {
			found = append(found, address)
		}
	})
	if len(found) == 0 {
		found = p.lookup(ctx, func(ctx context.Context, r resolver) ([]string, error) { return r.LookupHost(ctx, name) })
	}
	at := slices.IndexFunc(found, func(a string) bool { return slices.Contains(own, a) })
	loop := slices.IndexFunc(found, isLoopback)
	switch {
	case len(found) == 0:
		p.find(codeResolution, Warn, mend, "the name of this host, %s, leads to no address", name)
	case loop >= 0:
		p.find(codeResolution, Warn, mend+", and take the name out of that of "+found[loop],
			"the name of this host, %s, leads to %s: %s would take that for its address", name, found[loop], p.Stack.Title)
	case at < 0:
		p.find(codeResolution, Warn, mend, "the name of this host, %s, leads to %s, which this host does not have", name, strings.Join(found, ", "))
	default:
		p.checkBack(ctx, text, found[at], names, mend)
	}
	return ctx.Err()
}

// checkBack looks whether address leads back to one of names.
func (p *planner) checkBack(ctx context.Context, text, address string, names []string, mend string) {
	var back []string
	eachHost(text, func(a string, all []string) {
		if a == address {
			back = append(back, all...)
		}
	})
	if len(back) == 0 {
		back = p.lookup(ctx, func(ctx context.Context, r resolver) ([]string, error) { return r.LookupAddr(ctx, address) })
	}
	is := func(n string) bool {
		n = strings.TrimSuffix(n, ".")
		short, _, _ := strings.Cut(n, ".")
		return slices.Contains(names, n) || slices.Contains(names, short)
	}
	switch {
	case len(back) == 0:
		p.find(codeResolution, Warn, mend, "the address of this host, %s, leads to no name", address)
	case !slices.ContainsFunc(back, is):
		p.find(codeResolution, Warn, mend, "the address of this host, %s, leads to another name: %s", address, strings.Join(back, ", "))
	}
}

func isLoopback(a string) bool {
	ip, err := netip.ParseAddr(a)
	return err == nil && ip.IsLoopback()
}

// lookup asks the resolver. No answer is an answer.
func (p *planner) lookup(ctx context.Context, ask func(context.Context, resolver) ([]string, error)) []string {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	r := p.resolver
	if r == nil {
		r = net.DefaultResolver
	}
	all, _ := ask(ctx, r)
	slices.Sort(all)
	return all
}

// hostsAfter is the host's own hosts file and the snapshot's, if it comes: the line
// of the host itself stays.
func (p *planner) hostsAfter(ctx context.Context) (string, error) {
	b, err := p.Root.ReadFile(hostsFile, maxHosts)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	e := p.checked.watched.of(hostsFile)
	if e == nil || e.Size > maxHosts || !p.Wants(artifact.KindConfig) {
		return string(b), nil
	}
	contents, err := p.readEntries(ctx, maxHosts, *e)
	return string(contents[e.Path]) + "\n" + string(b), err
}

// eachHost calls fn for each line of a hosts file (hosts(5)).
func eachHost(text string, fn func(address string, names []string)) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 1 {
			fn(words[0], words[1:])
		}
	}
}
