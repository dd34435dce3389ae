package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Check implements Manager. libzypp is given directories of its own for
// definitions, caches, lock and log.
func (z *zypper) Check(ctx context.Context, repo Repo, want Request) (Refusal, error) {
	if err := checkRequest(want, checkName); err != nil {
		return Refusal{}, err
	}
	return checkWith(ctx, z, want, func(want Request) (_ Refusal, err error) {
		if repo, err = z.repo(repo); err != nil {
			return Refusal{}, err
		}
		repo.Keys = nil // there is nothing yet to check
		dir, remove, err := z.scratch()
		if err != nil {
			return Refusal{}, err
		}
		defer func() { err = errors.Join(err, remove()) }()
		if err := z.copyDefinitions(repo, dir); err != nil {
			return Refusal{}, err
		}
		back, err := z.keepState()
		if err != nil {
			return Refusal{}, err
		}
		defer func() { err = errors.Join(err, back()) }()
		cmd := z.install(want, repo)
		cmd.Args = append([]string{"--reposd-dir", dir + "/repos", "--cache-dir", dir + "/cache"}, cmd.Args...)
		cmd.Args = slices.Insert(cmd.Args, slices.Index(cmd.Args, "install")+1, "--dry-run")
		cmd.Env = []string{"ZYPP_LOGFILE=" + dir + "/log", "ZYPP_LOCKFILE_ROOT=" + dir}
		said, code, err := z.ask(ctx, cmd)
		if err != nil || zyppDone(code) {
			return Refusal{}, err
		}
		return refusal(said, code), nil
	})
}

// maxDefinition is the most that is read of a repository's definition.
const maxDefinition = 1 << 20

// copyDefinitions writes those of the root and the snapshot's to directory
// "repos" of dir. They may hold passwords, so they are for root alone.
func (z *zypper) copyDefinitions(repo Repo, dir string) error {
	names, err := z.root.Names(zyppRepos)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".repo") || name == RepoID+".repo" {
			continue
		}
		content, err := z.root.ReadFile(path.Join(zyppRepos, name), maxDefinition)
		if err == nil {
			err = z.writeFile(path.Join(dir, "repos", name), content)
		}
		if err != nil {
			return fmt.Errorf("repository definition %s: %w", name, err)
		}
	}
	return z.writeFile(path.Join(dir, "repos", RepoID+".repo"), []byte(zyppDefinition(repo)))
}

// zyppCookies is where libzypp keeps cookies of servers.
const zyppCookies = "/var/lib/YaST2/cookies"

// zyppState are files of libzypp's that no option moves elsewhere, and the
// directories they are in.
func zyppState() []string {
	return []string{zyppCookies, path.Dir(zyppCookies), "/var/lib/zypp/AutoInstalled", "/var/lib/zypp/AnonymousUniqueId", "/var/lib/zypp"}
}

// keepState puts the cookies, which may be rewritten, aside. back puts them in
// the place of what came, and removes what else was not there.
func (z *zypper) keepState() (back func() error, err error) {
	const aside = zyppCookies + ".xcrate"
	var absent []string
	for _, p := range zyppState() {
		if _, err := z.root.Lstat(p); errors.Is(err, fs.ErrNotExist) {
			absent = append(absent, p)
		} else if err != nil {
			return nil, err
		}
	}
	had := !slices.Contains(absent, zyppCookies)
	if had {
		if err := z.rename(zyppCookies, aside); err != nil {
			return nil, err
		}
	}
	return func() error {
		var failed error
		for _, p := range absent {
			failed = errors.Join(failed, z.removeAll(p))
		}
		if had {
			failed = errors.Join(failed, z.rename(aside, zyppCookies))
		}
		return failed
	}, nil
}
