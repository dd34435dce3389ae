package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// Check implements Manager. apt-get simulates, with lists in a directory of its
// own: the snapshot's index, and links to those the root has. If that is
// refused, the root's sources are asked, as Install does.
func (a *apt) Check(ctx context.Context, repo Repo, want Request) (Refusal, error) {
	if err := checkRequest(want, checkDeb); err != nil {
		return Refusal{}, err
	}
	return checkWith(ctx, a, want, func(want Request) (_ Refusal, err error) {
		line, err := a.source(repo)
		if err != nil {
			return Refusal{}, err
		}
		dir, remove, err := a.scratch()
		if err != nil {
			return Refusal{}, err
		}
		defer func() { err = errors.Join(err, remove()) }()
		list := path.Join(dir, RepoID+".list")
		if err := a.writeFile(list, []byte(line)); err != nil {
			return Refusal{}, err
		}
		// Programs that are run after an update write to the root.
		const hooks = "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
		if err := a.writeFile(path.Join(dir, "conf"), []byte(hooks)); err != nil {
			return Refusal{}, err
		}
		sources, err := a.sourcesFirst(list, dir)
		if err != nil {
			return Refusal{}, err
		}
		r, err := a.simulate(ctx, want, dir, "known", updateOnly(list), sources)
		if err != nil || !r.Refused() {
			return r, err
		}
		return a.simulate(ctx, want, dir, "asked", append(impatient(), "update"), sources)
	})
}

// simulate asks with lists in directory name of dir, after update brought them
// up to date. What has to be there already is linked: all but what is asked.
func (a *apt) simulate(ctx context.Context, want Request, dir, name string, update, sources []string) (Refusal, error) {
	lists := path.Join(dir, name)
	if err := a.root.MkdirAll(lists+"/partial", 0o700); err != nil {
		return Refusal{}, err
	}
	if name == "known" {
		if err := a.linkLists(lists); err != nil {
			return Refusal{}, err
		}
	}
	private := []string{
		"-o", "Dir::State::lists=" + lists, "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=",
		"-o", "Dir::Cache::archives=" + dir, "-o", "Dir::Log=" + dir, "-o", "APT::Sandbox::User=root", "-c", path.Join(dir, "conf"),
	}
	// Of an option that is given twice, the last counts. Of an update that cannot
	// reach everything, what it did reach counts.
	said, code, err := a.ask(ctx, aptGet(slices.Concat(private, sources, update)...))
	if err != nil {
		return Refusal{}, err
	}
	if code != 0 && name == "known" {
		return refusal(said, code), nil
	}
	args := slices.Concat(private, sources, aptInstall(), []string{"--simulate", "install"}, specs(want, debSpec))
	said, code, err = a.ask(ctx, aptGet(args...))
	if err != nil || code == 0 {
		return Refusal{}, err
	}
	return refusal(said, code), nil
}

// linkLists makes links to the root's lists in directory lists.
func (a *apt) linkLists(lists string) error {
	names, err := a.root.Names(aptLists)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	to, err := a.root.OpenDir(lists)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	for _, name := range names {
		if name == "partial" || name == "lock" || name == "auxfiles" {
			continue
		}
		if err := to.Symlink(path.Join(aptLists, name), name); err != nil {
			return fmt.Errorf("list %s: %w", name, err)
		}
	}
	return nil
}
