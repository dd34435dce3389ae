package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/stack"
	"github.com/xcrate/xcrate/restore"
)

type importOptions struct {
	root       string
	dryRun     bool
	yes        bool
	only, skip []string
	allow      []string
	json       bool
	showFiles  bool
	keepRepo   bool
	standby    bool

	dbEngine  string
	dbRestore string // by whom
	dbRemote  bool
}

func newImport(a *app) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import SRC",
		Short: "Put a snapshot back on this machine",
		Long: `Compare a snapshot with this machine, show what would change, ask, and do it.
Nothing changes before the last byte that is needed has been verified; what is
replaced is kept, and after an error everything is put back. A second import of
the same snapshot changes nothing.`,
		Example: `  xcrate import /media/usb                  # plan, question, restore
  xcrate import /media/usb --dry-run        # only the plan
  xcrate import /media/usb --root /mnt/new  # onto a mounted disk
  xcrate import /media/usb --only database --yes
  xcrate import /media/usb --standby        # nothing is started`,
		Args: args("SRC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImport(cmd.Context(), a, args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.root, "root", "/", "restore into this `DIR`, a mounted disk")
	f.BoolVar(&o.dryRun, "dry-run", false, "show the plan and stop")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	f.StringSliceVar(&o.only, "only", nil, "restore only these `KIND`s: packages, secrets,\nconfig, opt, install, tftpboot, database")
	f.StringSliceVar(&o.skip, "skip", nil, "leave these `KIND`s alone")
	f.StringSliceVar(&o.allow, "allow", nil, "go on despite the check called `CODE` in the plan")
	f.BoolVar(&o.keepRepo, "keep-repo", false, "leave the repository xcrate-snapshot known to\nthe package manager")
	f.BoolVar(&o.standby, "standby", false, "leave the services stopped and disabled: another\nhost is the management node")
	f.StringVar(&o.dbEngine, "db-engine", "", "restore the database into `ENGINE`: sqlite,\npostgres, mariadb (default: that of the source)")
	f.StringVar(&o.dbRestore, "db-restore", "xcrate", "`BY` whom tables are restored: xcrate (default)\nor xcat (slower, its own restorexCATdb)")
	f.Lookup("db-restore").DefValue = ""
	f.BoolVar(&o.dbRemote, "remote-database", false, "restore into a database server on another\nmachine too, if the source's was on one")
	f.BoolVar(&o.showFiles, "show-files", false, "list every file in the plan")
	f.BoolVar(&o.json, "json", false, "print plan and result as JSON")
	return cmd
}

func runImport(ctx context.Context, a *app, text string, o importOptions) (err error) {
	ro, err := o.restoreOptions(a)
	if err != nil {
		return err
	}
	s, err := openSnapshot(ctx, text)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if ro.Root, err = openRoot(o.root); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ro.Root.Close()) }()
	temp, remove, err := host.TempDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	ro.TempDir = temp
	p := a.progress()
	ro.Progress = p
	if o.dryRun {
		plan, err := restore.NewPlan(ctx, s, s.Snapshot, ro)
		p.Done()
		if err != nil {
			return err
		}
		return a.dryRun(ctx, plan, o)
	}
	var seen *restore.Plan
	result, err := restore.Apply(ctx, s, s.Snapshot, ro, a.err, func(plan *restore.Plan) (bool, error) {
		p.Done()
		seen = plan
		return a.confirm(ctx, plan, o)
	})
	p.Done()
	if err != nil && result == nil {
		return err
	}
	return errors.Join(err, a.imported(seen, result, o))
}

func (o importOptions) restoreOptions(a *app) (restore.Options, error) {
	ro := restore.Options{
		Runner: a.runner, Stack: stack.XCAT(), Now: a.now(), Allow: map[string]bool{}, KeepRepository: o.keepRepo, Standby: o.standby,
		Engine: database.Engine(o.dbEngine), RemoteDatabase: o.dbRemote, ByStack: o.dbRestore == "xcat",
	}
	if o.dbEngine != "" && !slices.Contains(database.Engines(), ro.Engine) {
		return ro, usage(fmt.Errorf("database engine %q", o.dbEngine), "the engines are sqlite, postgres, mariadb")
	}
	if o.dbRestore != "xcrate" && o.dbRestore != "xcat" {
		return ro, usage(fmt.Errorf("--db-restore %q", o.dbRestore), "the tables are restored by xcrate or by xcat")
	}
	for flag, list := range map[*[]artifact.Kind][]string{&ro.Only: o.only, &ro.Skip: o.skip} {
		for _, name := range list {
			k, err := artifact.ParseKind(name)
			if err != nil || !k.HasEntries() {
				return ro, usage(fmt.Errorf("kind %q", name), "the kinds are packages, secrets, config, opt, install, tftpboot, database")
			}
			*flag = append(*flag, k)
		}
	}
	for _, code := range o.allow {
		if !slices.Contains(restore.Codes(), code) {
			return ro, usage(fmt.Errorf("check %q", code), "the checks that can be allowed: "+strings.Join(restore.Codes(), ", "))
		}
		ro.Allow[code] = true
	}
	return ro, nil
}

func (a *app) dryRun(ctx context.Context, plan *restore.Plan, o importOptions) error {
	var err error
	if o.json {
		err = a.printJSON(plan)
	} else {
		err = a.printPlan(ctx, plan, o.showFiles)
	}
	if err == nil && len(plan.Blocked()) > 0 {
		return exit(exitRefused)
	}
	return err
}

// confirm shows the plan and asks. With --json the plan comes with the result.
func (a *app) confirm(ctx context.Context, plan *restore.Plan, o importOptions) (bool, error) {
	if !o.json {
		if err := a.printPlan(ctx, plan, o.showFiles); err != nil {
			return false, err
		}
	}
	if blocked := plan.Blocked(); len(blocked) > 0 {
		return false, refused(blocked)
	}
	if plan.Empty() || o.yes {
		return true, nil
	}
	if !terminal(a.in) {
		return false, usage(errors.New("import: nobody to ask: not a terminal"), "to go on without a question: --yes; to see the plan only: --dry-run")
	}
	return a.ask(ctx, "Go on?")
}

// refused says which checks stop an import, and how to go on all the same if
// every one of them can be allowed.
func refused(blocked []restore.Finding) error {
	var codes []string
	canAllow := true
	for _, f := range blocked {
		if !slices.Contains(codes, f.Code) {
			codes = append(codes, f.Code)
		}
		canAllow = canAllow && slices.Contains(restore.Codes(), f.Code)
	}
	list := strings.Join(codes, ",")
	err := fmt.Errorf("%w: %s", restore.ErrBlocked, list)
	if !canAllow {
		return hint(err, "mend what the plan says, then try again")
	}
	return hint(err, "mend what the plan says; to go on all the same: --allow %s", list)
}

// ask puts a question that only yes answers. Ctrl-C ends the waiting.
func (a *app) ask(ctx context.Context, question string) (bool, error) {
	if _, err := fmt.Fprintf(a.out, "\n%s [y/N] ", question); err != nil {
		return false, err
	}
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.in).ReadString('\n') // an end without an answer is a no
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		_, err := fmt.Fprintln(a.out)
		return false, errors.Join(ctx.Err(), err)
	case line := <-answer:
		if line == "y" || line == "yes" {
			return true, nil
		}
	}
	_, err := fmt.Fprintln(a.out, "Nothing was changed.")
	return false, err
}

// imported reports what was done. No result: there was nothing to do, or the
// answer was no.
func (a *app) imported(plan *restore.Plan, result *restore.Result, o importOptions) error {
	var err error
	switch {
	case o.json:
		err = a.printJSON(struct {
			Plan   *restore.Plan   `json:"plan"`
			Result *restore.Result `json:"result"`
		}{plan, result})
	case result != nil:
		err = a.print(func(p *printer) { p.imported(result) })
	}
	if err == nil && result != nil && (len(result.Lost) > 0 || warned(plan)) {
		return exit(exitWarnings)
	}
	return err
}

func warned(plan *restore.Plan) bool { return len(plan.Findings) > 0 }
