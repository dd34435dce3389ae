package restore

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/stack"
)

// source is what the snapshot's tables say of the network.
type source struct {
	master, port string
	networks     []map[string]string // rows: net, mask, mgtifname
}

const networksTable = "networks"

// checkNetwork compares addresses, interfaces and names with those of the snapshot.
// Only the running machine can be asked for its own.
func (p *planner) checkNetwork(ctx context.Context) error {
	if !p.Root.IsLive() {
		p.checked.probed = "a mounted root starts no services: nobody is in their way"
		return nil
	}
	src, err := p.source(ctx)
	if err != nil {
		return err
	}
	p.checkAddresses(src)
	p.checkNICs(src)
	if err := p.checkResolution(ctx); err != nil {
		return err
	}
	if p.Standby || p.NoStart {
		p.checked.probed = "no services are started by this import"
		return nil
	}
	p.checkOldNode(ctx, src)
	p.checkDuplicates(ctx, src)
	return ctx.Err()
}

// source reads the rows of the snapshot that name its own address and networks.
func (p *planner) source(ctx context.Context) (source, error) {
	daemon := p.Stack.Probes.Ports[0]
	src := source{port: daemon.Default}
	if len(p.snapshot.Layers(artifact.KindDatabase)) == 0 {
		return src, nil
	}
	tables, schemas := stack.Tables{}, map[string]database.Schema{}
	err := p.eachDatabaseFile(ctx, func(e artifact.Entry, r io.Reader) error {
		if e.Path == artifact.SchemaFile {
			all, err := readSchemas(r)
			for _, s := range all {
				schemas[s.Table] = s
			}
			return err
		}
		name := p.tableOf(e)
		s, ok := schemas[name]
		if name != "site" && name != networksTable || !ok {
			return nil
		}
		_, err := database.SurveyCSV(r, s, func(row []database.Value) {
			values := map[string]string{}
			for i, v := range row {
				if !v.Null {
					values[s.Columns[i].Name] = v.Text
				}
			}
			tables[name] = append(tables[name], values)
		})
		return err
	})
	if err != nil {
		return src, fmt.Errorf("tables of the snapshot: %w", err)
	}
	for _, v := range tables.Site(p.Stack.MasterKey) {
		src.master = v
	}
	for _, v := range tables.Site(daemon.Key) {
		src.port = v
	}
	src.networks = tables[networksTable]
	return src, nil
}

// strangers are the addresses of the snapshot's host that this one does not have,
// but for those of a link, which every machine makes for itself.
func (p *planner) strangers(src source) (all []string) {
	have := bareAddresses(p.checked.here.Addresses)
	for _, a := range append(bareAddresses(p.snapshot.Config.Host.Addresses), src.master) {
		ip, err := netip.ParseAddr(a)
		if err == nil && !ip.IsLinkLocalUnicast() && !ip.IsLoopback() && !slices.Contains(have, a) && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

func (p *planner) checkAddresses(src source) {
	if p.needsAddresses() != "" {
		return
	}
	was := bareAddresses(p.snapshot.Config.Host.Addresses)
	missing := slices.DeleteFunc(p.strangers(src), func(a string) bool { return !slices.Contains(was, a) })
	if len(missing) == 0 {
		return
	}
	keeps := "tables, DNS zones and boot files keep"
	if slices.Contains(missing, src.master) {
		keeps = "site.master, other tables, DNS zones and boot files keep"
	}
	p.find(codeAddress, Warn,
		"give this host the address, or after the import: chdef -t site master=ADDRESS; then makedns -n, makedhcp -n, makedhcp -a, mknb x86_64, and see networks and noderes",
		"this host does not have %s of the snapshot's host: %s the old one", strings.Join(missing, ", "), keeps)
}

// checkNICs says which interfaces are called otherwise. The networks table knows
// which network was on which.
func (p *planner) checkNICs(src source) {
	if p.needsNICs() != "" {
		return
	}
	var missing []string
	for _, nic := range p.snapshot.Config.Host.NICs {
		if _, ok := p.checked.here.nics[nic]; ok || isVirtual(nic) {
			continue
		}
		if is := p.nicOf(nic, src.networks); is != "" {
			nic += " (" + is + " here)"
		}
		missing = append(missing, nic)
	}
	if len(missing) > 0 {
		p.find(codeNICs, Warn, "after the import: chdef -t network NAME mgtifname=NIC, chdef -t site dhcpinterfaces=NIC; then makedhcp -n, makedhcp -a",
			"this host has no interface %s: networks, site.dhcpinterfaces and the DHCP server's configuration name it", strings.Join(missing, ", "))
	}
}

// isVirtual tells interfaces that programs make and name for themselves.
func isVirtual(nic string) bool {
	return slices.ContainsFunc([]string{"veth", "docker", "virbr", "vnet", "tap", "cni", "cali", "flannel"}, func(s string) bool { return strings.HasPrefix(nic, s) })
}

// nicOf returns the interface of this host on the network that nic was on, "" if
// none is.
func (p *planner) nicOf(nic string, networks []map[string]string) string {
	for _, row := range networks {
		mask, err := netip.ParseAddr(row["mask"])
		if row["mgtifname"] != nic || err != nil {
			continue
		}
		ones, _ := net.IPMask(mask.AsSlice()).Size()
		network, err := netip.ParsePrefix(fmt.Sprintf("%s/%d", row["net"], ones))
		if err != nil {
			continue
		}
		for _, here := range slices.Sorted(maps.Keys(p.checked.here.nics)) {
			if slices.ContainsFunc(p.checked.here.nics[here], func(a netip.Prefix) bool { return network.Contains(a.Addr()) }) {
				return here
			}
		}
	}
	return ""
}
