package restore

import (
	"context"
	"errors"
	"fmt"

	"github.com/xcrate/xcrate/artifact"
)

// Step is a step of an import, for people: docs/restore.md lists them all.
type Step struct {
	ID    string
	Title string // what it does
	Why   string // it comes where it does
	Undo  string // how what it does is taken back
}

// Steps returns the steps of an import in their order. Those after are taken once
// everything is in place, and not undone if they fail.
func Steps() (before, after []Step) {
	for _, s := range placing() {
		before = append(before, s.Step)
	}
	for _, s := range starting() {
		after = append(after, s.Step)
	}
	return before, after
}

// act is a step with what carries it out.
type act struct {
	Step
	do func(*applier, context.Context) error
}

// placing is what an import does once its plan was agreed to, until everything is in
// place. Package scripts are what decides the order: those of xCAT run "xcatconfig
// -i", which makes a CA, keys and database rows of its own, enables and starts
// services, and switches firewall and SELinux off. So packages come first, what they
// switched off is put back, what they made is replaced.
func placing() []act { return append(preparing(), committing()...) }

// preparing is what is done before the files: packages, and what their scripts did.
func preparing() []act {
	return []act{
		{Step{
			"stage", "unpack and verify everything that is needed, beside its place",
			"until all of it is there, nothing changes", "the work directories are removed",
		}, (*applier).stageAll},
		{Step{
			"keep", "copy files below /etc that somebody changed beside themselves",
			"before packages, whose scripts change files too", "the copies are removed",
		}, (*applier).keepConflicts},
		{Step{
			"remember", "write down services, packages, and the trees that package scripts change",
			"only what was there before tells what scripts changed", "nothing to take back",
		}, (*applier).remember},
		{Step{
			"repository", "put the packages on the host, and make them known to its package manager",
			"the package manager reads files of the host: the medium may be gone", "the files are removed",
		}, (*applier).placeRepository},
		{Step{
			"packages", "install them, in one transaction of the host's package manager",
			"before any file: what their scripts make is replaced by what the snapshot has",
			"packages that came are removed and those that were replaced installed again, the trees are put back as they were, what scripts made elsewhere is removed",
		}, (*applier).installPackages},
		{Step{
			"settings", "put firewall and SELinux back as the host had them",
			"before anything is started: they are the host's, whatever scripts did", "nothing to take back",
		}, (*applier).keepSettings},
		{Step{
			"stop", "stop the services of the stack, last started first",
			"before files: daemons keep them open, and write them when they end", "what ran is started again, when everything else is back",
		}, (*applier).stopServices},
		{Step{
			"compare", "compare the host with the snapshot once more",
			"after packages and daemons: what they wrote differs from what the plan saw", "nothing to take back",
		}, (*applier).compareAgain},
	}
}

// committing puts everything in place.
func committing() []act {
	return []act{
		{Step{
			"accounts", "make the users and groups that are missing",
			"before files: owners are known by name", "the account files are renamed back",
		}, (*applier).placeAccounts},
		{Step{
			"remove", "move away what another identity left in identity trees",
			"before files: certificates of another CA must not mix with the restored ones", "it is renamed back",
		}, (*applier).placeRemovals},
		{Step{
			"files", "rename the files into place",
			"before the database: it may lie in a directory that comes with them", "files that were there are renamed back, those that came are removed",
		}, (*applier).placeTrees},
		{Step{
			"merge", "join files that hold lines of the host with those of the snapshot",
			"after packages and daemons, which add lines of their own", "they are renamed back",
		}, (*applier).mergeFiles},
		{Step{
			"server", "have the database server run, with user, database, rights and open doors",
			"before the tables: who reads them has to be known to it", "each act is taken back by a statement or a file of its own, in reverse",
		}, (*applier).setUpServer},
		{Step{
			"database", "put the tables in place",
			"after xcatd was stopped, which keeps its tables open", "SQLite files are renamed back; a server gets its tables from the dump that was made of them",
		}, (*applier).placeDatabase},
		{Step{
			"cfgloc", "tell the stack where its database is",
			"once the tables are there: xCAT waits for minutes for a database that does not answer", "the file is renamed back",
		}, (*applier).placeCfgloc},
		{Step{
			"enable", "have the same services start at boot as on the source",
			"after files: units and their drop-ins come with them", "links that came are removed, those that went are renamed back",
		}, (*applier).enableServices},
		{Step{
			"directories", "give directories their attributes",
			"last of all changes: each changes the time of the directory it is in", "they get the attributes they had",
		}, (*applier).finishDirectories},
		{Step{
			"read-back", "read the database back and compare it with the snapshot, row for row",
			"nothing but the rows themselves proves that they are there", "nothing to take back",
		}, (*applier).readBack},
	}
}

// starting is what an import does once everything is in place. What fails here is
// said, and the rest goes on: the files and the database are those of the snapshot.
func starting() []act {
	return []act{
		{Step{
			"relabel", "give what was restored the labels of SELinux, where that is on",
			"before services, which may not read what is not labelled", "labels come back with the files",
		}, (*applier).relabel},
		{Step{
			"start", "start the services that ran on the source, in the order of the stack",
			"after the last change", "they are stopped, and what ran before is started",
		}, (*applier).startServices},
		{Step{
			"commands", "run those commands of the stack that the plan has reasons for",
			"after services: some ask daemons", "the files they write are kept before, and put back",
		}, (*applier).runCommands},
		{Step{
			"accept", "ask daemon, database, DNS, DHCP, TFTP, web server and exports whether they answer",
			"the proof that the cluster manager works", "nothing to take back",
		}, (*applier).accept},
	}
}

// place takes the steps until everything is in place. Those in a.past were taken
// before the import was interrupted, and are not to be repeated.
func (a *applier) place(ctx context.Context) error {
	for _, s := range placing() {
		if a.past.took[s.ID] && a.once(s.ID) {
			continue
		}
		if err := a.step(ctx, s); err != nil {
			return err
		}
	}
	a.result.Lost = a.lost.byPath
	if err := errors.Join(a.dropStaged(), a.leaveServer(ctx)); err != nil {
		return err
	}
	if err := a.work.sync(); err != nil {
		return err
	}
	return errors.Join(a.journal.write(record{Op: opDone}), a.journal.sync())
}

// once reports whether a step is not repeated when an import goes on: what was there
// before can only be kept and remembered once, and packages are there. All others find out
// what is left to do.
func (a *applier) once(id string) bool { return id == "keep" || id == "remember" || id == "packages" }

func (a *applier) step(ctx context.Context, s act) error {
	if err := a.mark(opStep, s.ID); err != nil {
		return err
	}
	if err := errors.Join(ctx.Err(), s.do(a, ctx)); err != nil {
		return err
	}
	if err := a.mark(opTook, s.ID); err != nil {
		return err
	}
	return a.fault()
}

// mark writes down that step id begins or has ended.
func (a *applier) mark(o op, id string) error {
	return errors.Join(a.journal.write(record{Op: o, Path: rawPath(id)}), a.journal.sync())
}

// installs reports whether the package manager is run.
func (a *applier) installs() bool {
	return a.manager != nil && len(a.plan.Packages.Install)+len(a.plan.Packages.Names) > 0
}

// installed reports whether this import ran the package manager, before it was
// interrupted or since.
func (a *applier) installed() bool { return a.installs() || a.past.packages }

func (a *applier) placeAccounts(context.Context) error {
	a.Progress.Phase("committing", 0)
	if err := a.makeAccounts(); err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	return nil
}

func (a *applier) placeRemovals(context.Context) error {
	for _, p := range a.plan.Remove {
		if err := a.commit.remove(p); err != nil {
			return fmt.Errorf("file %s: %w", a.Root.Path(p), err)
		}
	}
	return nil
}

func (a *applier) placeTrees(ctx context.Context) error {
	return a.placeFiles(ctx, func(k artifact.Kind) bool { return k != artifact.KindPackages })
}

func (a *applier) finishDirectories(ctx context.Context) error {
	if err := a.work.tidy(); err != nil { // before the directories get their times
		return err
	}
	return a.commit.finishDirs(ctx, &a.plan.files)
}
