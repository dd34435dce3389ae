package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// target is a root and how the programs of a package manager act on it: the
// running machine's own, the root's own run inside the root, or this machine's
// told to act elsewhere.
type target struct {
	root    *host.Root
	run     host.Runner
	chroot  string // where the programs run, "" for this machine
	outside bool   // this machine's programs act on another root
}

// probe reports whether the programs are there and run: a root may be of
// another architecture, or incomplete. version is what the first says of itself.
func (t target) probe(ctx context.Context, programs ...string) (version string, err error) {
	for _, name := range programs {
		out, err := t.run.Run(ctx, host.Command{Name: name, Args: []string{"--version"}, Chroot: t.chroot})
		if err != nil {
			if t.chroot != "" {
				return "", fmt.Errorf("in the root: %w", err)
			}
			return "", fmt.Errorf("on this machine: %w", err)
		}
		if version == "" {
			version = string(out)
		}
	}
	return version, nil
}

// do runs a program that changes the root. What it says goes to log; the error
// ends with the last of it.
func (t target) do(ctx context.Context, cmd host.Command, log io.Writer) error {
	words := &lastLines{name: cmd.Name, log: log, max: maxWords}
	cmd.Chroot, cmd.Output = t.chroot, words
	if _, err := t.run.Run(ctx, cmd); err != nil {
		// The command line names every package: its exit code and what it said are more use.
		if code := host.ExitCode(err); code >= 0 && ctx.Err() == nil {
			err = &exitError{program: cmd.Name, code: code, words: words.String()}
		} else {
			err = fmt.Errorf("%s: %w: %s", cmd.Name, err, words)
		}
		return errors.Join(err, words.err)
	}
	return words.err
}

// exitError is the error of a program that ran and failed.
type exitError struct {
	program string
	code    int
	words   string // the last it said
}

func (e *exitError) Error() string {
	return fmt.Sprintf("%s: exit status %d: %s", e.program, e.code, e.words)
}

// exited returns the code a program ended with, -1 if err is something else.
func exited(err error) int {
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return -1
}

// ask runs a program for its answer: all it says, or the last megabyte of it,
// and its exit code. It is an error if there is none.
func (t target) ask(ctx context.Context, cmd host.Command) (said string, code int, err error) {
	words := &lastLines{max: 1 << 20}
	cmd.Chroot, cmd.Output = t.chroot, words
	_, err = t.run.Run(ctx, cmd)
	if code = host.ExitCode(err); err != nil && (code < 0 || ctx.Err() != nil) {
		return "", 0, fmt.Errorf("%s: %w", cmd.Name, err)
	}
	return words.String(), max(code, 0), nil
}

// see is path p of the root as the programs see it.
func (t target) see(p string) string {
	if t.outside {
		return t.root.Path(p)
	}
	return p
}

// repoDir returns the repository's directory as a path in the root without
// symlinks, if index is there.
func (t target) repoDir(repo Repo, index string) (string, error) {
	dir, err := t.root.Resolve(repo.Dir)
	if err != nil {
		return "", fmt.Errorf("repository %s: %w", repo.Dir, err)
	}
	if _, err := t.root.Stat(path.Join(dir, index)); err != nil {
		return "", fmt.Errorf("repository %s: %w", repo.Dir, err)
	}
	return dir, nil
}

// scratch makes a directory in the root for what a program must not write to
// its own places. It is a path of the root without symlinks.
func (t target) scratch() (dir string, remove func() error, err error) {
	var why error
	for _, parent := range []string{"/var/tmp", "/tmp"} {
		parent, err := t.root.Resolve(parent)
		if err != nil {
			return "", nil, err
		}
		dir, remove, err := host.TempDirIn(t.root.Path(parent))
		if err == nil {
			return path.Join(parent, path.Base(dir)), remove, nil
		}
		why = errors.Join(why, err)
	}
	return "", nil, fmt.Errorf("directory for temporary files: %w", why)
}

// writeFile writes a file below a directory scratch made, with the directories
// above it.
func (t target) writeFile(p string, content []byte) (err error) {
	if err := t.root.MkdirAll(path.Dir(p), 0o700); err != nil {
		return err
	}
	dir, err := t.root.OpenDir(path.Dir(p))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	f, err := dir.Create(path.Base(p))
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// rename renames a file within its directory.
func (t target) rename(from, to string) error {
	dir, name, err := t.root.OpenParent(from)
	if err != nil {
		return err
	}
	return errors.Join(dir.Rename(name, dir, path.Base(to)), dir.Close())
}

// removeAll removes what is at p, if there is anything.
func (t target) removeAll(p string) error {
	dir, name, err := t.root.OpenParent(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(dir.RemoveAll(name), dir.Close())
}

// lastLines passes output on and keeps the end of it. A log that cannot be
// written must not end a transaction halfway, so its error waits. Standard
// output and standard error may come at the same time.
type lastLines struct {
	mu   sync.Mutex
	name string // of the program
	log  io.Writer
	max  int
	buf  []byte
	err  error
}

const maxWords = 2048

func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.log != nil && l.err == nil {
		if _, err := l.log.Write(b); err != nil {
			l.err = fmt.Errorf("log of %s: %w", l.name, err)
		}
	}
	l.buf = append(l.buf, b...)
	l.buf = l.buf[max(0, len(l.buf)-l.max):]
	return len(b), nil
}

// String returns the last lines, without one that was cut.
func (l *lastLines) String() string {
	s := string(l.buf)
	if len(l.buf) == l.max {
		if _, rest, ok := strings.Cut(s, "\n"); ok {
			s = rest
		}
	}
	return strings.TrimSpace(s)
}

// lastWords is the end of what a program said, for a message.
func lastWords(said string) string {
	words := lastLines{max: maxWords}
	_, _ = words.Write([]byte(said))
	return words.String()
}

// nevrasOf are the NEVRAs of packages, for messages.
func nevrasOf(pkgs []artifact.Package) string {
	var all []string
	for _, p := range pkgs {
		all = append(all, p.NEVRA())
	}
	return strings.Join(all, ", ")
}
