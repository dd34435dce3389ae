package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Command is a program to run on the host.
type Command struct {
	// Name is the program: an absolute path, or a name that is looked up in PATH
	// of a clean environment.
	Name string
	Args []string
	// Env is added to the clean environment (PATH, HOME=/root, LC_ALL=C.UTF-8,
	// TERM=dumb): nothing of the caller's own environment is passed on.
	Env []string
	// Chroot is the root to run it in as an absolute path of this machine, ""
	// for the machine's own.
	Chroot string
	// Stdin is what the program reads from its standard input. It is the place for
	// what must not stand in Args, where everybody can see it: nothing prints it.
	Stdin []byte
	// Output receives stdout and stderr together as they come; nil drops them.
	Output io.Writer
	// Private keeps what the program writes out of errors: it may hold secrets.
	Private bool
	// Streamed gives what the program writes to Output alone, and Run returns
	// nothing of it: there may be more than memory holds.
	Streamed bool
	// Family has cancelling end what the program started too, which else goes on
	// with its work after everything was put back.
	Family bool
}

// String is the command as a person would type it. Arguments never hold
// secrets, so it may be shown and logged.
func (c Command) String() string {
	return strings.Join(append([]string{c.Name}, c.Args...), " ")
}

// GoString is String: %#v would print Stdin.
func (c Command) GoString() string { return c.String() }

// Runner runs programs. The real one is Exec; tests hand in fakes to inject
// faults.
type Runner interface {
	// Run starts c in directory /, waits for it, and returns
	// what it wrote to stdout. A program that exits non-zero is an error
	// that ends with the last lines of its output, unless that is Private.
	// Cancelling ctx sends SIGTERM, then SIGKILL after ten seconds.
	Run(ctx context.Context, c Command) (stdout []byte, err error)
	// Look returns the absolute path of program name, which may be one, in root
	// chroot ("" for the machine itself), or an error that wraps exec.ErrNotFound.
	Look(chroot, name string) (string, error)
}

// Exec runs programs of this machine.
type Exec struct{}

const cleanPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Run implements Runner.
func (Exec) Run(ctx context.Context, c Command) ([]byte, error) {
	path, err := Exec{}.Look(c.Chroot, c.Name)
	if err != nil {
		return nil, fmt.Errorf("command %q: %w", c.Name, err)
	}
	var stdout bytes.Buffer
	last := &tail{max: 2048}
	cmd := exec.CommandContext(ctx, path, c.Args...)
	cmd.Dir = "/"
	if c.Stdin != nil {
		cmd.Stdin = bytes.NewReader(c.Stdin)
	}
	cmd.Env = append([]string{"PATH=" + cleanPath, "HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb"}, c.Env...)
	both := &locked{w: io.MultiWriter(writers(last, c.Output)...)}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&stdout, both), both
	if c.Streamed {
		cmd.Stdout = both
	}
	// A group of its own: Ctrl-C on the terminal is for us to pass on, or not.
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.Chroot, Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if c.Family {
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	}
	cmd.WaitDelay = 10 * time.Second
	if err := start(cmd); err != nil {
		return nil, fmt.Errorf("command %q: %w", c.Name, err)
	}
	err = cmd.Wait()
	if err == nil {
		return stdout.Bytes(), nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
		if c.Family { // who did not hear the first signal
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // ESRCH: all of them did
		}
	}
	if c.Private {
		return stdout.Bytes(), fmt.Errorf("command %q: %w", c.String(), err)
	}
	return stdout.Bytes(), fmt.Errorf("command %q: %w%s", c.String(), err, last)
}

// starting guards the umask, which belongs to the whole process.
var starting sync.Mutex

// start starts cmd with the umask a login has, not the strict one this program
// runs with: scripts of packages rely on it.
func start(cmd *exec.Cmd) error {
	starting.Lock()
	defer starting.Unlock()
	defer syscall.Umask(syscall.Umask(0o022))
	return cmd.Start()
}

// Look implements Runner.
func (Exec) Look(chroot, name string) (string, error) {
	if chroot == "" {
		chroot = "/"
	}
	root, err := OpenRoot(chroot)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }()
	program := func(p string) bool {
		st, err := root.Stat(p)
		return err == nil && st.IsRegular() && st.Perm()&0o111 != 0
	}
	if strings.HasPrefix(name, "/") {
		if !program(name) {
			return "", exec.ErrNotFound
		}
		return name, nil
	}
	for dir := range strings.SplitSeq(cleanPath, ":") {
		if program(dir + "/" + name) {
			return dir + "/" + name, nil
		}
	}
	return "", fmt.Errorf("%w in %s", exec.ErrNotFound, cleanPath)
}

func writers(all ...io.Writer) []io.Writer {
	var set []io.Writer
	for _, w := range all {
		if w != nil {
			set = append(set, w)
		}
	}
	return set
}

// locked lets the two goroutines that copy stdout and stderr share a writer.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// tail keeps the last max bytes written to it.
type tail struct {
	max int
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = t.buf[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	s := strings.TrimSpace(string(t.buf))
	if s == "" {
		return ""
	}
	return ": " + s
}

// LeftOpen reports whether err says that a program ended well, but that something
// it started and left running keeps its output open.
func LeftOpen(err error) bool { return errors.Is(err, exec.ErrWaitDelay) }

// ExitCode returns the code a program ended with if err is about that, else -1.
func ExitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}
