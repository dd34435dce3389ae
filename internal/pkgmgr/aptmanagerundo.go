package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// Undo implements Manager. What came goes with its configuration. What is
// neither installed nor configured, as a script that failed leaves it, goes too
// if it was not there before, and is configured else.
func (a *apt) Undo(ctx context.Context, before []artifact.Package, log io.Writer) (err error) {
	allow, err := a.forbidStarts()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, allow()) }()
	half, err := a.halfInstalled(ctx)
	if err != nil {
		return err
	}
	if came := added(before, half); len(came) > 0 {
		if err := a.erase(ctx, came, log); err != nil {
			return err
		}
	}
	if len(half) > 0 {
		// What cannot be configured is found missing below.
		if err := a.do(ctx, a.dpkg("--configure", "-a", "--force-confdef", "--force-confold"), log); err != nil && exited(err) < 0 {
			return err
		}
	}
	return undo(ctx, a, before, log)
}

// dpkg is a command of dpkg.
func (a *apt) dpkg(args ...string) host.Command {
	return host.Command{Name: "dpkg", Args: args, Env: []string{"DEBIAN_FRONTEND=noninteractive"}}
}

// halfInstalled are the packages that are on the machine without being
// installed (dpkg(1), "PACKAGE STATES").
func (a *apt) halfInstalled(ctx context.Context) ([]artifact.Package, error) {
	cmd := host.Command{Name: "dpkg-query", Args: []string{"-W", "-f", "${Package}\t${Version}\t${Architecture}\t${db:Status-Status}\n"}, Chroot: a.chroot}
	out, err := a.run.Run(ctx, cmd)
	if err != nil {
		return nil, fmt.Errorf("dpkg database of %s: %w", a.root.Dir(), err)
	}
	var all []artifact.Package
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			return nil, fmt.Errorf("dpkg database of %s: line %q", a.root.Dir(), line)
		}
		switch f[3] {
		case "half-installed", "unpacked", "half-configured":
			p := artifact.Package{Name: f[0], Arch: f[2]}
			p.Epoch, p.Version, p.Release = splitDebVersion(f[1])
			all = append(all, p)
		}
	}
	return all, nil
}

// erase removes packages in one go, whatever needs them: it did without them
// before.
func (a *apt) erase(ctx context.Context, pkgs []artifact.Package, log io.Writer) error {
	args := []string{"--purge", "--force-depends"}
	for _, p := range pkgs {
		args = append(args, debName(p))
	}
	if err := a.do(ctx, a.dpkg(args...), log); err != nil {
		return fmt.Errorf("remove %d packages: %w", len(pkgs), err)
	}
	return nil
}

// bringBack installs all at once, or, after the sources were asked for what
// they have now, what can be had one by one.
func (a *apt) bringBack(ctx context.Context, pkgs []artifact.Package, log io.Writer) error {
	if err := checkRequest(Request{Packages: pkgs}, checkDeb); err != nil {
		return err
	}
	install := func(pkgs []artifact.Package) error {
		args := slices.Concat(aptInstall(), impatient(), []string{"--no-install-recommends", "install"}, specs(Request{Packages: pkgs}, debSpec))
		return a.do(ctx, aptGet(args...), log)
	}
	err := install(pkgs)
	if err == nil || exited(err) < 0 {
		return err
	}
	err = errors.Join(err, a.do(ctx, aptGet(append(impatient(), "update")...), log))
	for _, p := range pkgs {
		if install([]artifact.Package{p}) != nil {
			continue // it is found missing, and the first error says why
		}
	}
	return err
}
