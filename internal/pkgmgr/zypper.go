package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// zypper drives zypper of SLES 15 (zypper(8)). It acts on the running machine,
// or is run inside the root.
type zypper struct{ rpmTarget }

// Name implements Manager.
func (*zypper) Name() string { return "zypper" }

func (z *zypper) probe(ctx context.Context) error {
	_, err := z.target.probe(ctx, "zypper", "rpm")
	return err
}

// zyppRepos is where libzypp looks for definitions.
const zyppRepos = "/etc/zypp/repos.d"

// Definition implements Manager. Of libzypp's three options for signatures
// gpgcheck is the default of the others: metadata is taken as it is, and with
// keys a package must be signed with one that the rpm database has. Packages
// that are in Unsigned come from a second repository in the same place, out of
// which none is taken that is not asked for by name.
func (z *zypper) Definition(repo Repo) (Definition, error) {
	if err := checkRepo(repo); err != nil {
		return Definition{}, err
	}
	return Definition{Path: zyppRepos + "/" + RepoID + ".repo", Content: []byte(zyppDefinition(repo))}, nil
}

func zyppDefinition(repo Repo) string {
	section := func(id, priority, check string) string {
		return "[" + id + "]\nname=" + id + "\nbaseurl=" + fileURL(repo.Dir) + "\ntype=rpm-md\nenabled=1\nautorefresh=0\nkeeppackages=0\n" +
			"priority=" + priority + "\nrepo_gpgcheck=0\ngpgcheck=" + check + "\npkg_gpgcheck=" + check + "\n"
	}
	if len(repo.Keys) == 0 {
		return section(RepoID, "1", "0")
	}
	text := section(RepoID, "1", "1") + "gpgkey=" + keyURLs(repo) + "\n"
	if len(repo.Unsigned) > 0 {
		text += "\n" + section(unsignedRepoID, "2", "0")
	}
	return text
}

// Install implements Manager. The keys are given to rpm first and taken away
// after it: zypper imports them only if it may import those that come with any
// repository's metadata too.
func (z *zypper) Install(ctx context.Context, repo Repo, request Request, log io.Writer) error {
	if err := checkRequest(request, checkName); err != nil {
		return err
	}
	return install(ctx, z, request, func(want Request) error {
		repo, err := z.repo(repo)
		if err == nil {
			err = checkRepo(repo)
		}
		if err != nil {
			return err
		}
		return z.lendKeys(ctx, repo, log, func() error { return z.transaction(ctx, repo, want, log) })
	})
}

func (z *zypper) transaction(ctx context.Context, repo Repo, want Request, log io.Writer) error {
	for _, key := range repo.Keys {
		if err := z.do(ctx, z.rpm("--import", path.Join(repo.Dir, key)), log); err != nil {
			return fmt.Errorf("key %s: %w", key, err)
		}
	}
	// An earlier snapshot's repository may have been at the same place.
	refresh := zypp(append([]string{"refresh", "--force"}, repoIDs(repo)...)...)
	if err := z.do(ctx, refresh, log); err != nil {
		return err
	}
	return z.insist(ctx, repo, want, log)
}

// insist installs with what is known of the other repositories, for one that is
// out of reach would be waited for. If that fails and has changed nothing, they
// are asked, and it is tried once more.
func (z *zypper) insist(ctx context.Context, repo Repo, want Request, log io.Writer) error {
	before, err := z.Installed(ctx)
	if err != nil {
		return err
	}
	first := z.change(ctx, z.install(want, repo), log)
	if first == nil || exited(first) < 0 {
		return first
	}
	now, err := z.Installed(ctx)
	if err != nil || !slices.Equal(before, now) {
		return errors.Join(first, err)
	}
	// That some repository is out of reach is what this is about.
	if err := z.do(ctx, zypp("refresh"), log); exited(err) < 0 && err != nil {
		return errors.Join(first, err)
	}
	return z.change(ctx, z.install(want, repo), log)
}

// zypp is a command of zypper.
func zypp(args ...string) host.Command {
	return host.Command{Name: "zypper", Args: append([]string{"--non-interactive"}, args...)}
}

// install is the command that installs packages in just these versions.
// Recommended packages would make it depend on repositories that are out of
// reach. All packages are fetched and verified before the first is installed.
func (z *zypper) install(want Request, repo Repo) host.Command {
	spec := func(p artifact.Package) string {
		id := RepoID
		if len(repo.Keys) > 0 && slices.Contains(repo.Unsigned, p.Name) {
			id = unsignedRepoID
		}
		if repo.Dir == "" {
			return p.Name + "." + p.Arch + "=" + evr(p)
		}
		return id + ":" + p.Name + "." + p.Arch + "=" + evr(p)
	}
	return zypp(append([]string{
		"--no-refresh", "install", "--name", "--oldpackage", "--no-recommends", "--download", "in-advance",
		"--allow-vendor-change", "--auto-agree-with-licenses",
	}, specs(want, spec)...)...)
}

// change runs a command that changes the root.
func (z *zypper) change(ctx context.Context, cmd host.Command, log io.Writer) error {
	err := z.do(ctx, cmd, log)
	if zyppDone(exited(err)) {
		return nil
	}
	return err
}

// zyppDone reports whether an exit code says that the work was done: the machine
// or zypper itself should be started anew, a repository was skipped, a script
// after the installation failed, which is for rpm too no more than a warning
// (zypper(8), "EXIT CODES").
func zyppDone(code int) bool {
	return slices.Contains([]int{0, 102, 103, 106, 107}, code)
}

// Undo implements Manager.
func (z *zypper) Undo(ctx context.Context, before []artifact.Package, log io.Writer) error {
	return undo(ctx, z, before, log)
}

// bringBack installs all at once, or, after the repositories were asked for what
// they have now, what can be had one by one.
func (z *zypper) bringBack(ctx context.Context, pkgs []artifact.Package, log io.Writer) error {
	if err := checkRequest(Request{Packages: pkgs}, checkName); err != nil {
		return err
	}
	err := z.change(ctx, z.install(Request{Packages: pkgs}, Repo{}), log)
	if err == nil || exited(err) < 0 {
		return err
	}
	err = errors.Join(err, z.change(ctx, zypp("refresh"), log))
	for _, p := range pkgs {
		if z.change(ctx, z.install(Request{Packages: []artifact.Package{p}}, Repo{}), log) != nil {
			continue // it is found missing, and the first error says why
		}
	}
	return err
}
