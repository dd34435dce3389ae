package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/xcrate/xcrate/artifact"
)

// empty reports whether nothing is asked for.
func (r Request) empty() bool { return len(r.Packages) == 0 && len(r.Names) == 0 }

// todo is what of want is not in have yet.
func todo(want Request, have []artifact.Package) Request {
	names := map[string]bool{}
	for _, p := range have {
		names[p.Name] = true
	}
	left := Request{Packages: missing(want.Packages, have)}
	for _, name := range want.Names {
		if !names[name] {
			names[name] = true
			left.Names = append(left.Names, name)
		}
	}
	return left
}

// checkRequest refuses what a program would take for something else than the
// name of a package. check is that of one in a format.
func checkRequest(want Request, check func(artifact.Package) error) error {
	for _, p := range want.Packages {
		if err := check(p); err != nil {
			return fmt.Errorf("package %q: %w", p.NEVRA(), err)
		}
	}
	for _, name := range want.Names {
		if err := check(artifact.Package{Name: name, Version: "1", Release: "1", Arch: "noarch"}); err != nil {
			return fmt.Errorf("package %q: %w", name, err)
		}
	}
	return nil
}

// install carries out want: transaction does it for what is not there yet.
func install(ctx context.Context, m Manager, want Request, transaction func(Request) error) error {
	have, err := m.Installed(ctx)
	if err != nil {
		return err
	}
	left := todo(want, have)
	if left.empty() {
		return nil
	}
	count := len(left.Packages) + len(left.Names)
	if err := transaction(left); err != nil {
		return fmt.Errorf("install %d packages: %w", count, err)
	}
	if have, err = m.Installed(ctx); err != nil {
		return err
	}
	if err := compare(want.Packages, have); err != nil {
		return fmt.Errorf("install %d packages: %w", count, err)
	}
	if left := todo(Request{Names: want.Names}, have); !left.empty() {
		return fmt.Errorf("install %d packages: not installed: %q", count, left.Names)
	}
	return nil
}

// reverter is what undo needs of a package manager.
type reverter interface {
	Installed(ctx context.Context) ([]artifact.Package, error)
	// erase removes just these packages, whatever needs them.
	erase(ctx context.Context, pkgs []artifact.Package, log io.Writer) error
	// bringBack installs as many as can be had of pkgs, in the place of others
	// of their names.
	bringBack(ctx context.Context, pkgs []artifact.Package, log io.Writer) error
}

// undo brings the database back to before. What came goes first, for it may
// be in the way of what went; what came with that goes last. A package that
// stands in the place of another is not erased: a newer one is better than
// none, if the old one cannot be had.
func undo(ctx context.Context, m reverter, before []artifact.Package, log io.Writer) error {
	now, err := m.Installed(ctx)
	if err != nil {
		return err
	}
	var failed error
	erase := func() {
		if pkgs := added(before, now); len(pkgs) > 0 {
			failed = errors.Join(failed, m.erase(ctx, pkgs, log))
		}
	}
	erase()
	if went := missing(before, now); len(went) > 0 {
		failed = errors.Join(failed, m.bringBack(ctx, went, log))
		if now, err = m.Installed(ctx); err != nil {
			return errors.Join(err, failed)
		}
		erase()
	}
	if now, err = m.Installed(ctx); err != nil {
		return errors.Join(err, failed)
	}
	// What was said on the way does not matter if all is as it was.
	var wrong error
	if left := missing(before, now); len(left) > 0 {
		wrong = fmt.Errorf("packages that could not be brought back: %s", nevrasOf(left))
	}
	if left := missing(now, before); len(left) > 0 {
		wrong = errors.Join(wrong, fmt.Errorf("packages that could not be removed: %s", nevrasOf(left)))
	}
	if wrong == nil {
		return nil
	}
	return errors.Join(wrong, failed)
}

// added are the packages in now that came to those in before, and do not stand
// in the place of one of their name that went.
func added(before, now []artifact.Package) []artifact.Package {
	replaced := map[string]bool{}
	for _, p := range missing(before, now) {
		replaced[p.Name] = true
	}
	var all []artifact.Package
	for _, p := range missing(now, before) {
		if !replaced[p.Name] {
			all = append(all, p)
		}
	}
	return all
}
