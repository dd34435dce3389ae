package service

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/host"
)

// What Enablement can be asked for.
const (
	Enabled  = "enabled"
	Disabled = "disabled"
	Masked   = "masked"
	Unmasked = "unmasked"
)

// Link is a symlink that enables or masks a unit: its path on the host, and the
// text of its target.
type Link struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

// ErrNoUnit says that a host has no unit of a name.
var ErrNoUnit = errors.New("unit is not on the host")

// Enablement returns which links have to be made and which to be removed in root so
// that unit ("named.service", or an alias of it) is as want says, which is what
// "systemctl --root=DIR enable", disable, mask or unmask would do. It changes
// nothing, and what is as it should be is not listed. Removals come first: a path may
// be in both lists. Directories of links to be made may be missing; those of removed
// ones may be left empty, which means nothing to systemd.
//
// To enable a unit that is masked lifts the mask. A unit whose file says nothing
// about when it is to be started is static: nothing enables or disables it, and no
// links are returned. A script of System V init has its links in /etc/rc?.d.
// The error wraps ErrNoUnit if the host does not have the unit.
func Enablement(root *host.Root, unit, want string) (add []Link, remove []string, err error) {
	u, err := openUnits(root)
	if err != nil {
		return nil, nil, err
	}
	c := change{units: u, seen: map[string]bool{}}
	switch want {
	case Enabled:
		err = c.enable(unit)
	case Disabled:
		err = c.disable(unit)
	case Masked:
		err = c.mask(unit)
	case Unmasked:
		err = c.unmask(unit)
	default:
		err = fmt.Errorf("unit %s: no state %q", unit, want)
	}
	return c.add, c.remove, err
}

// change collects what changes links.
type change struct {
	units
	add    []Link
	remove []string
	seen   map[string]bool // units that are worked on, or were
}

// enable has unit and those of its Also started at boot.
func (c *change) enable(unit string) error {
	if err := c.unmask(unit); err != nil {
		return err
	}
	f, found, err := c.unmasked(unit)
	if err != nil {
		return err
	}
	if !found {
		return c.sysv(unit, true)
	}
	return c.enableFile(f, true)
}

// enableFile makes the links of f. What goes wrong with a unit that only came along
// is not said, as systemctl does not.
func (c *change) enableFile(f unitFile, asked bool) error {
	if c.seen[f.name] {
		return nil
	}
	c.seen[f.name] = true
	if f.masked {
		if asked {
			return fmt.Errorf("unit %s: masked by %s", f.name, f.path)
		}
		return nil
	}
	in, err := c.install(f)
	if err != nil {
		return err
	}
	if err := errors.Join(c.aliases(f, in), c.dependents(f, in)); err != nil {
		if asked {
			return err
		}
		return nil
	}
	for _, also := range in.also {
		name, err := expand(also, f.name)
		if err != nil {
			return err
		}
		other, found, err := c.find(name)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if err := c.enableFile(other, false); err != nil {
			return err
		}
	}
	return nil
}

// aliases makes the links that give f more names.
func (c *change) aliases(f unitFile, in install) error {
	for _, alias := range in.alias {
		name, err := expand(alias, instantiated(f.name, in))
		if err != nil {
			return err
		}
		if path.Base(name) == f.name || path.Ext(name) != path.Ext(f.name) {
			continue
		}
		if err := c.link(Link{Path: path.Join(configDir, name), Target: f.source}, false); err != nil {
			return fmt.Errorf("unit %s: alias %s: %w", f.name, name, err)
		}
	}
	return nil
}

// dependents makes the links that have other units start f.
func (c *change) dependents(f unitFile, in install) error {
	name := instantiated(f.name, in)
	for _, suffix := range slices.Sorted(maps.Keys(in.by)) {
		for _, by := range in.by[suffix] {
			other, err := expand(by, name)
			if err != nil {
				return err
			}
			if !isUnit(other) {
				return fmt.Errorf("unit %s: %q is no name of a unit", f.name, other)
			}
			if isTemplate(name) && !isTemplate(other) {
				return fmt.Errorf("unit %s: a template that says no default instance", f.name)
			}
			if err := c.link(Link{Path: configDir + "/" + other + suffix + "/" + name, Target: f.source}, true); err != nil {
				return fmt.Errorf("unit %s: %w", f.name, err)
			}
		}
	}
	return nil
}

// instantiated is the name that f is started under.
func instantiated(name string, in install) string {
	if isTemplate(name) && in.defaultInstance != "" {
		return withInstance(name, in.defaultInstance)
	}
	return name
}

// link adds l, unless something that means the same is there. replace says what
// becomes of another link there: without it, it is an error.
func (c *change) link(l Link, replace bool) error {
	if slices.ContainsFunc(c.add, func(o Link) bool { return o.Path == l.Path }) {
		return nil
	}
	there, err := c.root.Readlink(l.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && slices.Contains(c.remove, l.Path):
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%s is no link", c.root.Path(l.Path))
	case err != nil:
		return err
	case c.same(l.Path, there, l.Target):
		return nil
	case !replace:
		return fmt.Errorf("%s leads to %s", c.root.Path(l.Path), there)
	default:
		c.remove = append(c.remove, l.Path)
	}
	c.add = append(c.add, l)
	return nil
}

// same reports whether targets a and b of the link at p are one file.
func (c *change) same(p, a, b string) bool {
	absolute := func(target string) string {
		if !strings.HasPrefix(target, "/") {
			target = path.Join(path.Dir(p), target)
		}
		dir, err := c.root.Resolve(path.Dir(target))
		if err != nil {
			return target
		}
		return path.Join(dir, path.Base(target))
	}
	return absolute(a) == absolute(b)
}

// mask has unit not start whatever asks for it.
func (c *change) mask(unit string) error {
	name, err := c.real(unit)
	if err != nil {
		return err
	}
	if err := c.link(Link{Path: configDir + "/" + name, Target: masking}, true); err != nil {
		return fmt.Errorf("unit %s: %w", name, err)
	}
	return nil
}

// real is the name that unit has without aliases. A unit that is masked, or that is
// not there, keeps its own: both can be masked, as with systemctl.
func (c *change) real(unit string) (string, error) {
	f, found, err := c.find(unit)
	if err != nil || !found {
		return unit, err
	}
	return f.name, nil
}

// unmask lifts a mask of unit, and of the unit it is an alias of.
func (c *change) unmask(unit string) error {
	name, err := c.real(unit)
	if err != nil {
		return err
	}
	names := []string{unit}
	if name != unit {
		names = append(names, name)
	}
	for _, name := range names {
		p := configDir + "/" + name
		target, err := c.root.Readlink(p)
		if err == nil && target == masking && !slices.Contains(c.remove, p) {
			c.remove = append(c.remove, p)
		}
	}
	return nil
}

// unmasked finds unit as it will be once the links to be removed are.
func (c *change) unmasked(unit string) (unitFile, bool, error) {
	f, found, err := c.find(unit)
	if err != nil || !found || !f.masked || !slices.Contains(c.remove, f.path) {
		return f, found, err
	}
	below := units{root: c.root, dirs: c.dirs[1:]}
	return below.find(f.name)
}
