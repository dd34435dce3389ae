package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/stack"
	"github.com/xcrate/xcrate/restore"
)

type importOptions struct {
	root       string
	dryRun     bool
	check      bool
	planOut    string
	plan       string
	yes        bool
	only, skip []string
	allow      []string
	json       bool
	showFiles  bool
	keepRepo   bool
	standby    bool

	noStart bool
	withDB  bool
	resume  bool

	dbEngine  string
	dbRestore string // by whom
	dbRemote  bool

	hooks    hookOptions
	source   sourceOptions
	opening  openOptions
	trust    trustOptions
	cacheDir string // of what is copied from discs and registries
}

func newImport(a *app) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import SRC",
		Short: "Put a snapshot back on this machine",
		Long: `Compare a snapshot with this machine, show what would change, ask, and do it.
Nothing changes before the last byte that is needed has been verified; what is
replaced is kept, and after an error everything is put back. Then services are
started, and asked whether they answer. A second import of the same snapshot
changes nothing.`,
		Example: `  xcrate import /media/usb                  # plan, question, restore
  xcrate import /media/usb --check          # does this machine fit?
  xcrate import /media/usb --dry-run        # only the plan
  xcrate import /media/usb --root /mnt/new  # onto a mounted disk
  xcrate import /media/usb --standby        # nothing is started
  xcrate import registry.example/mn/c7:v2   # fetched to a cache first
  xcrate import --resume                    # after a power cut
  xcrate rollback                           # take it back`,
		Args: func(cmd *cobra.Command, given []string) error {
			if o.resume && len(given) == 0 {
				return nil
			}
			if len(given) == 0 && a.beside != "" {
				return nil
			}
			return args("SRC")(cmd, given)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.resume {
				return runResume(cmd, a, args, o)
			}
			if len(args) == 0 {
				args = []string{a.beside}
			}
			if err := checkPlanFlags(cmd, o); err != nil {
				return err
			}
			return runImport(cmd.Context(), a, args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.root, "root", "/", "restore into this `DIR`, a mounted disk")
	f.BoolVar(&o.dryRun, "dry-run", false, "show the plan and stop")
	f.BoolVar(&o.check, "check", false, "show what the checks say and stop")
	f.StringVar(&o.planOut, "plan-out", "", "with --dry-run or --check: write the plan to\n`FILE`")
	f.StringVar(&o.plan, "plan", "", "carry out the plan in `FILE`, if the host is still\nas it was; it has all other options")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	f.StringSliceVar(&o.only, "only", nil, "restore only these `KIND`s: packages, secrets,\nconfig, opt, install, tftpboot, database")
	f.StringSliceVar(&o.skip, "skip", nil, "leave these `KIND`s alone")
	f.StringSliceVar(&o.allow, "allow", nil, "go on despite the check called `CODE` in the plan")
	f.BoolVar(&o.keepRepo, "keep-repo", false, "leave the repository xcrate-snapshot known to\nthe package manager")
	f.BoolVar(&o.noStart, "no-start", false, "start no service and run no command of xCAT")
	f.BoolVar(&o.standby, "standby", false, "leave the services stopped and masked, and the\ndatabase as it is: another host is the management\nnode, until xcrate activate")
	f.BoolVar(&o.withDB, "with-database", false, "on a standby, restore the database too")
	f.BoolVar(&o.resume, "resume", false, "finish the import that was interrupted; SRC only\nif the snapshot is elsewhere now")
	f.StringVar(&o.dbEngine, "db-engine", "", "restore the database into `ENGINE`: sqlite,\npostgres, mariadb (default: that of the source)")
	f.StringVar(&o.dbRestore, "db-restore", "xcrate", "`BY` whom tables are restored: xcrate (default)\nor xcat (slower, its own restorexCATdb)")
	f.Lookup("db-restore").DefValue = ""
	f.BoolVar(&o.dbRemote, "remote-database", false, "restore into a database server on another\nmachine too, if the source's was on one")
	f.BoolVar(&o.showFiles, "show-files", false, "list every file in the plan")
	o.hooks.flags(f)
	o.opening.flags(f)
	o.trust.flags(f)
	o.source.flags(cmd)
	f.StringVar(&o.cacheDir, "cache-dir", a.incomingDir(), "keep in `DIR` what is copied from discs or a\nregistry (default: /var/cache/xcrate/incoming)")
	f.Lookup("cache-dir").DefValue = ""
	f.BoolVar(&o.json, "json", false, "print plan and result as JSON")
	return cmd
}

func (o importOptions) restoreOptions(a *app) (restore.Options, error) {
	ro := restore.Options{
		Runner: a.runner, Stack: stack.XCAT(), Now: a.now(), Program: a.program,
		Choices: restore.Choices{
			KeepRepository: o.keepRepo, Standby: o.standby, WithDatabase: o.withDB, NoStart: o.noStart,
			Engine: database.Engine(o.dbEngine), RemoteDatabase: o.dbRemote, ByStack: o.dbRestore == "xcat",
		},
	}
	if o.withDB && !o.standby {
		return ro, usage(errors.New("--with-database without --standby"), "any other import restores the database, unless: --skip database")
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
	err := allow(&ro, o.allow)
	return ro, err
}

// allow lets an import go on despite the checks called codes.
func allow(ro *restore.Options, codes []string) error {
	ro.Allow = map[string]bool{}
	for _, code := range codes {
		if !slices.Contains(restore.Codes(), code) {
			return usage(fmt.Errorf("check %q", code), "the checks that can be allowed: "+strings.Join(restore.Codes(), ", "))
		}
		ro.Allow[code] = true
	}
	return nil
}
