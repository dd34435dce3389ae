package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// dnf drives dnf 4, as EL 8 to 10 have it, in one of three ways: the running
// machine's own, the root's own run inside the root, or this machine's with
// --installroot.
type dnf struct {
	root    *host.Root
	run     host.Runner
	dbpath  string // of the rpm database, as the root sees it
	chroot  string // where the programs run, "" for this machine
	outside bool   // this machine's programs act on another root
}

// Name implements Manager.
func (d *dnf) Name() string { return "dnf" }

// Format implements Manager.
func (d *dnf) Format() Format { return RPM }

// Definition implements Manager.
func (d *dnf) Definition(repo Repo) (Definition, error) {
	text := "[" + RepoID + "]\nname=" + RepoID + "\nbaseurl=" + fileURL(repo.Dir) + "\ngpgcheck=0\n"
	return Definition{Path: "/etc/yum.repos.d/" + RepoID + ".repo", Content: []byte(text)}, nil
}

// Check implements Manager.
func (d *dnf) Check(context.Context, Repo, Request) (Refusal, error) { return Refusal{}, nil }

// Undo implements Manager.
func (d *dnf) Undo(context.Context, []artifact.Package, io.Writer) error { return nil }

// probe reports whether the programs are there and run: a root may be of
// another architecture, or incomplete.
func (d *dnf) probe(ctx context.Context) error {
	for _, name := range []string{"dnf", "rpm"} {
		if _, err := d.run.Run(ctx, host.Command{Name: name, Args: []string{"--version"}, Chroot: d.chroot}); err != nil {
			if d.chroot != "" {
				return fmt.Errorf("in the root: %w", err)
			}
			return fmt.Errorf("on this machine: %w", err)
		}
	}
	return nil
}

// Install implements Manager. Signatures are not checked yet: the repository is
// used with gpgcheck off, and what its packages are is known from the digests
// of the snapshot alone. Packages of the root's own repositories are checked
// as those are configured.
func (d *dnf) Install(ctx context.Context, repo Repo, request Request, log io.Writer) error {
	pkgs := request.Packages
	for _, p := range pkgs {
		if err := checkName(p); err != nil {
			return fmt.Errorf("package %q: %w", p.NEVRA(), err)
		}
	}
	have, err := d.Installed(ctx)
	if err != nil {
		return err
	}
	want := missing(pkgs, have)
	if len(want) == 0 {
		return nil
	}
	if err := d.transaction(ctx, repo, want, log); err != nil {
		return fmt.Errorf("install %d packages: %w", len(want), err)
	}
	if have, err = d.Installed(ctx); err != nil {
		return err
	}
	if err := compare(pkgs, have); err != nil {
		return fmt.Errorf("install %d packages: %w", len(want), err)
	}
	return nil
}

// transaction has dnf install pkgs.
func (d *dnf) transaction(ctx context.Context, repo Repo, pkgs []artifact.Package, log io.Writer) (err error) {
	dir, err := d.repoDir(repo)
	if err != nil {
		return err
	}
	args := append(options(dir), "install")
	for _, p := range pkgs {
		args = append(args, spec(p))
	}
	words := &lastLines{log: log}
	cmd := host.Command{Name: "dnf", Args: args, Chroot: d.chroot, Output: words}
	if d.outside {
		remove, err := d.fromOutside(ctx, &cmd)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, remove()) }()
	}
	if _, err := d.run.Run(ctx, cmd); err != nil {
		// The command line names every package: its exit code and what it said are more use.
		if code := host.ExitCode(err); code >= 0 && ctx.Err() == nil {
			err = fmt.Errorf("exit status %d", code)
		}
		return errors.Join(fmt.Errorf("dnf: %w: %s", err, words), words.err)
	}
	return words.err
}

// options are dnf's for a repository that lies in dir.
func options(dir string) []string {
	args := []string{
		"--assumeyes",
		"--repofrompath=" + RepoID + "," + fileURL(dir),
		// A package that is not to be had ends the run, whatever dnf.conf says.
		"--setopt=strict=1",
		// An earlier snapshot's repository may have been at the same place, and
		// what is remembered of one that is out of reach cannot be installed.
		"--refresh",
		// No network is no error as long as nothing is needed from there, and
		// is found out in seconds: dnf would try ten times for half a minute.
		"--setopt=*.skip_if_unavailable=1",
		"--setopt=*.timeout=10",
		"--setopt=*.retries=1",
	}
	for _, option := range []string{
		"skip_if_unavailable=0",
		"gpgcheck=0",
		"repo_gpgcheck=0",
		// The snapshot's file wins over one of the same name elsewhere.
		"priority=1",
		// EL 8 and 9 hide packages whose name a module has.
		"module_hotfixes=1",
	} {
		args = append(args, "--setopt="+RepoID+"."+option)
	}
	return args
}

// fileURL is directory dir as a URL. All that may mean something to dnf, which
// splits at commas and blanks and expands variables, is escaped.
func fileURL(dir string) string {
	var b strings.Builder
	b.WriteString("file://")
	for _, c := range []byte(dir) {
		if c < utf8.RuneSelf && (isAlnum(rune(c)) || strings.IndexByte("/._-", c) >= 0) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// spec is a package as an argument of dnf. Without an epoch dnf takes any.
func spec(p artifact.Package) string {
	epoch := p.Epoch
	if epoch == "" {
		epoch = "0"
	}
	return fmt.Sprintf("%s-%s:%s-%s.%s", p.Name, epoch, p.Version, p.Release, p.Arch)
}

// repoDir returns the repository's path as the dnf that runs sees it.
func (d *dnf) repoDir(repo Repo) (string, error) {
	dir, err := d.root.Resolve(repo.Dir)
	if err != nil {
		return "", fmt.Errorf("repository %s: %w", repo.Dir, err)
	}
	if _, err := d.root.Stat(path.Join(dir, "repodata/repomd.xml")); err != nil {
		return "", fmt.Errorf("repository %s: %w", repo.Dir, err)
	}
	if d.outside {
		dir = d.root.Path(dir)
	}
	return dir, nil
}

// lastLines passes output on and keeps the end of it. A log that cannot be
// written must not end a transaction halfway, so its error waits. Standard
// output and standard error may come at the same time.
type lastLines struct {
	mu  sync.Mutex
	log io.Writer
	buf []byte
	err error
}

const maxWords = 2048

func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.log != nil && l.err == nil {
		if _, err := l.log.Write(b); err != nil {
			l.err = fmt.Errorf("log of dnf: %w", err)
		}
	}
	l.buf = append(l.buf, b...)
	l.buf = l.buf[max(0, len(l.buf)-maxWords):]
	return len(b), nil
}

// String returns the last lines, without one that was cut.
func (l *lastLines) String() string {
	s := string(l.buf)
	if len(l.buf) == maxWords {
		if _, rest, ok := strings.Cut(s, "\n"); ok {
			s = rest
		}
	}
	return strings.TrimSpace(s)
}
