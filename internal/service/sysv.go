package service

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/host"
)

// Scripts of System V init: systemd makes a unit of each at boot that no unit file
// stands for. Debian's isc-dhcp-server is one. Their links are those update-rc.d
// makes where insserv is not installed (init-system-helpers).
const (
	initDir   = "/etc/init.d"
	runlevels = "S2345" // that start something
)

// isSysV reports whether unit is a script and no unit file.
func (u units) isSysV(unit string) bool { return sysVScript(u.root, unit) != "" }

// sysVScript returns the path of the script that unit is made of, "" if there is none.
func sysVScript(root *host.Root, unit string) string {
	name, ok := strings.CutSuffix(unit, ".service")
	if !ok {
		return ""
	}
	st, err := root.Stat(initDir + "/" + name)
	if err != nil || !st.IsRegular() || st.Perm()&0o111 == 0 {
		return ""
	}
	return initDir + "/" + name
}

// sysv has the script unit is made of started at boot, or not.
func (c *change) sysv(unit string, on bool) error {
	script := sysVScript(c.root, unit)
	if script == "" {
		return fmt.Errorf("%w: %s", ErrNoUnit, unit)
	}
	name := path.Base(script)
	links, err := c.runlevelLinks(name)
	if err != nil {
		return fmt.Errorf("unit %s: %w", unit, err)
	}
	b, err := c.root.ReadFile(script, maxUnitFile)
	if err != nil {
		return fmt.Errorf("unit %s: %w", unit, err)
	}
	start, stop := lsbLevels(string(b))
	letter := "K"
	if on {
		letter = "S"
	}
	level := func(p string) string { return strings.TrimSuffix(strings.TrimPrefix(path.Dir(p), "/etc/rc"), ".d") }
	for _, l := range links {
		base := path.Base(l.Path)
		if base[:1] == letter || !slices.Contains(start, level(l.Path)) || !strings.Contains(runlevels, level(l.Path)) {
			continue
		}
		c.remove = append(c.remove, l.Path)
		c.add = append(c.add, Link{Path: path.Dir(l.Path) + "/" + letter + base[1:], Target: l.Target})
	}
	if len(links) > 0 {
		return nil
	}
	begin := func(level, letter string) {
		c.add = append(c.add, Link{Path: "/etc/rc" + level + ".d/" + letter + "01" + name, Target: "../init.d/" + name})
	}
	for _, l := range start {
		begin(l, letter)
	}
	for _, l := range stop {
		begin(l, "K")
	}
	return nil
}

// runlevelLinks are the links of script name in all runlevels.
func (u units) runlevelLinks(name string) (all []Link, err error) {
	for _, level := range "0123456S" {
		dir := "/etc/rc" + string(level) + ".d"
		names, err := u.root.Names(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			if ok, _ := path.Match("[SK][0-9][0-9]*", n); !ok || n[3:] != name {
				continue
			}
			target, err := u.root.Readlink(dir + "/" + n)
			if errors.Is(err, unix.EINVAL) {
				continue
			}
			if err != nil {
				return nil, err
			}
			all = append(all, Link{Path: dir + "/" + n, Target: target})
		}
	}
	return all, nil
}

// lsbLevels are the runlevels in which a script is to be started and stopped, as its
// header says (Linux Standard Base, "Comment Conventions for Init Scripts").
func lsbLevels(script string) (start, stop []string) {
	_, header, _ := strings.Cut(script, "### BEGIN INIT INFO")
	header, _, _ = strings.Cut(header, "### END INIT INFO")
	for line := range strings.Lines(header) {
		key, value, _ := strings.Cut(strings.TrimLeft(line, "# \t"), ":")
		levels := slices.DeleteFunc(strings.Fields(value), func(l string) bool { return len(l) != 1 || !strings.Contains("0123456S", l) })
		switch strings.ToLower(key) {
		case "default-start":
			start = levels
		case "default-stop":
			stop = levels
		}
	}
	return start, stop
}
