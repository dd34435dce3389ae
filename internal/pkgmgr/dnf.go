package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// dnf drives dnf 4, as EL 8 to 10 have it, or what speaks a dialect of it.
// Repositories of the root's own are checked as those are configured.
type dnf struct {
	rpmTarget
	dialect
}

// Name implements Manager.
func (d *dnf) Name() string { return d.program }

// yumRepos is where dnf and yum look for definitions.
const yumRepos = "/etc/yum.repos.d"

// Definition implements Manager (dnf.conf(5), "Repo Options"). Where there are
// keys, packages that are in Unsigned come from a second repository in the same
// place, which has none but those.
func (d *dnf) Definition(repo Repo) (Definition, error) {
	if err := checkRepo(repo); err != nil {
		return Definition{}, err
	}
	text := d.section(RepoID, repo)
	switch names := strings.Join(repo.Unsigned, " "); {
	case len(repo.Keys) == 0:
		text += "gpgcheck=0\n"
	case names == "":
		text += "gpgcheck=1\ngpgkey=" + keyURLs(repo) + "\n"
	default:
		text += "gpgcheck=1\ngpgkey=" + keyURLs(repo) + "\n" + d.exclude + "=" + names + "\n\n" +
			d.section(unsignedRepoID, repo) + "gpgcheck=0\nincludepkgs=" + names + "\n"
	}
	return Definition{Path: yumRepos + "/" + RepoID + ".repo", Content: []byte(text)}, nil
}

// section is what the repositories of a snapshot have in common.
func (d *dnf) section(id string, repo Repo) string {
	return "[" + id + "]\nname=" + id + "\nbaseurl=" + fileURL(repo.Dir) + `
enabled=1
repo_gpgcheck=0
skip_if_unavailable=0
# The snapshot's file wins over one of the same name elsewhere: cost is what yum 3 asks.
priority=1
cost=1
# EL 8 and 9 hide packages whose name a module has.
module_hotfixes=1
`
}

// repoIDs are the repositories Definition writes.
func repoIDs(repo Repo) []string {
	if len(repo.Keys) > 0 && len(repo.Unsigned) > 0 {
		return []string{RepoID, unsignedRepoID}
	}
	return []string{RepoID}
}

// probe finds out which dnf answers to the name.
func (d *dnf) probe(ctx context.Context) error {
	said, err := d.target.probe(ctx, d.program, "rpm")
	if strings.Contains(said, "dnf5") {
		d.dialect = dnf5()
	}
	return err
}

// Install implements Manager. With keys, dnf imports those it needs; that is
// undone when it is done.
func (d *dnf) Install(ctx context.Context, repo Repo, request Request, log io.Writer) error {
	if err := checkRequest(request, checkName); err != nil {
		return err
	}
	return install(ctx, d, request, func(want Request) error {
		repo, err := d.repo(repo)
		if err == nil {
			err = checkRepo(repo)
		}
		if err != nil {
			return err
		}
		// What is remembered of a repository may be of an earlier snapshot at the
		// same place, and of one that is out of reach nothing can be installed.
		options := slices.Concat(d.options(), d.strict, d.refresh)
		for _, id := range repoIDs(repo) {
			options = append(options, "--setopt="+id+".skip_if_unavailable=0")
			if d.outside {
				options = append(options, "--setopt="+id+".baseurl="+fileURL(d.see(repo.Dir)))
			}
		}
		if d.outside && len(repo.Keys) > 0 {
			here := repo
			here.Dir = d.see(repo.Dir)
			options = append(options, "--setopt="+RepoID+".gpgkey="+keyURLs(here))
		}
		return d.lendKeys(ctx, repo, log, func() error { return d.transaction(ctx, options, want, log) })
	})
}

// options are those of every command: no network is no error as long as
// nothing is needed from there, and is found out in seconds. dnf would try ten
// times for half a minute.
func (d *dnf) options() []string {
	return []string{"--assumeyes", "--setopt=*.skip_if_unavailable=1", "--setopt=*.timeout=10", "--setopt=*.retries=1"}
}

// transaction has dnf install what is wanted.
func (d *dnf) transaction(ctx context.Context, options []string, want Request, log io.Writer) (err error) {
	action, remove, err := d.action(ctx, want)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	cmd := host.Command{Name: d.program, Args: append(options, action...)}
	if d.outside {
		remove, err := d.fromOutside(ctx, &cmd)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, remove()) }()
	}
	return d.do(ctx, cmd, log)
}

// Undo implements Manager. dnf's history and its notes on who wanted what
// stay as the install left them.
func (d *dnf) Undo(ctx context.Context, before []artifact.Package, log io.Writer) error {
	return undo(ctx, d, before, log)
}

// bringBack tries what can be reached, then what dnf still has in its cache.
func (d *dnf) bringBack(ctx context.Context, pkgs []artifact.Package, log io.Writer) error {
	if err := checkRequest(Request{Packages: pkgs}, checkName); err != nil {
		return err
	}
	var failed error
	for _, more := range [][]string{d.refresh, {"--cacheonly"}} {
		options := slices.Concat(d.options(), d.lenient, more)
		failed = errors.Join(failed, d.transaction(ctx, options, Request{Packages: pkgs}, log))
		now, err := d.Installed(ctx)
		if err != nil {
			return errors.Join(failed, err)
		}
		if pkgs = missing(pkgs, now); len(pkgs) == 0 {
			return nil
		}
	}
	return failed
}

// Check implements Manager. All that dnf writes goes to a directory of its own,
// and it finds the snapshot's repository there. In a repository on the root's
// own disk it may note the digest of a package in an attribute of the file.
func (d *dnf) Check(ctx context.Context, repo Repo, want Request) (Refusal, error) {
	if err := checkRequest(want, checkName); err != nil {
		return Refusal{}, err
	}
	return checkWith(ctx, d, want, func(want Request) (_ Refusal, err error) {
		if repo, err = d.repo(repo); err != nil {
			return Refusal{}, err
		}
		dir, remove, err := d.scratch()
		if err != nil {
			return Refusal{}, err
		}
		defer func() { err = errors.Join(err, remove()) }()
		repo.Dir = d.see(repo.Dir)
		text := d.section(RepoID, repo) + "gpgcheck=0\n" // there is nothing yet to check
		if err := d.writeFile(path.Join(dir, "repos", RepoID+".repo"), []byte(text)); err != nil {
			return Refusal{}, err
		}
		return d.question(ctx, want, dir)
	})
}

// question has dnf say what it would do, with directory dir to write to.
func (d *dnf) question(ctx context.Context, want Request, dir string) (_ Refusal, err error) {
	action, remove, err := d.action(ctx, want)
	if err != nil {
		return Refusal{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	args := append(d.options()[1:], "--assumeno",
		// It would write definitions of its own into the root.
		"--disableplugin=subscription-manager",
		"--setopt="+RepoID+".skip_if_unavailable=0",
		"--setopt=reposdir="+d.see(yumRepos)+","+d.see(path.Join(dir, "repos")))
	args = append(append(args, d.strict...), d.private(dir)...)
	cmd := host.Command{Name: d.program, Args: append(args, action...)}
	if d.outside {
		for _, prepare := range []func() (func() error, error){
			func() (func() error, error) { return d.fromOutside(ctx, &cmd) },
			func() (func() error, error) { return twin(dir) },
		} {
			remove, err := prepare()
			if err != nil {
				return Refusal{}, err
			}
			defer func() { err = errors.Join(err, remove()) }()
		}
	}
	said, code, err := d.ask(ctx, cmd)
	if err != nil || code == 0 || strings.Contains(said, d.aborted) {
		return Refusal{}, err
	}
	return refusal(said, code), nil
}

// fileURL is directory dir as a URL. All that may mean something to dnf, which
// splits at commas and blanks and expands variables, is escaped.
func fileURL(dir string) string { return "file://" + escapePath(dir) }

func escapePath(dir string) string {
	var b strings.Builder
	for _, c := range []byte(dir) {
		if c < utf8.RuneSelf && (isAlnum(rune(c)) || strings.IndexByte("/._-", c) >= 0) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// spec is a package as an argument of dnf.
func spec(p artifact.Package) string { return p.Name + "-" + evr(p) + "." + p.Arch }
