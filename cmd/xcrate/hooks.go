package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/xcrate/xcrate/internal/hooks"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/restore"
)

// hookOptions are the flags of verbs that run hooks.
type hookOptions struct {
	none  bool
	limit time.Duration
}

func (o *hookOptions) flags(f *pflag.FlagSet) {
	f.BoolVar(&o.none, "no-hooks", false, "do not run the hooks in "+hooks.Dir)
	f.DurationVar(&o.limit, "hook-timeout", 10*time.Minute, "end a hook that takes longer than `TIME`\n(default 10m)")
	f.Lookup("hook-timeout").DefValue = "0s" // the usage says it
}

func (o hookOptions) check(verb string) error {
	if o.limit <= 0 {
		return usage(fmt.Errorf("--hook-timeout %v: not a time to work in", o.limit), "see: xcrate "+verb+" --help")
	}
	return nil
}

// around runs the hooks before and after one export or import.
type around struct {
	app        *app
	options    hookOptions
	pre, post  hooks.Point
	begun      bool // something was run before, so that what comes after has to be
	done       []hooks.Result
	log        bytes.Buffer // what they wrote
	incomplete bool         // the log is
}

// maxHookLog is how much of what the hooks of one import write is kept.
const maxHookLog = 4 << 20

// before runs the hooks of pre. An error means that nothing may be changed.
func (h *around) before(ctx context.Context, doc hooks.Document) error {
	if h.options.none {
		h.app.note("--no-hooks: the hooks in %s are not run", hooks.Dir)
		return nil
	}
	h.begun = true
	err := h.run(ctx, h.pre, doc)
	if err != nil && !errors.Is(err, context.Canceled) {
		return hint(err, "see what it wrote; to go on without any hooks: --no-hooks")
	}
	return err
}

// after runs the hooks of post, if before was asked to run those of pre: what was
// stopped for an export that failed has to be started again as well. After an
// interruption they are run to their end. The error only carries an exit code, and
// says that one of them failed.
func (h *around) after(ctx context.Context, doc hooks.Document, outcome error) error {
	if !h.begun {
		return nil
	}
	doc.Outcome = hooks.Done
	if outcome != nil {
		doc.Outcome, doc.Error = hooks.Broken, outcome.Error()
	}
	if ctx.Err() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	if err := h.run(ctx, h.post, doc); err != nil {
		h.app.note("%s: what came before is not changed by that", strings.ReplaceAll(err.Error(), "\n", "\nxcrate: "))
		return exit(exitWarnings)
	}
	return nil
}

func (h *around) run(ctx context.Context, point hooks.Point, doc hooks.Document) error {
	if h.app.hooks == "" {
		return nil
	}
	machine, err := host.OpenRoot("/")
	if err != nil {
		return err
	}
	set := hooks.Set{Root: machine, Dir: h.app.hooks, Runner: h.app.runner, Now: h.app.now, Limit: h.options.limit, Line: h.line}
	doc.Version = version
	results, err := set.Run(ctx, point, doc)
	for _, r := range results {
		if r.Status == hooks.Skipped {
			h.app.note("hook %s: %s: it is not run", r.Name, r.Message)
		}
	}
	h.done = append(h.done, results...)
	return errors.Join(err, machine.Close())
}

// line shows and keeps a line that a hook wrote.
func (h *around) line(name, line string) {
	if h.app.events != nil {
		h.app.events.Hook(name, line)
	} else {
		_, _ = fmt.Fprintf(h.app.err, "%s: %s\n", name, escape(line))
	}
	if h.incomplete = h.incomplete || h.log.Len()+len(name)+len(line) > maxHookLog; !h.incomplete {
		fmt.Fprintf(&h.log, "%s: %s\n", name, line)
	}
}

// hookLog is the file in the state directory of an import that has what hooks wrote.
const hookLog = "hooks.log"

// keep leaves what the hooks wrote with import id on root. That this fails is no
// failure of the import.
func (h *around) keep(root *host.Root, id string) {
	if h.log.Len() == 0 {
		return
	}
	if err := writeBeside(root, path.Join(restore.StateDir, id), hookLog, h.log.Bytes()); err != nil {
		h.app.note("output of the hooks is not kept: %v", err)
	}
}

// writeBeside makes a file that only its owner reads.
func writeBeside(root *host.Root, dir, name string, content []byte) error {
	d, err := root.OpenDir(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close(), d.Sync())
}

// importHooks runs the hooks around an import of one snapshot.
type importHooks struct {
	*around
	root  *host.Root
	about hooks.Document
}

func (a *app) aroundImport(s *source, root *host.Root, o importOptions) *importHooks {
	h := a.aroundResume(root, o)
	h.about.Source, h.about.Snapshot = s.absolute(), s.Descriptor.Digest.String()
	return h
}

// beforeImport is to be called when nothing has been changed and everything that
// plan says will be.
func (h *importHooks) beforeImport(ctx context.Context, plan *restore.Plan) error {
	doc := h.about
	doc.Plan = plan
	return h.before(ctx, doc)
}

// afterImport is to be called when Apply has ended, with what it returned.
func (h *importHooks) afterImport(ctx context.Context, result *restore.Result, err error) error {
	doc := h.about
	if result != nil {
		doc.Import, doc.Result = result.ID, result
	}
	warn := h.after(ctx, doc, err)
	if result != nil {
		h.keep(h.root, result.ID)
	}
	return warn
}
