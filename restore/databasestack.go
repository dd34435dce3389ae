package restore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// stackWithin is how long the stack's own program may take. It starts Perl for
// each table, and waits for a database that does not answer.
const stackWithin = 30 * time.Minute

// restoreByStack has the stack's own program restore the tables, for who trusts
// that more. Its exit code says nothing, and it leaves a table as it was, or
// empty, when a row does not suit it: what it says is searched for errors, and the
// proof is the comparison afterwards.
//
// What has to be so for it to work: xcatd does not run, and it is told to do
// without (XCATBYPASS); the directory holds tables and nothing else; the site
// table of the host does not name tables to be skipped.
func (a *applier) restoreByStack(ctx context.Context) error {
	if err := a.makeRoom(ctx); err != nil {
		return err
	}
	program := path.Join(a.Stack.Local, "sbin/restorexCATdb")
	if !a.Root.Exists(program) {
		return fmt.Errorf("%s is not there", a.Root.Path(program))
	}
	within, cancel := context.WithTimeout(ctx, cmp.Or(a.stackWithin, stackWithin))
	defer cancel()
	var said bytes.Buffer
	c := host.Command{
		Name: program, Args: []string{"-a", "-p", path.Join(StateDir, a.work.id, stagedDir)}, Output: &said,
		Env: []string{
			"PATH=" + path.Join(a.Stack.Local, "sbin") + ":" + path.Join(a.Stack.Local, "bin") + ":/usr/sbin:/usr/bin:/sbin:/bin",
			"XCATROOT=" + a.Stack.Local, "XCATBYPASS=yes",
		},
		Private: true, // it shows rows that it cannot store
		Family:  true, // it starts a program for each table
	}
	if !a.Root.IsLive() {
		c.Chroot = a.Root.Dir()
	}
	_, err := a.Runner.Run(within, c)
	strangers, listErr := a.strangers()
	if err = errors.Join(err, stackErrors(said.String()), listErr); err != nil {
		return err
	}
	return a.dropEmpty(ctx, strangers)
}

// makeRoom empties the tables that are to be restored, so that nothing of the host
// is taken for restored, and tells the stack where its database is.
func (a *applier) makeRoom(ctx context.Context) error {
	if a.goal.to.Engine != database.EngineSQLite {
		if err := a.clearServer(ctx); err != nil {
			return err
		}
		return a.placeCfgloc(ctx) // with the next step it is only made again
	}
	if err := a.placeCfgloc(ctx); err != nil {
		return err
	}
	names := append([]string{}, a.plan.Database.Remove...)
	for _, t := range a.snapshot.Config.Database.Tables {
		names = append(names, t.Name)
	}
	for _, name := range names {
		if err := a.removeTable(a.goal.to.Dir, name); err != nil {
			return err
		}
	}
	for _, l := range a.snapshot.Config.Database.LeftOut {
		names = append(names, l.Name)
	}
	a.known = names
	return a.noteTables(names...) // the program makes them, and an undo has to know
}

// clearServer keeps what the server holds, and empties it.
func (a *applier) clearServer(ctx context.Context) (err error) {
	t, err := a.prepareServer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	for _, table := range a.had { // what the snapshot leaves out stays as it is
		if slices.ContainsFunc(a.snapshot.Config.Database.LeftOut, func(l artifact.TableLeftOut) bool { return l.Name == table.Name }) {
			continue
		}
		if err := t.Clear(ctx, table.Name); err != nil {
			return err
		}
	}
	return t.Commit(ctx)
}

// noteTables has an undo remove the SQLite files of tables and their journals,
// but for those that are there.
func (a *applier) noteTables(tables ...string) error {
	for _, name := range tables {
		for _, suffix := range append([]string{""}, sqliteSuffixes...) {
			p := a.tablePath(name) + suffix
			if a.Root.Exists(p) {
				continue
			}
			if err := a.journal.write(record{Op: opMade, Path: rawPath(p)}); err != nil {
				return err
			}
		}
	}
	return a.journal.sync()
}

// strangers notes the tables that the program made though the snapshot does not
// have them: only now is it known which.
func (a *applier) strangers() (tables []string, err error) {
	if a.goal.to.Engine != database.EngineSQLite {
		return nil, nil
	}
	names, err := a.Root.Names(a.goal.to.Dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		table, suffix, ok := strings.Cut(n, database.SQLiteSuffix)
		if !ok || slices.Contains(a.known, table) {
			continue
		}
		if suffix == "" {
			tables = append(tables, table)
		}
		if err := a.journal.write(record{Op: opMade, Path: rawPath(path.Join(a.goal.to.Dir, n))}); err != nil {
			return nil, err
		}
	}
	return tables, a.journal.sync()
}

// dropEmpty removes those of tables that hold nothing: the program makes some that
// it only looks into.
func (a *applier) dropEmpty(ctx context.Context, tables []string) error {
	if len(tables) == 0 {
		return nil
	}
	src, err := a.openSQLite(ctx, a.goal.to.Dir)
	if err != nil {
		return err
	}
	var empty []string
	for _, name := range tables {
		n, countErr := src.Count(ctx, name)
		err = errors.Join(err, countErr)
		if n == 0 {
			empty = append(empty, name)
		}
	}
	if err := errors.Join(err, src.Close()); err != nil {
		return err
	}
	for _, name := range empty {
		if err := a.removeTable(a.goal.to.Dir, name); err != nil {
			return err
		}
	}
	return nil
}

// What the stack's program says of a table, and of the cause. The rest of its
// lines is left out: it shows the rows, which hold passwords.
var (
	stackTable = regexp.MustCompile(`Error running tabrestore \S*?([^/\s.]+)\.csv`)
	stackCause = regexp.MustCompile(`Unable to open \w+` +
		`|Data missing header line|column '\w+' should exist` +
		`|CSV (?:missing opening|unmatched|unescaped) "|Too many fields|(?:with|on) line \d+` +
		`|(?:UNIQUE|NOT NULL) constraint failed|database is locked|disk I/O error|database or disk is full|attempt to write a readonly database` +
		`|duplicate key value|value too long|invalid byte sequence|permission denied|Duplicate entry|Data too long|Incorrect string value` +
		`|Can't locate \S+|Permission denied|No space left on device|command not found`)
)

// stackErrors finds the errors in what the stack's program said. It says of each
// table in one line what was wrong, after it has said the same in many.
func stackErrors(said string) error {
	var tables, others []string
	for line := range strings.Lines(said) {
		causes := strings.Join(slices.Compact(stackCause.FindAllString(line, maxShown)), ", ")
		switch table := stackTable.FindStringSubmatch(line); {
		case table != nil:
			tables = append(tables, fmt.Sprintf("table %q: not restored: %s", table[1], cmp.Or(causes, "it does not say why")))
		case strings.Contains(line, "Error loading module"): // of no table
		case strings.Contains(line, "Error"), strings.HasPrefix(line, "Can't locate"), strings.Contains(line, "Unable to "):
			others = append(others, cmp.Or(causes, "an error that is not known here"))
		}
	}
	lines := tables
	if len(lines) == 0 {
		lines = others
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("the stack's own restore said:\n%s", strings.Join(lines[:min(len(lines), maxShown)], "\n"))
}
