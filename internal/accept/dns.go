package accept

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// dns has the server's configuration and zones read, and asks it for the management
// node and for one managed node.
func (t *tester) dns(ctx context.Context) Probe {
	units := t.units(t.probes().DNS...)
	if len(units) == 0 {
		return skip("no DNS server is to run here")
	}
	all := []Probe{t.ask(ctx, t.Name, units[0])}
	if t.known.node != "" && all[0].Verdict == Pass {
		all = append(all, t.ask(ctx, t.known.node, units[0]))
	}
	return t.zones(ctx, join(all), units[0])
}

// zones has the zones read that the server loads. answer is what the server said:
// a fault in a zone that nobody asked for was there on the old host too.
func (t *tester) zones(ctx context.Context, answer Probe, unit string) Probe {
	p := t.probes().Zones
	program := t.look(p.Names[0])
	if program == "" {
		return answer
	}
	args := slices.Clone(p.Args)
	for _, file := range t.known.rows.Site(t.probes().ZonesKey) {
		if strings.HasPrefix(file, "/") {
			args = append(args, file)
			break
		}
	}
	where, err := t.check(ctx, program, args...)
	if err == nil {
		return answer
	}
	line := strings.Join(append([]string{p.Names[0]}, args...), " ")
	mend := fmt.Sprintf("%s; mend what it names, or makedns -n to make all zones anew; systemctl restart %s", line, unit)
	faults := fail(mend, "%s finds faults%s: %s", line, where, ending(err))
	switch answer.Verdict {
	case Fail:
		return join([]Probe{faults, answer})
	case Pass:
		return warn(mend, "%s, but %s", answer.Seen, faults.Seen)
	default:
		return warn(mend, "%s; %s", answer.Seen, faults.Seen)
	}
}

// ask asks the server for name, first on the loopback, then on the other addresses
// of this machine: site.dnsinterfaces may leave out the former.
func (t *tester) ask(ctx context.Context, name, unit string) Probe {
	full := t.domainName(name)
	at := append([]string{localhost}, t.Addresses...)
	var said answer
	err := t.until(func() (err error) {
		for _, addr := range at {
			if said, err = query(ctx, t.address(addr, "53"), full); err == nil {
				break
			}
		}
		if err == nil && said.code == dnsmessage.RCodeServerFailure {
			return errNotYet // it may still be loading its zones
		}
		return err
	})
	if err != nil && !errors.Is(err, errNotYet) {
		return fail(fmt.Sprintf("systemctl restart %s; journalctl -b -u %s", unit, unit), "port 53 does not answer: %s", short(cause(err)))
	}
	return t.judge(said, name, full)
}

var errNotYet = errors.New("the server failed")

// judge compares the answer for full, which the cluster calls name, with
// /etc/hosts, from which makedns takes its names.
func (t *tester) judge(said answer, name, full string) Probe {
	want := t.known.hosts[strings.ToLower(full)]
	if len(want) == 0 {
		want = t.known.hosts[shortName(strings.ToLower(name))]
	}
	mend := "makedns " + shortName(name)
	switch {
	case said.code == dnsmessage.RCodeNameError, said.code == dnsmessage.RCodeSuccess && len(said.addresses) == 0:
		return warn(mend, "the server answers, but does not know %s", full)
	case said.code != dnsmessage.RCodeSuccess:
		return fail("named-checkconf -z; makedns -n", "the server answers for %s with %s", full, strings.TrimPrefix(said.code.String(), "RCode"))
	case len(want) > 0 && !slices.ContainsFunc(said.addresses, func(a string) bool { return slices.Contains(want, a) }):
		return warn(mend, "the server says that %s is %s, while /etc/hosts has %s", full, strings.Join(said.addresses, ", "), strings.Join(want, ", "))
	}
	return pass("the server says that %s is %s", full, strings.Join(said.addresses, ", "))
}

// answer is what a DNS server says to a question for addresses.
type answer struct {
	code      dnsmessage.RCode
	addresses []string
}

// query asks the server at at for the IPv4 addresses of name. net.Resolver cannot
// be used: it looks into /etc/hosts first, and in search domains after.
func query(ctx context.Context, at, name string) (said answer, err error) {
	fqdn, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	if err != nil {
		return said, final(fmt.Errorf("name %q: %w", name, err))
	}
	var id [2]byte
	_, _ = rand.Read(id[:]) // never fails
	question := dnsmessage.Question{Name: fqdn, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: binary.BigEndian.Uint16(id[:]), RecursionDesired: true},
		Questions: []dnsmessage.Question{question},
	}
	packet, err := message.Pack()
	if err != nil {
		return said, final(fmt.Errorf("name %q: %w", name, err))
	}
	dialer := net.Dialer{Timeout: patience}
	conn, err := dialer.DialContext(ctx, "udp", at)
	if err != nil {
		return said, err
	}
	defer func() { _ = conn.Close() }()
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if deadline, ok := limited.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return said, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(packet); err != nil {
		return said, err
	}
	return receive(conn, message.ID, question)
}

// receive reads packets until one is the answer.
func receive(conn net.Conn, id uint16, asked dnsmessage.Question) (said answer, err error) {
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return said, err
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || m.ID != id || !m.Response || len(m.Questions) != 1 ||
			!strings.EqualFold(m.Questions[0].Name.String(), asked.Name.String()) {
			continue
		}
		said.code = m.RCode
		for _, r := range m.Answers {
			if a, ok := r.Body.(*dnsmessage.AResource); ok {
				said.addresses = append(said.addresses, netip.AddrFrom4(a.A).String())
			}
		}
		return said, nil
	}
}
