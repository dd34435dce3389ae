package layers

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/stack"
)

// describeServer writes down what an import has to know of the server to set one
// up that does the same.
func (c *capture) describeServer(ctx context.Context, src database.Source, where database.Location, tables stack.Tables) error {
	s := c.config.Database.Server
	s.Remote = !c.isHere(where.Host, tables)
	if d, ok := src.(interface {
		Facts(context.Context) (database.Facts, error)
	}); ok {
		f, err := d.Facts(ctx)
		if err != nil {
			return err
		}
		s.Version, s.Encoding = f.Version, f.Encoding
	}
	if s.Remote {
		c.warn("the database is served by another machine, %s: it is in the snapshot, and an import leaves that server alone unless it is told to restore there", where.Host)
		return nil
	}
	if c.o.Access == nil {
		return nil
	}
	access, warnings, err := c.o.Access(ctx, c.o.Root, where)
	for _, w := range warnings {
		c.warn("%s", w)
	}
	if err != nil {
		c.warn("who else the database server lets in could not be read, so service nodes have to be let in by hand: %v", err)
		return nil
	}
	// Where the node itself comes from is another address on another host.
	s.Access = slices.DeleteFunc(access, func(entry string) bool { return c.isHere(entry, tables) })
	return nil
}

// isHere reports whether a database host, as cfgloc names it, is the node. A node
// that does not run has no addresses: its own rows say which one it is known by.
func (c *capture) isHere(name string, tables stack.Tables) bool {
	if ip, err := netip.ParseAddr(name); err == nil {
		name = ip.String() // as the node's addresses are written
		if ip.IsLoopback() {
			return true
		}
	}
	return name == "" || strings.HasPrefix(name, "/") || name == "localhost" ||
		slices.Contains(host.Aliases(c.o.Root, c.config.Host), name) || slices.Contains(tables.Site("master"), name)
}
