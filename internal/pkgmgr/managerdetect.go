package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/xcrate/xcrate/internal/host"
)

// Detect returns the package manager that acts on root: the root's own, or
// this machine's where the root has none, which only dnf can do. What database
// the root has decides between rpm and dpkg, and zypper is asked before dnf on a
// SUSE. A root without either database, such as an empty directory, has none
// to act on.
func Detect(ctx context.Context, root *host.Root, run host.Runner) (Manager, error) {
	format, dbpath, err := databaseOf(ctx, root)
	if err != nil {
		return nil, err
	}
	own := target{root: root, run: run}
	if !root.IsLive() {
		own.chroot = root.Dir()
	}
	var all []probed
	if format == Deb {
		all = []probed{&apt{own}}
	} else if all, err = rpmManagers(rpmTarget{own, dbpath}); err != nil {
		return nil, err
	}
	var why error
	for _, m := range all {
		err := m.probe(ctx)
		if err == nil {
			return m, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		why = errors.Join(why, err)
	}
	return nil, fmt.Errorf("root %s: %w: %w", root.Dir(), ErrNone, why)
}

// probed is a manager that may not be there.
type probed interface {
	Manager
	probe(ctx context.Context) error
}

// rpmManagers are the managers a root with an rpm database may have, the
// likeliest first.
func rpmManagers(own rpmTarget) ([]probed, error) {
	all := []probed{&dnf{own, dnf4()}, &dnf{own, yum3()}, &zypper{own}}
	is, err := isSUSE(own.root)
	if err != nil {
		return nil, err
	}
	if is {
		all = []probed{&zypper{own}, &dnf{own, dnf4()}}
	}
	if !own.root.IsLive() {
		outside := own
		outside.chroot, outside.outside = "", true
		all = append(all, &dnf{outside, dnf4()})
	}
	return all, nil
}

func isSUSE(root *host.Root) (bool, error) {
	if root.Exists("/etc/zypp") {
		return true, nil
	}
	facts, err := host.ReadFacts(root)
	if err != nil {
		return false, fmt.Errorf("root %s: %w", root.Dir(), err)
	}
	return strings.Contains(facts.Distro.ID+" "+facts.Distro.Like, "suse") || strings.HasPrefix(facts.Distro.ID, "sle"), nil
}

var errOne = errors.New("one is enough")

// databaseOf says which package database the root lives by, and where an rpm
// database lies. Debian's rpm makes an empty one when it is run, so where there
// is dpkg's too, rpm's counts if it has a package.
func databaseOf(ctx context.Context, root *host.Root) (format Format, dbpath string, err error) {
	dbpath, _, err = findRPMDatabase(root)
	if err != nil {
		return "", "", fmt.Errorf("root %s: rpm database: %w", root.Dir(), err)
	}
	_, dpkgErr := root.Stat(dpkgStatus)
	switch {
	case dbpath == "" && dpkgErr != nil:
		return "", "", fmt.Errorf("root %s: %w: it has no rpm database and none of dpkg", root.Dir(), ErrNone)
	case dbpath == "":
		return Deb, "", nil
	case dpkgErr != nil:
		return RPM, dbpath, nil
	}
	temp, remove, err := host.TempDir()
	if err != nil {
		return "", "", err
	}
	err = eachHeader(ctx, root, temp, func(s section) error {
		p, err := nameOf(s)
		if err == nil && p.Name != keyPackage {
			err = errOne
		}
		return err
	})
	none := err == nil
	if errors.Is(err, errOne) {
		err = nil
	}
	if err = errors.Join(err, remove()); err != nil {
		return "", "", fmt.Errorf("root %s: %w", root.Dir(), err)
	}
	if none {
		return Deb, "", nil
	}
	return RPM, dbpath, nil
}
