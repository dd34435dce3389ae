package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
)

// database compares the tables of the snapshot with those of the host.
func (p *planner) database(ctx context.Context) error {
	p.plan.Database = DatabasePlan{Restore: []artifact.Table{}, Remove: []string{}}
	if p.goal == nil {
		return nil
	}
	plan, g := &p.plan.Database, p.goal
	plan.Engine, plan.Dir, plan.ByStack = string(g.to.Engine), g.to.Dir, p.ByStack
	if g.from != g.to.Engine {
		plan.From = string(g.from)
	}
	have, err := p.currentTables(ctx)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	p.tableFacts(have)
	p.compareTables(have)
	if err := p.planStale(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if err := p.checkRows(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if plan.Cfgloc, err = p.planCfgloc(); err != nil {
		return err
	}
	return p.databaseSpace()
}

// currentTables sums up what is where the database goes.
func (p *planner) currentTables(ctx context.Context) ([]artifact.Table, error) {
	if p.goal.to.Engine != database.EngineSQLite {
		return p.serverTables(ctx)
	}
	have, err := p.hostTables(ctx, p.goal.to.Dir)
	if err != nil && ctx.Err() == nil {
		// A broken database is what an import may be there to mend.
		p.find(CodeDatabase, Block, "mend it, or have all of it replaced; the broken files are kept",
			"the database in %s cannot be read: %v", p.Root.Path(p.goal.to.Dir), err)
		have, err = p.hostFiles(p.goal.to.Dir)
	}
	return have, err
}

// compareTables plans what differs between have and the snapshot. A table that
// the snapshot left out on purpose is no reason to lose the host's.
func (p *planner) compareTables(have []artifact.Table) {
	plan, want := &p.plan.Database, p.snapshot.Config.Database
	for _, t := range want.Tables {
		if slices.Contains(have, t) {
			plan.Same++
			continue
		}
		plan.Restore = append(plan.Restore, t)
	}
	for _, t := range have {
		switch {
		case slices.ContainsFunc(want.Tables, func(w artifact.Table) bool { return w.Name == t.Name }):
		case slices.ContainsFunc(want.LeftOut, func(l artifact.TableLeftOut) bool { return l.Name == t.Name }):
			if t.Rows > 0 {
				plan.Keep = append(plan.Keep, t.Name)
			}
		case p.goal.to.Engine == database.EngineSQLite || t.Rows > 0:
			plan.Remove = append(plan.Remove, t.Name)
		}
		p.checkNodes(t, p.where(p.goal.to))
	}
}

// checkNodes refuses to replace a cluster that is not the snapshot's.
func (p *planner) checkNodes(t artifact.Table, where string) {
	if t.Name == p.Stack.NodeTable && t.Rows > 0 && !slices.Contains(p.snapshot.Config.Database.Tables, t) {
		p.find(CodeNodes, Block, "give another root, or a host without managed nodes",
			"the database in %s has %d managed nodes of its own, which the snapshot's would replace", where, t.Rows)
	}
}

// where names the place of a database for people.
func (p *planner) where(l database.Location) string {
	if l.Engine == database.EngineSQLite {
		return p.Root.Path(l.Dir)
	}
	return serverTitle(l)
}

func serverTitle(l database.Location) string {
	at := l.Host
	if at == "" {
		at = "the local socket"
	}
	if l.Port != "" {
		at += " port " + l.Port
	}
	return fmt.Sprintf("%s on %s, user %s", l.Name, at, l.User)
}

// planStale looks at a database the host has elsewhere than where the snapshot's
// goes.
func (p *planner) planStale(ctx context.Context) error {
	own, to := p.goal.own, p.goal.to
	switch {
	case own == nil, own.Engine == to.Engine && own.Dir == to.Dir:
		return nil
	case own.Engine != database.EngineSQLite:
		p.find("database-left", Warn, "drop it there once nobody needs it any more",
			"the host's database so far, %s, is not used any more and stays", p.where(*own))
		return nil
	}
	tables, err := p.hostTables(ctx, own.Dir)
	if err != nil && ctx.Err() == nil { // it goes, so what is in it matters for the nodes only
		tables, err = p.hostFiles(own.Dir)
	}
	for _, t := range tables {
		p.checkNodes(t, p.where(*own))
		p.plan.Database.Stale = append(p.plan.Database.Stale, t.Name)
	}
	return err
}

// planCfgloc compares the host's cfgloc with what it is to hold.
func (p *planner) planCfgloc() (string, error) {
	if !p.goal.manages {
		return "", nil
	}
	have, err := p.Root.ReadFile(database.Cfgloc, 1<<20)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if p.goal.cfgloc == nil {
			return "", nil
		}
		return cfglocWrite, nil
	case err != nil:
		return "", err
	case p.goal.cfgloc == nil:
		return cfglocRemove, nil
	}
	st, err := p.Root.Lstat(database.Cfgloc)
	if err != nil || string(have) != string(p.goal.cfgloc) || st.Mode&0o7777 != 0o600 {
		return cfglocWrite, err
	}
	return "", nil
}

// What becomes of cfgloc.
const (
	cfglocWrite  = "write"
	cfglocRemove = "remove"
)

// databaseSpace counts what is needed: the staged CSV, the new files, which are
// the CSV and its index, and what an engine writes before it lets go of the old.
func (p *planner) databaseSpace() error {
	if len(p.plan.Database.Restore) == 0 {
		return nil
	}
	sum, _ := p.snapshot.Config.Kind(artifact.KindDatabase)
	files := int64(len(p.plan.Database.Restore)) * 16 << 10
	if err := p.addNeed(path.Join(StateDir, "x"), sum.Bytes+files); err != nil {
		return err
	}
	dir := p.goal.to.Dir
	if dir == "" {
		dir = "/var/lib"
	}
	return p.addNeed(path.Join(dir, "x"), 3*sum.Bytes+files)
}

// hostFiles lists the tables in dir by their files, none if there is no
// database. What they hold is not looked at.
func (p *planner) hostFiles(dir string) ([]artifact.Table, error) {
	names, err := p.Root.Names(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var tables []artifact.Table
	for _, n := range names {
		if table, ok := strings.CutSuffix(n, database.SQLiteSuffix); ok {
			tables = append(tables, artifact.Table{Name: table})
		}
	}
	return tables, err
}

// hostTables sums up the tables in dir, none if there is no database.
func (p *planner) hostTables(ctx context.Context, dir string) (_ []artifact.Table, err error) {
	files, err := p.hostFiles(dir)
	if err != nil || len(files) == 0 {
		return nil, err
	}
	src, err := p.openSQLite(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	return database.Summarise(ctx, src)
}

// openSQLite opens the SQLite files in dir, a path of the host.
func (p *planner) openSQLite(ctx context.Context, dir string) (database.Source, error) {
	resolved, err := p.Root.Resolve(dir)
	if err != nil {
		return nil, err
	}
	return database.OpenSQLite(ctx, p.Root.Path(resolved), database.SQLiteOptions{TempDir: p.TempDir})
}
