package restore

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/host"
)

// probeWithin is how long an address may take to answer. On one network a machine
// that runs answers in milliseconds.
const probeWithin = 2 * time.Second

// maxProbed bounds how many addresses are asked.
const maxProbed = 32

// checkOldNode asks the addresses that were the snapshot's host's and are not this
// one's whether a management node is behind them: two of them beside each other
// answer the same nodes.
func (p *planner) checkOldNode(ctx context.Context, src source) {
	ask := p.strangers(src)
	if len(ask) == 0 && len(p.snapshot.Config.Host.Addresses) == 0 {
		p.checked.probed = "the snapshot knows no addresses of its host"
		return
	}
	ask = ask[:min(len(ask), maxProbed)]
	errs := make([]error, len(ask))
	done := make(chan struct{})
	for i, a := range ask {
		go func() {
			errs[i] = p.probe(ctx, net.JoinHostPort(a, src.port))
			done <- struct{}{}
		}()
	}
	for range ask {
		<-done
	}
	const mend = "stop it there: systemctl disable --now xcatd, and its DHCP and DNS servers; or import with --no-start or --standby"
	for i, a := range ask {
		switch {
		case errs[i] == nil:
			p.find(CodeOldNode, Block, mend, "a management node answers on %s port %s: two of them would serve the same nodes", a, src.port)
		case errors.Is(errs[i], unix.ECONNREFUSED), errors.Is(errs[i], unix.ECONNRESET):
			p.find(CodeOldNode, Warn, "see that it is switched off, or that it is no management node any more",
				"a machine answers on %s, though nothing on its port %s", a, src.port)
		}
	}
}

func (p *planner) probe(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	dial := p.dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	c, err := dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return errors.Join(c.Close())
}

// checkDuplicates asks whether another machine has an address of the snapshot's host
// that this one has too: a connection would only lead to itself. Where the kernel
// does not let it ask, it is silent.
func (p *planner) checkDuplicates(ctx context.Context, src source) {
	ask := p.duplicate
	if ask == nil {
		ask = host.Duplicate
	}
	was := append(bareAddresses(p.snapshot.Config.Host.Addresses), src.master)
	for _, nic := range slices.Sorted(maps.Keys(p.checked.here.nics)) {
		for _, a := range p.checked.here.nics[nic] {
			if !a.Addr().Is4() || !slices.Contains(was, a.Addr().String()) {
				continue
			}
			if who, err := ask(ctx, nic, a.Addr()); err == nil && who != nil {
				p.find(CodeOldNode, Block, "take the old management node off the network, or stop it there",
					"another machine has the address %s of this host too, says the network of %s: %s", a.Addr(), nic, who)
			}
		}
	}
}
