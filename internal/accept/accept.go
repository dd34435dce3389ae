// Package accept asks a management node after an import whether it works: its
// daemon, database, certificate, and the services that nodes boot from. It changes
// nothing. What it asks is data of package stack.
//
// Output of programs that read a configuration is never shown: dhcpd prints the
// lines it does not like, and a secret may stand in one.
package accept

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/stack"
)

// Verdict is what a probe says.
type Verdict string

// The verdicts, from good to bad. Skip is none: it was not asked.
const (
	Skip Verdict = "skip"
	Pass Verdict = "pass"
	Warn Verdict = "warn"
	Fail Verdict = "fail"
)

// Probe is one thing that was asked, and the answer. No secret is in it.
type Probe struct {
	// ID is certificate, policy, tables, services, xcatd, lsxcatd, dns, dhcp, tftp,
	// http, exports or console.
	ID      string  `json:"id"`
	Verdict Verdict `json:"verdict"`
	// Seen is what was seen, in one sentence without a full stop.
	Seen string `json:"seen"`
	// Mend is what to type or do, "" where there is nothing.
	Mend string `json:"mend,omitempty"`
}

// Options say what to ask of which host.
type Options struct {
	Root   *host.Root
	Runner host.Runner
	Stack  stack.Stack
	// Name is the node's own: its FQDN if it has one.
	Name string
	// Units are those that are to run here. Services without one are not asked.
	Units []artifact.Service
	// Tables are those of the snapshot.
	Tables []artifact.Table
	// Open opens the host's database; nil skips what needs it. It is closed before
	// the first service is asked.
	Open func(context.Context) (database.Source, error)
	// Live says that the host's services run. Without it only files are looked at,
	// and nothing is run.
	Live bool
	// Idle is why they do not, "" is that they wait for the first boot.
	Idle string
	// Now is the time that certificates are to be valid at.
	Now time.Time
	// Within is how long daemons may take, all together, until they answer: they
	// were started just before. 0 is a minute. After it each is asked once.
	Within time.Duration
	// Limit is how long one program may run, 0 is a minute. It is ended then.
	Limit time.Duration
	// Addresses are this machine's own, as text. The DNS server is asked there if it
	// does not answer on the loopback. What /etc/hosts calls the node's address may
	// be another machine's: the old one's.
	Addresses []string
	// Redirect returns where to connect to instead of HOST:PORT. Nil is there.
	Redirect func(address string) string
}

// Run asks one thing after the other and returns an answer to each, always the
// same ones in the same order. When ctx ends, the rest is skipped.
func Run(ctx context.Context, o Options) []Probe {
	if o.Within == 0 {
		o.Within = time.Minute
	}
	if o.Limit == 0 {
		o.Limit = time.Minute
	}
	waiting, cancel := context.WithTimeout(ctx, o.Within)
	defer cancel()
	t := &tester{Options: o, waiting: waiting}
	t.known = t.read(ctx)
	var all []Probe
	for _, q := range questions() {
		var p Probe
		switch {
		case ctx.Err() != nil:
			p = skip("not asked: %v", ctx.Err())
		case q.live && !o.Live:
			p = skip("%s", cmp.Or(o.Idle, "waits for the first boot"))
		default:
			t.hopeless = false
			p = q.ask(t, ctx)
			if ctx.Err() != nil { // what it says now is of no use
				p = skip("not answered: %v", ctx.Err())
			}
		}
		p.ID = q.id
		all = append(all, p)
	}
	return all
}

// Worst returns the worst verdict of probes, Skip of none.
func Worst(probes []Probe) Verdict {
	order := []Verdict{Skip, Pass, Warn, Fail}
	worst := 0
	for _, p := range probes {
		worst = max(worst, slices.Index(order, p.Verdict))
	}
	return order[worst]
}

type question struct {
	id   string
	live bool // it needs running services
	ask  func(*tester, context.Context) Probe
}

// questions are in the order in which an administrator would ask: what is the
// reason for later failures comes first.
func questions() []question {
	return []question{
		{"certificate", false, (*tester).certificate},
		{"policy", false, (*tester).policy},
		{"tables", false, (*tester).tables},
		{"services", true, (*tester).services},
		{"xcatd", true, (*tester).daemon},
		{"lsxcatd", true, (*tester).status},
		{"dns", true, (*tester).dns},
		{"dhcp", true, (*tester).dhcp},
		{"tftp", true, (*tester).tftp},
		{"http", true, (*tester).http},
		{"exports", true, (*tester).exports},
		{"console", true, (*tester).console},
	}
}

// tester asks the questions.
type tester struct {
	Options
	known    known
	waiting  context.Context // ends when daemons have had their time
	down     map[string]bool // units that do not run
	hopeless bool            // one of those that this question is about does not
}

func (t *tester) probes() stack.Probes { return t.Stack.Probes }

// units are those of roles that are to run here. For one that does not run nobody
// waits.
func (t *tester) units(roles ...string) (units []string) {
	for _, u := range t.Units {
		if t.Stack.Serves(u.Unit, roles...) {
			units = append(units, u.Unit)
			t.hopeless = t.hopeless || t.down[u.Unit]
		}
	}
	return units
}

// port is p as a site row or the stack has it.
func (t *tester) port(p stack.Port) string {
	if p.Key != "" {
		for _, value := range t.known.rows.Site(p.Key) {
			if value != "" {
				return value
			}
		}
	}
	return p.Default
}

// path replaces the variable in p.
func (t *tester) path(p string) string {
	before, rest, ok := strings.Cut(p, "{")
	name, after, closed := strings.Cut(rest, "}")
	if !ok || !closed {
		return p
	}
	return before + strings.TrimSuffix(t.Stack.Var(t.known.rows, name), "/") + after
}

const localhost = "127.0.0.1"

// address is where to connect to for port of addr.
func (t *tester) address(addr, port string) string {
	at := net.JoinHostPort(addr, port)
	if t.Redirect != nil {
		return t.Redirect(at)
	}
	return at
}

func pass(format string, args ...any) Probe {
	return Probe{Verdict: Pass, Seen: fmt.Sprintf(format, args...)}
}

func skip(format string, args ...any) Probe {
	return Probe{Verdict: Skip, Seen: fmt.Sprintf(format, args...)}
}

func warn(mend, format string, args ...any) Probe {
	return Probe{Verdict: Warn, Seen: fmt.Sprintf(format, args...), Mend: mend}
}

func fail(mend, format string, args ...any) Probe {
	return Probe{Verdict: Fail, Seen: fmt.Sprintf(format, args...), Mend: mend}
}

// join makes one answer of several: the worst verdict, and what those with that
// verdict saw.
func join(all []Probe) Probe {
	joined := Probe{Verdict: Worst(all)}
	var seen, mend []string
	for _, p := range all {
		if p.Verdict != joined.Verdict {
			continue
		}
		seen = append(seen, p.Seen)
		if p.Mend != "" && !slices.Contains(mend, p.Mend) {
			mend = append(mend, p.Mend)
		}
	}
	joined.Seen, joined.Mend = strings.Join(seen, "; "), strings.Join(mend, "; ")
	return joined
}
