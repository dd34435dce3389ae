package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// apt drives apt-get and dpkg of Debian 12 and Ubuntu 22.04 and later (apt 2.4
// and later; apt-get(8), apt.conf(5)). It acts on the running machine, or is run
// inside the root.
//
// A deb carries no signature of its own: apt trusts the signature of an index.
// That of a snapshot has none, so the snapshot's digests, which were verified
// before, vouch for the packages, the index has theirs, and apt verifies those.
type apt struct{ target }

// Name implements Manager.
func (*apt) Name() string { return "apt" }

// Format implements Manager.
func (*apt) Format() Format { return Deb }

func (a *apt) probe(ctx context.Context) error {
	_, err := a.target.probe(ctx, "apt-get", "dpkg")
	return err
}

// Installed implements Manager.
func (a *apt) Installed(ctx context.Context) ([]artifact.Package, error) {
	db, err := openDpkg(a.root)
	if err != nil {
		return nil, err
	}
	all, err := db.installed()
	if err != nil {
		return nil, err
	}
	pkgs := make([]artifact.Package, 0, len(all))
	for _, p := range all {
		pkgs = append(pkgs, p.Package)
	}
	slices.SortFunc(pkgs, func(a, b artifact.Package) int { return strings.Compare(a.NEVRA(), b.NEVRA()) })
	return pkgs, ctx.Err()
}

const (
	aptSources = "/etc/apt/sources.list"
	aptList    = "/etc/apt/sources.list.d/" + RepoID + ".list"
	aptIndex   = "repodata/Packages" // or that and ".gz"
	aptLists   = "/var/lib/apt/lists"
)

// Definition implements Manager (sources.list(5)): a flat repository, whose index
// lies in repodata and names files relative to the directory above. Keys and
// Unsigned are of no use to it.
func (a *apt) Definition(repo Repo) (Definition, error) {
	return Definition{Path: aptList, Content: []byte(flatSource(repo.Dir))}, nil
}

// flatSource is the line of a flat repository. apt takes the escapes off once to
// read the line and once more to read the URL.
func flatSource(dir string) string {
	return "deb [trusted=yes] file:" + strings.ReplaceAll(escapePath(dir), "%", "%25") + " repodata/\n"
}

// source is the line of a repository that is there.
func (a *apt) source(repo Repo) (string, error) {
	dir, err := a.repoDir(repo, aptIndex)
	if errors.Is(err, fs.ErrNotExist) {
		dir, err = a.repoDir(repo, aptIndex+".gz")
	}
	if err != nil {
		return "", err
	}
	return flatSource(dir), nil
}

// Install implements Manager. Recommended packages come as the root is
// configured, unless they are what cannot be had.
func (a *apt) Install(ctx context.Context, repo Repo, request Request, log io.Writer) error {
	if err := checkRequest(request, checkDeb); err != nil {
		return err
	}
	return install(ctx, a, request, func(want Request) (err error) {
		if _, err := a.source(repo); err != nil {
			return err
		}
		dir, remove, err := a.scratch()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, remove()) }()
		sources, err := a.sourcesFirst(aptList, dir)
		if err != nil {
			return err
		}
		if err := a.do(ctx, aptGet(updateOnly(aptList)...), log); err != nil {
			return err
		}
		allow, err := a.forbidStarts()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, allow()) }()
		return a.insist(ctx, want, sources, log)
	})
}

// insist installs with what is known of the other repositories. If that fails
// before dpkg has changed anything, they are asked, and it is tried again; and
// once more without what is recommended only.
func (a *apt) insist(ctx context.Context, want Request, sources []string, log io.Writer) error {
	before, err := a.root.Stat(dpkgStatus)
	if err != nil {
		return err
	}
	args := slices.Concat(aptInstall(), sources, []string{"install"}, specs(want, debSpec))
	first := a.do(ctx, aptGet(args...), log)
	for _, retry := range []host.Command{
		aptGet(append(impatient(), "update")...),
		aptGet(append([]string{"--no-install-recommends"}, args...)...),
	} {
		now, err := a.root.Stat(dpkgStatus)
		if first == nil || exited(first) < 0 || err != nil || now.Inode() != before.Inode() || now.Mtim != before.Mtim {
			return errors.Join(first, err)
		}
		if slices.Contains(retry.Args, "update") {
			// That some repository is out of reach is what this is about.
			if err := a.do(ctx, retry, log); err != nil && exited(err) < 0 {
				return errors.Join(first, err)
			}
			retry = aptGet(args...)
		}
		first = a.do(ctx, retry, log)
	}
	return first
}

// aptGet is a command of apt-get.
func aptGet(args ...string) host.Command {
	return host.Command{Name: "apt-get", Args: args, Env: []string{"DEBIAN_FRONTEND=noninteractive"}}
}

// aptInstall are the options of an installation: configuration files that were
// changed are kept, and nobody is asked.
func aptInstall() []string {
	return []string{
		"--yes", "--allow-downgrades", "--allow-change-held-packages",
		"-o", "DPkg::Options::=--force-confdef", "-o", "DPkg::Options::=--force-confold", "-o", "DPkg::Lock::Timeout=60",
	}
}

// impatient are the options that find out in seconds who does not answer.
func impatient() []string {
	return []string{"-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10"}
}

// updateOnly are the arguments that read the index of one list of sources and
// keep those of the others. Another snapshot may have been at the same place.
func updateOnly(list string) []string {
	return []string{
		"-o", "Dir::Etc::sourcelist=" + list, "-o", "Dir::Etc::sourceparts=-", "-o", "APT::Get::List-Cleanup=0",
		"-o", "Acquire::Languages=none", "--allow-releaseinfo-change", "update",
	}
}

// sourcesFirst returns the options with which list comes first: of two files
// of the same version, apt takes the one it heard of first. The root's own
// lists follow by links in directory dir.
func (a *apt) sourcesFirst(list, dir string) (options []string, err error) {
	parts := path.Join(dir, "sources")
	if err := a.root.MkdirAll(parts, 0o755); err != nil {
		return nil, err
	}
	to, err := a.root.OpenDir(parts)
	if err != nil {
		return nil, err
	}
	defer func() { _ = to.Close() }()
	names, err := a.root.Names(path.Dir(aptList))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, name := range names {
		if name != path.Base(aptList) {
			if err := to.Symlink(path.Join(path.Dir(aptList), name), "1-"+name); err != nil {
				return nil, err
			}
		}
	}
	if a.root.Exists(aptSources) {
		if err := to.Symlink(aptSources, "0-sources.list"); err != nil {
			return nil, err
		}
	}
	return []string{"-o", "Dir::Etc::sourcelist=" + list, "-o", "Dir::Etc::sourceparts=" + parts}, nil
}

// forbidStarts keeps packages from starting services in a root that is not
// running (invoke-rc.d(8), policy-rc.d), unless there is a policy already.
func (a *apt) forbidStarts() (allow func() error, err error) {
	nothing := func() error { return nil }
	const policy = "/usr/sbin/policy-rc.d"
	if a.chroot == "" {
		return nothing, nil
	}
	if _, err := a.root.Lstat(policy); !errors.Is(err, fs.ErrNotExist) {
		return nothing, err
	}
	if err := a.writeFile(policy, []byte("#!/bin/sh\nexit 101\n")); err != nil {
		return nil, fmt.Errorf("%s: %w", policy, err)
	}
	dir, name, err := a.root.OpenParent(policy)
	if err != nil {
		return nil, err
	}
	allow = func() error { return errors.Join(dir.Remove(name), dir.Close()) }
	if err := dir.Chmod(name, 0o755); err != nil {
		return nil, errors.Join(err, allow())
	}
	return allow, nil
}

// debSpec is a package as an argument of apt-get.
func debSpec(p artifact.Package) string { return debName(p) + "=" + debVersion(p) }

// debName is a package's name where several architectures may be installed.
func debName(p artifact.Package) string {
	if p.Arch == "all" {
		return p.Name // of which there is one, whatever is asked for
	}
	return p.Name + ":" + p.Arch
}

// checkDeb refuses a package that apt-get would take for something else
// (deb-control(5), "Package"; deb-version(7)).
func checkDeb(p artifact.Package) error {
	for _, f := range []struct{ what, value, allowed string }{
		{"name", p.Name, "+-."},
		{"version", debVersion(p), ".+~:-"},
		{"arch", p.Arch, "-"},
	} {
		bad := func(r rune) bool { return !isAlnum(r) && !strings.ContainsRune(f.allowed, r) }
		if f.value == "" || strings.ContainsFunc(f.value, bad) || !isAlnum(rune(f.value[0])) || strings.HasSuffix(f.value, "-") {
			return fmt.Errorf("%s %q: not one a package can have", f.what, f.value)
		}
	}
	return nil
}
