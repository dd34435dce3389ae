package restore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/accept"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/service"
)

// accept asks everything that can be asked whether it works. What it finds is in the
// report.
func (a *applier) accept(ctx context.Context) error {
	a.Progress.Phase("acceptance", 0)
	source := a.snapshot.Config
	o := accept.Options{
		Root: a.Root, Runner: a.Runner, Stack: a.Stack, Name: cmp.Or(source.Host.FQDN, source.Host.Name),
		Live: service.Running(a.Root) && !a.Standby && !a.NoStart, Now: a.Now,
	}
	switch {
	case a.Standby:
		o.Idle = "a standby: xcrate activate asks"
	case a.NoStart:
		o.Idle = "nothing was started"
	case !a.result.Waits && !o.Live:
		o.Idle = "services do not run here"
	}
	here, err := host.ReadFacts(a.Root)
	if err != nil {
		return err
	}
	o.Addresses = bareAddresses(here.Addresses)
	if o.Live {
		units, err := a.toStart(ctx)
		if err != nil {
			return err
		}
		for _, unit := range units {
			o.Units = append(o.Units, artifact.Service{Unit: unit})
		}
	}
	if a.Wants(artifact.KindDatabase) && len(source.Database.Tables) > 0 {
		l, err := database.LocateIn(a.Root, "")
		if err != nil {
			return err
		}
		o.Tables = source.Database.Tables
		if l.Engine == database.EngineSQLite {
			o.Open = func(ctx context.Context) (database.Source, error) { return a.openSQLite(ctx, l.Dir) }
		} else if o.Live {
			o.Open = func(ctx context.Context) (database.Source, error) {
				return database.Open(ctx, l, database.SQLiteOptions{})
			}
		}
	}
	a.result.Report.Probes = accept.Run(ctx, o)
	return a.serviceNodes(ctx, o.Open)
}

// serviceNodes adds to the report which service nodes have to be told that the
// database has another address.
func (a *applier) serviceNodes(ctx context.Context, open func(context.Context) (database.Source, error)) (err error) {
	moved := slices.ContainsFunc(a.plan.Findings, func(f Finding) bool { return f.Code == "database-host" && f.Level == Warn })
	if !moved || open == nil {
		return nil
	}
	src, err := open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	var nodes []string
	err = database.Records(ctx, src, a.Stack.ServiceTable, func(row map[string]string) error {
		if node := row["node"]; node != "" && node != a.snapshot.Config.Host.Name {
			nodes = append(nodes, node)
		}
		return nil
	})
	if err != nil || len(nodes) == 0 {
		return err
	}
	slices.Sort(nodes)
	a.result.Report.ToDo = append(a.result.Report.ToDo, ToDo{
		Command: "updatenode " + strings.Join(nodes, ",") + " -P servicenode", For: "service nodes hold the database's old address in their own " + database.Cfgloc,
	})
	return nil
}
