// Command xcrate takes a snapshot of a cluster's management node as an OCI
// artifact, and puts it back on another machine.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/xcrate/xcrate/internal/hooks"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/progress"
)

// version is set by the linker; see the Makefile.
var version = "development"

func main() {
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	if self, err := os.Executable(); err == nil { // else the first boot of a root has nothing to run
		a.program = self
	}
	os.Exit(a.run(os.Args))
}

// memoryLimit is what the garbage collector aims to stay below. What a node of a
// million files needs fits in with room; without a limit the heap would grow to
// twice of it before anything is collected.
const memoryLimit = 150 << 20

func newApp(in io.Reader, out, errw io.Writer) *app {
	return &app{in: in, out: out, err: errw, now: time.Now, runner: host.Exec{}, cache: cacheDir(os.Getenv), env: os.Getenv, hooks: hooks.Dir, hostKeys: hostKeys(), trustDir: trustDir}
}

// cacheDir is where exports remember what they have seen.
func cacheDir(env func(string) string) string {
	switch {
	case env("XCRATE_CACHE") != "":
		return env("XCRATE_CACHE")
	case os.Geteuid() == 0:
		return "/var/cache/xcrate"
	case env("XDG_CACHE_HOME") != "":
		return filepath.Join(env("XDG_CACHE_HOME"), "xcrate")
	}
	return filepath.Join(env("HOME"), ".cache", "xcrate")
}

// run is the whole program: it returns the exit code.
func (a *app) run(args []string) int {
	debug.SetMemoryLimit(memoryLimit)
	if os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() {
		// Whoever starts it chooses roots, programs and files: it would give away all that
		// its owner may do.
		return a.report(hint(errors.New("xcrate is installed setuid or setgid, and does not run so"), "chmod ug-s the program, and run it with sudo"))
	}
	noCore()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// Everything made here may hold secrets, and some of it is made by
	// libraries that rely on the umask.
	syscall.Umask(0o077)
	if filepath.Base(args[0]) == toolName {
		a.beside = a.ownLayout()
	}
	args = verbFromName(args)
	a.forPrograms(asksForJSON(args))
	if a.events != nil {
		// Who follows may go away: that is no reason to die in the middle. Ignoring the
		// signal would be handed on to the programs that are run.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	}
	cmd := newRoot(a)
	cmd.SetArgs(args)
	return a.report(cmd.ExecuteContext(ctx))
}

// noCore keeps what is in memory out of files of a process that crashed. Programs that are
// run may ask for theirs again.
func noCore() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_CORE, &limit) == nil {
		limit.Cur = 0
		_ = unix.Setrlimit(unix.RLIMIT_CORE, &limit) // lowering one's own is never refused
	}
}

// verbFromName lets the program be called under the names of the old design:
// xcatexport and xcatimport.
func verbFromName(args []string) []string {
	switch filepath.Base(args[0]) {
	case "xcatexport":
		return append([]string{"export"}, args[1:]...)
	case "xcatimport":
		return append([]string{"import"}, args[1:]...)
	}
	return args[1:]
}

// app is what the verbs share: the terminal, the clock and the door to the
// machine's programs.
type app struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
	runner   host.Runner
	cache    string // directory of the exports' cache
	env      func(string) string
	hooks    string // directory of the machine's hooks, "" for none
	program  string // this program's file, which the first boot of a root runs
	quiet    bool
	answers  *bufio.Reader // of who is asked, nil before the first question
	beside   string        // the layout that this program lies in, as xcatimport on a stick
	password string        // for a registry, "" before it was asked for
	hostKeys []string      // files with this machine's own private keys
	trustDir string        // directory with the public keys of who is trusted

	events   *progress.Events // what err is with --json, else nil
	plain    streams          // what out and err were before
	text     bytes.Buffer     // what out is
	document []byte           // of JSON, to be printed at the end
}

// terminal reports whether stream is one a person sits at.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// progress returns where a verb reports how far it is.
func (a *app) progress() progress.Sink {
	if a.quiet {
		return progress.None()
	}
	if a.events != nil {
		return progress.JSON(a.events, a.now)
	}
	if terminal(a.err) {
		return progress.Bar(a.err, a.now)
	}
	return progress.Lines(a.err, a.now)
}

func newRoot(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "xcrate",
		Short: "Move a cluster's management node safely",
		Long: `Take a snapshot of an xCAT management node - packages, database, keys and
configuration, everything but the base distro - as one OCI artifact, and put it
back on another machine.`,
		Example: `  xcrate export /media/usb           # on the old machine
  xcrate import /media/usb           # on the new one: plan, question, restore
  xcrate rollback                    # take it back

  xcrate verify /media/usb           # does the stick hold what was written?
  xcrate inspect /media/usb          # what is in it, what was left out`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("unknown command %q", args[0]), "see: xcrate --help")
			}
			return nil
		},
		RunE:             func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRun: func(c *cobra.Command, _ []string) { a.settleStreams(c) },
		SilenceErrors:    true,
		SilenceUsage:     true,
		Version:          version,
	}
	cmd.SetIn(a.in)
	cmd.SetOut(a.out)
	cmd.SetErr(a.err)
	cmd.SetVersionTemplate("xcrate {{.Version}}\n")
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(err, "see: "+c.CommandPath()+" --help")
	})
	cmd.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "show no progress")
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(newExport(a), newImport(a), newRollback(a), newImports(a), newActivate(a), newVerify(a), newInspect(a), newList(a),
		newCopy(a), newPush(a), newPull(a), newRegistry(a), newSign(a), newKeygen(a))
	cmd.SetUsageTemplate(usageTemplate)
	cmd.SetHelpTemplate(helpTemplate)
	return cmd
}
