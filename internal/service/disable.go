package service

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/host"
)

// disable has unit and those of its Also not started at boot.
func (c *change) disable(unit string) error {
	_, found, err := c.find(unit)
	if err != nil {
		return err
	}
	if !found && c.isSysV(unit) {
		return c.sysv(unit, false)
	}
	gone := map[string]bool{}
	if err := c.collect(unit, gone); err != nil {
		return err
	}
	links, err := c.links()
	if err != nil {
		return err
	}
	for _, l := range links {
		name := path.Base(l.Path)
		if !isUnit(name) {
			continue
		}
		end, err := c.root.Resolve(l.Path)
		if err != nil {
			return fmt.Errorf("unit %s: %w", unit, err)
		}
		template := templateOf(name)
		if gone[name] || gone[path.Base(end)] || template != "" && gone[template] {
			c.remove = append(c.remove, l.Path)
		}
	}
	return nil
}

// collect adds to gone the names that unit, its aliases and its Also have.
func (c *change) collect(unit string, gone map[string]bool) error {
	if gone[unit] {
		return nil
	}
	f, found, err := c.find(unit)
	if err != nil || found && f.masked {
		return err
	}
	gone[unit] = true
	if !found || gone[f.name] && f.name != unit {
		return nil
	}
	gone[f.name] = true
	in, err := c.install(f)
	if err != nil {
		return err
	}
	for _, also := range in.also {
		name, err := expand(also, f.name)
		if err != nil {
			return err
		}
		if err := c.collect(name, gone); err != nil {
			return err
		}
	}
	return nil
}

// links are all symlinks in the directory that links of enabled units are in, and
// in those one below, sorted.
func (u units) links() ([]Link, error) {
	var all []Link
	err := u.linksIn(configDir, &all, true)
	if err != nil {
		return nil, fmt.Errorf("units: %w", err)
	}
	return all, nil
}

func (u units) linksIn(dir string, all *[]Link, deeper bool) error {
	names, err := u.root.Names(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		p := dir + "/" + name
		st, err := u.root.Lstat(p)
		if err != nil {
			return err
		}
		switch {
		case st.IsSymlink():
			target, err := u.root.Readlink(p)
			if err != nil {
				return err
			}
			*all = append(*all, Link{Path: p, Target: target})
		case st.IsDir() && deeper:
			if err := u.linksIn(p, all, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// apply makes the changes of Enablement in root.
func apply(root *host.Root, add []Link, remove []string) error {
	for _, p := range remove {
		if err := within(root, p, func(d *host.Dir, name string) error { return d.Remove(name) }); err != nil {
			return err
		}
	}
	for _, l := range add {
		if err := root.MkdirAll(path.Dir(l.Path), 0o755); err != nil {
			return err
		}
		if err := within(root, l.Path, func(d *host.Dir, name string) error { return d.Symlink(l.Target, name) }); err != nil {
			return err
		}
	}
	return nil
}

// within calls do with the directory and the name of p.
func within(root *host.Root, p string, do func(d *host.Dir, name string) error) error {
	d, name, err := root.OpenParent(p)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return do(d, name)
}
