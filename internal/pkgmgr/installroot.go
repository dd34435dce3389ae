package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/xcrate/xcrate/internal/host"
)

// macroHome is where this machine's rpm finds its macros while it acts on
// another root.
const macroHome = "/var/tmp/xcrate-rpm"

// fromOutside adds to a dnf command what this machine's dnf needs to act on
// another root, and returns what removes it again.
//
// librpm looks for the database where this machine's distro keeps it, below
// the root. Only a macro says otherwise, and ~/.rpmmacros is the one place for
// it that is nobody's but the command's.
func (d *dnf) fromOutside(ctx context.Context, cmd *host.Command) (remove func() error, err error) {
	release, err := d.releasever()
	if err != nil {
		return nil, err
	}
	cmd.Args = append([]string{
		"--installroot=" + d.root.Dir(),
		"--releasever=" + release,
		"--setopt=reposdir=" + d.root.Path("/etc/yum.repos.d"),
	}, cmd.Args...)
	out, err := d.run.Run(ctx, host.Command{Name: "rpm", Args: []string{"--eval", "%_dbpath"}})
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(string(out)) == d.dbpath {
		return func() error { return nil }, nil
	}
	cmd.Env = append(cmd.Env, "HOME="+d.root.Path(macroHome))
	return d.writeMacros()
}

// writeMacros makes macroHome with the one macro.
func (d *dnf) writeMacros() (remove func() error, err error) {
	fail := func(err error) (func() error, error) {
		return nil, fmt.Errorf("rpm macros in %s: %w", d.root.Path(macroHome), err)
	}
	if err := d.root.MkdirAll(path.Dir(macroHome), 0o755); err != nil {
		return fail(err)
	}
	remove = func() error {
		parent, name, err := d.root.OpenParent(macroHome)
		if err == nil {
			err = errors.Join(parent.RemoveAll(name), parent.Close())
		}
		if err != nil {
			return fmt.Errorf("rpm macros in %s: %w", d.root.Path(macroHome), err)
		}
		return nil
	}
	if err := remove(); err != nil { // left by a run that was killed
		return nil, err
	}
	if err := d.root.MkdirAll(macroHome, 0o700); err != nil {
		return fail(err)
	}
	dir, err := d.root.OpenDir(macroHome)
	if err != nil {
		return fail(errors.Join(err, remove()))
	}
	defer func() { _ = dir.Close() }()
	f, err := dir.Create(".rpmmacros")
	if err != nil {
		return fail(errors.Join(err, remove()))
	}
	_, err = f.WriteString("%_dbpath " + d.dbpath + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return fail(errors.Join(err, remove()))
	}
	return remove, nil
}

// twin makes a directory of the root on this machine too. With --installroot,
// dnf takes a cachedir of the command line for a path in the root when it
// starts, and for one of the machine later.
func twin(dir string) (remove func() error, err error) {
	machine, err := host.OpenRoot("/")
	if err != nil {
		return nil, err
	}
	fail := func(err error) (func() error, error) {
		return nil, fmt.Errorf("directory for temporary files: %w", errors.Join(err, machine.Close()))
	}
	if err := machine.MkdirAll(path.Dir(dir), 0o755); err != nil {
		return fail(err)
	}
	parent, name, err := machine.OpenParent(dir)
	if err != nil {
		return fail(err)
	}
	if err := parent.Mkdir(name, 0o700); err != nil {
		return fail(errors.Join(err, parent.Close()))
	}
	return func() error { return errors.Join(parent.RemoveAll(name), parent.Close(), machine.Close()) }, nil
}

// releasever is the distro's release as repository URLs have it: the one the
// administrator set (dnf.conf(5), "VARIABLES"), else the major version.
func (d *dnf) releasever() (string, error) {
	for _, p := range []string{"/etc/dnf/vars/releasever", "/etc/yum/vars/releasever"} {
		b, err := d.root.ReadFile(p, 1<<10)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("release version: %w", err)
		}
		if v := strings.TrimSpace(string(b)); v != "" {
			return v, nil
		}
	}
	facts, err := host.ReadFacts(d.root)
	if err != nil {
		return "", fmt.Errorf("release version: %w", err)
	}
	major, _, _ := strings.Cut(facts.Distro.Version, ".")
	if major == "" {
		return "", fmt.Errorf("release version: os-release of %s has no VERSION_ID", d.root.Dir())
	}
	return major, nil
}
