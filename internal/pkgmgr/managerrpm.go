package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// unsignedRepoID is the repository of those packages that no key signed: it
// lies in the same place as the other, and its packages are not checked.
const unsignedRepoID = RepoID + "-unsigned"

// rpmTarget is a root with an rpm database.
type rpmTarget struct {
	target
	dbpath string // of the rpm database, as the root sees it
}

// Format implements Manager.
func (t rpmTarget) Format() Format { return RPM }

// rpm is a command of rpm itself.
func (t rpmTarget) rpm(args ...string) host.Command {
	if t.outside {
		// This machine's rpm would look where its own distro keeps the database.
		args = append(args, "--root", t.root.Dir(), "--dbpath", t.dbpath)
	}
	return host.Command{Name: "rpm", Args: args, Chroot: t.chroot}
}

// repo is repository repo with its directory resolved, if it is there.
func (t rpmTarget) repo(repo Repo) (Repo, error) {
	dir, err := t.repoDir(repo, "repodata/repomd.xml")
	repo.Dir = dir
	return repo, err
}

// erase removes packages in one transaction. That they come from an install
// whose undoing this is makes sure nothing else needs them; where something
// does, it did without them before.
func (t rpmTarget) erase(ctx context.Context, pkgs []artifact.Package, log io.Writer) error {
	args := []string{"-e", "--nodeps"}
	for _, p := range pkgs {
		// rpm before 4.16 knows no epoch here, and two packages that differ in nothing else cannot both be installed.
		args = append(args, fmt.Sprintf("%s-%s-%s.%s", p.Name, p.Version, p.Release, p.Arch))
	}
	if err := t.do(ctx, t.rpm(args...), log); err != nil {
		return fmt.Errorf("remove %d packages: %w", len(pkgs), err)
	}
	return nil
}

// keys are the public keys in the rpm database.
func (t rpmTarget) keys(ctx context.Context) ([]string, error) {
	out, err := t.run.Run(ctx, t.rpm("-qa", "--qf", "%{NAME}-%{VERSION}-%{RELEASE}\n", keyPackage))
	if err != nil {
		return nil, fmt.Errorf("keys in the rpm database of %s: %w", t.root.Dir(), err)
	}
	return strings.Fields(string(out)), nil
}

// lendKeys runs fn and takes out of the rpm database the keys that came to it.
// A key there is trusted for packages from everywhere, and that is not for a
// snapshot to decide; the definition of its repository still names them.
func (t rpmTarget) lendKeys(ctx context.Context, repo Repo, log io.Writer, fn func() error) (err error) {
	if len(repo.Keys) == 0 {
		return fn()
	}
	before, err := t.keys(ctx)
	if err != nil {
		return err
	}
	defer func() {
		now, keysErr := t.keys(ctx)
		came := slices.DeleteFunc(now, func(key string) bool { return slices.Contains(before, key) })
		if len(came) > 0 {
			keysErr = t.do(ctx, t.rpm(append([]string{"-e", "--allmatches"}, came...)...), log)
		}
		if keysErr != nil {
			err = errors.Join(err, fmt.Errorf("keys lent to the rpm database of %s: %w", t.root.Dir(), keysErr))
		}
	}()
	return fn()
}

// checkRepo refuses what would be something else in a repository's definition.
func checkRepo(repo Repo) error {
	for _, key := range repo.Keys {
		if !filepath.IsLocal(key) || path.Clean(key) != key {
			return fmt.Errorf("repository %s: key %q: not a path in it", repo.Dir, key)
		}
	}
	return checkRequest(Request{Names: repo.Unsigned}, checkName)
}

// keyURLs are those of the repository's keys.
func keyURLs(repo Repo) string {
	var all []string
	for _, key := range repo.Keys {
		all = append(all, fileURL(path.Join(repo.Dir, key)))
	}
	return strings.Join(all, " ")
}

// evr is the version of a package with its epoch: without one, package
// managers take any.
func evr(p artifact.Package) string {
	epoch := p.Epoch
	if epoch == "" {
		epoch = "0"
	}
	return epoch + ":" + p.Version + "-" + p.Release
}
