package restore

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/dbserver"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/service"
)

// ours reports whether the database server is this host's, so that it is set up
// where it has to be.
func (p *planner) ours() bool {
	s := p.snapshot.Config.Database.Server
	return s == nil || !s.Remote || p.goal.from != p.goal.to.Engine
}

// wanted is what the server is to have.
func (p *planner) wantedServer() (dbserver.Want, error) {
	w := dbserver.Want{Location: p.goal.to, Standby: p.Standby}
	if s := p.snapshot.Config.Database.Server; s != nil {
		w.Access = s.Access
		if p.goal.from == p.goal.to.Engine {
			w.Encoding = s.Encoding
		}
	}
	h, err := host.ReadFacts(p.Root)
	if err != nil {
		return w, err
	}
	here := bareAddresses(h.Addresses)
	w.Own = slices.DeleteFunc(host.Aliases(p.Root, h), func(name string) bool { return isStray(name, here) })
	slices.Sort(w.Own)
	w.Own = slices.Compact(w.Own)
	if ip, err := netip.ParseAddr(p.goal.to.Host); err == nil && !ip.IsLoopback() {
		w.Listen = []string{p.goal.to.Host}
	}
	return w, nil
}

// isStray reports whether name is an address that nobody comes from: one of the
// link, which may be another after the next boot, or one that only /etc/hosts of
// the source has. A host that does not run has none, and its /etc/hosts counts.
func isStray(name string, here []string) bool {
	ip, err := netip.ParseAddr(name)
	return err == nil && (ip.IsLinkLocalUnicast() || len(here) > 0 && !ip.IsLoopback() && !slices.Contains(here, name))
}

// serverTables sums up what the database on the server has, and plans what has to
// be set up there. What cannot be seen yet, because the server is not installed
// or does not run, is looked at again when it does.
func (p *planner) serverTables(ctx context.Context) ([]artifact.Table, error) {
	p.plan.Database.Server = serverTitle(p.goal.to)
	if p.ByStack && p.ours() && !service.Running(p.Root) {
		p.find(CodeServer, Block, "let xcrate restore the database: --db-restore xcrate",
			"the stack's own program cannot reach a server that runs for the import alone, on a private socket")
	}
	if p.ours() {
		if answers, err := p.planServer(ctx); err != nil || !answers {
			return nil, err
		}
	}
	src, err := database.Open(ctx, p.login(), database.SQLiteOptions{})
	switch {
	case err == nil:
	case !p.ours():
		p.find(CodeServer, Block, "see that it answers and lets this host in", "%v", err)
		return nil, nil
	case errors.Is(err, database.ErrUnreachable), errors.Is(err, database.ErrDenied), errors.Is(err, database.ErrNoDatabase):
		return nil, nil // it is set up first
	default:
		return nil, err
	}
	tables, err := p.lookInto(ctx, src)
	return tables, errors.Join(err, src.Close())
}

// lookInto sums up the tables of src and checks that they have the columns.
func (p *planner) lookInto(ctx context.Context, src database.Source) ([]artifact.Table, error) {
	schemas, err := p.schemas(ctx)
	if err != nil {
		return nil, err
	}
	names, err := src.Tables(ctx)
	if err != nil {
		return nil, err
	}
	var tables []artifact.Table
	for _, name := range names {
		columns, err := p.checkColumns(ctx, src, name, schemas)
		if err != nil {
			return nil, err
		}
		t, err := database.SummariseColumns(ctx, src, name, columns)
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// checkColumns returns the columns that the snapshot has of a table, nil if they
// are not all in the host's, which is a finding.
func (p *planner) checkColumns(ctx context.Context, src database.Source, table string, schemas []database.Schema) ([]string, error) {
	i := slices.IndexFunc(schemas, func(s database.Schema) bool { return s.Table == table })
	if i < 0 {
		return nil, nil
	}
	have, err := src.Schema(ctx, table)
	if err != nil {
		return nil, err
	}
	columns := schemas[i].Names()
	var lacks []string
	for _, c := range columns {
		if !slices.Contains(have.Names(), c) {
			lacks = append(lacks, c)
		}
	}
	if len(lacks) > 0 {
		p.find(CodeColumns, Block, "bring the host to the version of the snapshot, or drop its table",
			"table %q of the host has no column %s", table, strings.Join(lacks, ", "))
		return nil, nil
	}
	return columns, nil
}

// login is how the database is reached now: an earlier import, or the stack's own
// scripts, may have given its user another password.
func (p *planner) login() database.Location {
	own, to := p.goal.own, p.goal.to
	if own != nil && own.Engine == to.Engine && own.Name == to.Name && own.User == to.User {
		return *own
	}
	return to
}

// planServer plans the setting up and reports whether the server answers.
func (p *planner) planServer(ctx context.Context) (bool, error) {
	w, err := p.wantedServer()
	if err != nil {
		return false, err
	}
	s, err := dbserver.Find(p.Root, p.Runner, p.goal.to.Engine)
	if errors.Is(err, dbserver.ErrNotInstalled) {
		if p.bringsServer() {
			p.plan.Database.SetUp = []string{"set up the server, once its packages are installed"}
			return false, nil
		}
		p.find(CodeServer, Block, "make the distro's repositories known to the package manager, or restore into SQLite: --db-engine sqlite", "%v", err)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	plan, err := s.Plan(ctx, w)
	if err != nil {
		return false, err
	}
	p.plan.Database.SetUp, p.plan.Database.Notes = plan.Steps, plan.Notes
	return service.Running(p.Root), nil
}

// bringsServer reports whether this import installs the server.
func (p *planner) bringsServer() bool {
	facts, err := host.ReadFacts(p.Root)
	if err != nil {
		return false
	}
	for _, name := range dbserver.Packages(facts.Distro, p.goal.to.Engine) {
		if slices.Contains(p.plan.Packages.Names, name) {
			return true
		}
	}
	return slices.ContainsFunc(p.plan.Packages.Names, p.Stack.Packages.IsCompanion)
}

// schemas reads what the snapshot knows of its tables.
func (p *planner) schemas(ctx context.Context) ([]database.Schema, error) {
	var schemas []database.Schema
	err := p.eachDatabaseFile(ctx, func(e artifact.Entry, r io.Reader) (err error) {
		if e.Path == artifact.SchemaFile {
			schemas, err = readSchemas(r)
		}
		return err
	})
	return schemas, err
}
