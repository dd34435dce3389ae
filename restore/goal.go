package restore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// goal is where the database of a snapshot goes on the host.
type goal struct {
	to   database.Location // Dir is a path of the host
	from database.Engine   // of the source
	own  *database.Location
	// manages says that cfgloc is written by the database's own step, after the
	// server answers, and not with the other files. cfgloc is what it will hold,
	// nil for no file.
	manages bool
	cfgloc  []byte
	entry   *artifact.Entry // of cfgloc in the snapshot, nil for none
}

// cfglocPath is the path of cfgloc as entries have it.
var cfglocPath = strings.TrimPrefix(database.Cfgloc, "/")

// findGoal decides where the database goes: an engine that is asked for, else that
// of the source.
func (p *planner) findGoal(ctx context.Context) (err error) {
	want := p.snapshot.Config.Database
	if !p.Wants(artifact.KindDatabase) || len(p.snapshot.Layers(artifact.KindDatabase)) == 0 {
		return nil
	}
	g := &goal{from: database.Engine(want.Engine)}
	if err := p.ownDatabase(g); err != nil {
		return err
	}
	if want.Server != nil && want.Server.Remote && !p.RemoteDatabase && (p.Engine == "" || p.Engine == g.from) {
		p.find("remote-database", Warn, "to restore it there as well: --remote-database",
			"the database is served by another machine, %s: its tables stay as they are", want.Server.Host)
		return nil
	}
	if g.entry, err = p.findEntry(ctx, cfglocPath); err != nil {
		return err
	}
	engine := g.from
	if p.Engine != "" {
		engine = p.Engine
	}
	switch engine {
	case database.EngineSQLite:
		err = p.sqliteGoal(g)
	case database.EnginePostgres, database.EngineMariaDB:
		err = p.serverGoal(ctx, g, engine)
	default:
		err = fmt.Errorf("engine %q: unknown to this version", engine)
	}
	if err == nil {
		p.goal = g
	}
	return err
}

// ownDatabase finds out where the host's database is now, if it has one.
func (p *planner) ownDatabase(g *goal) error {
	own, err := database.LocateIn(p.Root, "")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		p.find(CodeDatabase, Block, "mend it, or have it replaced; the old one is kept", "%v", err)
		return nil
	}
	g.own = &own
	return nil
}

// sqliteGoal: a cfgloc that leads elsewhere must not stay.
func (p *planner) sqliteGoal(g *goal) error {
	g.to = database.Location{Engine: database.EngineSQLite, Dir: "/etc/xcat"}
	if g.from == database.EngineSQLite {
		g.to.Dir = p.snapshot.Config.Database.Dir
	}
	if err := artifact.CheckPath(strings.TrimPrefix(g.to.Dir, "/")); err != nil {
		return fmt.Errorf("config: database: %w", err)
	}
	g.manages = g.from != database.EngineSQLite || g.entry == nil && p.Wants(artifact.KindSecrets)
	return nil
}

// serverGoal takes user and password from the snapshot's cfgloc; where the source
// had another engine, from a cfgloc of the host that an earlier import made, else
// they are new.
func (p *planner) serverGoal(ctx context.Context, g *goal, engine database.Engine) error {
	g.manages = true
	if engine != g.from {
		g.to = p.newServer(engine)
		if g.own != nil && g.own.Engine == engine {
			g.to = *g.own
		}
		g.cfgloc = []byte(g.to.Line().Reveal() + "\n")
		return nil
	}
	if g.entry == nil {
		if g.own == nil || g.own.Engine != engine {
			return fmt.Errorf("neither the snapshot nor this host has a %s that names the %s server", database.Cfgloc, engine)
		}
		g.to, g.manages = *g.own, false
		return nil
	}
	content, err := p.readEntry(ctx, *g.entry)
	if err != nil {
		return err
	}
	line, rest, _ := strings.Cut(string(content), "\n")
	if g.to, err = database.ParseLocation(line); err != nil {
		return fmt.Errorf("%s of the snapshot: %w", database.Cfgloc, err)
	}
	if g.to.Engine != engine {
		return fmt.Errorf("%s of the snapshot names another engine than its config, %s", database.Cfgloc, engine)
	}
	g.cfgloc = content
	if here := p.serverHost(g.to.Host); here != g.to.Host {
		p.find("database-host", Warn, "service nodes have the old address in their own "+database.Cfgloc+": updatenode NODES -P servicenode",
			"the database was on %s, which is no address of this host: %s names %s instead", g.to.Host, database.Cfgloc, here)
		g.to.Host = here
		g.cfgloc = []byte(g.to.Line().Reveal() + "\n" + rest)
	}
	g.manages = p.Wants(artifact.KindSecrets)
	return nil
}

// newServer is where a database goes that was on no server.
func (p *planner) newServer(engine database.Engine) database.Location {
	user := "xcatadm" // as xCAT's own pgsqlsetup and mysqlsetup call them
	if engine == database.EngineMariaDB {
		user = "xcatadmin"
	}
	return database.Location{
		Engine: engine, Host: p.serverHost(""), Name: "xcatdb", User: user, Password: database.NewSecret(rand.Text()),
	}
}

// serverHost returns the host that cfgloc is to name: was where it is this host
// still, else the address of it that is nearest to was. Service nodes reach the
// database by it, so the loopback address is the last choice.
func (p *planner) serverHost(was string) string {
	remote := p.snapshot.Config.Database.Server != nil && p.snapshot.Config.Database.Server.Remote
	if remote || !p.Root.IsLive() && was != "" || strings.HasPrefix(was, "/") {
		return was
	}
	h, err := host.ReadFacts(p.Root)
	if err != nil || slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, was) {
		return was
	}
	_, err = netip.ParseAddr(was)
	known := err != nil && slices.Contains(host.Aliases(p.Root, h), was)
	return nearest(was, known, p.snapshot.Config.Host.Addresses, h.Addresses)
}

// nearest chooses among the addresses here what stands for was, an address or name
// of the source; known says that it is a name of this host. Such a name leads here
// only where an address of the source does: /etc/hosts comes from there as well,
// and is no proof of an address either.
func nearest(was string, known bool, source, here []string) string {
	have := bareAddresses(here)
	is := func(a string) bool { return slices.Contains(have, a) }
	from := append([]string{was}, bareAddresses(source)...)
	if known && (len(source) == 0 || slices.ContainsFunc(from, is)) {
		return was
	}
	if i := slices.IndexFunc(from, is); i >= 0 {
		return from[i]
	}
	old, _ := netip.ParseAddr(was)
	var best netip.Prefix
	for _, a := range here {
		if net, err := netip.ParsePrefix(a); err == nil && net.Contains(old) && net.Bits() > best.Bits() {
			best = net
		}
	}
	if best.IsValid() {
		return best.Addr().String()
	}
	for _, a := range have {
		if ip, err := netip.ParseAddr(a); err == nil && ip.Is4() {
			return a
		}
	}
	return "localhost"
}

// bareAddresses drops the prefix lengths.
func bareAddresses(all []string) (bare []string) {
	for _, a := range all {
		a, _, _ = strings.Cut(a, "/")
		bare = append(bare, a)
	}
	return bare
}

// findEntry returns the record of the entry with this path, nil if there is none.
func (p *planner) findEntry(ctx context.Context, name string) (*artifact.Entry, error) {
	var found *artifact.Entry
	err := p.snapshot.Catalog(ctx, p.fetcher, func(e artifact.Entry) error {
		if e.Path == name && e.Type == artifact.TypeFile {
			found = &e
		}
		return nil // on to the end, which verifies what was read
	})
	return found, err
}

// maxSmall bounds what readEntry holds in memory.
const maxSmall = 1 << 20

// readEntry returns the content of the file e, verified to the end of its layer.
func (p *planner) readEntry(ctx context.Context, e artifact.Entry) ([]byte, error) {
	contents, err := p.readEntries(ctx, maxSmall, e)
	return contents[e.Path], err
}
