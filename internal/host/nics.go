package host

import (
	"fmt"
	"net"
	"net/netip"
)

// NICs returns the network interfaces of the running machine but loopback, each
// with its addresses and the networks they are in. Of a mounted root there are none.
func NICs(r *Root) (map[string][]netip.Prefix, error) {
	if !r.IsLive() {
		return nil, nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("network interfaces: %w", err)
	}
	nics := map[string][]netip.Prefix{}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			continue
		}
		own, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("network interface %s: %w", i.Name, err)
		}
		nics[i.Name] = nil
		for _, a := range own {
			if net, err := netip.ParsePrefix(a.String()); err == nil {
				nics[i.Name] = append(nics[i.Name], net)
			}
		}
	}
	return nics, nil
}
