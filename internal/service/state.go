package service

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// States a unit file can have beside Enabled, Disabled and Masked, in the words of
// "systemctl is-enabled" (systemctl(1)).
const (
	static   = "static"   // nothing enables it, what needs it starts it
	indirect = "indirect" // enabled under another name, or only what is Also in it is
	linked   = "linked"   // its file lies elsewhere
)

// state returns the word of is-enabled for f, which is what unit was found to be.
func (u units) state(f unitFile) (string, error) {
	if f.masked {
		return Masked, nil
	}
	in, err := u.install(f)
	if err != nil {
		return "", err
	}
	names := []string{f.name, instantiated(f.name, in)}
	for _, alias := range in.alias {
		if name, err := expand(alias, instantiated(f.name, in)); err == nil {
			names = append(names, name)
		}
	}
	links, err := u.links()
	if err != nil {
		return "", err
	}
	found := ""
	for _, l := range links {
		name, above := path.Base(l.Path), path.Dir(l.Path) == configDir
		if l.Path == f.path || l.Target == masking || !isUnit(name) || !above && !isDependency(path.Dir(l.Path)) {
			continue
		}
		end, err := u.root.Resolve(l.Path)
		if err != nil {
			return "", fmt.Errorf("unit %s: %w", f.name, err)
		}
		file := path.Base(f.path)
		switch own := slices.Contains(names, name); {
		case own && (path.Base(end) == file || path.Base(l.Target) == file || name == path.Base(l.Target)):
			return Enabled, nil
		case path.Base(end) == file && (!isTemplate(file) || isTemplate(f.name)):
			found = indirect
		}
	}
	switch {
	case f.linked && path.Dir(f.path) == configDir:
		return linked, nil
	case found != "":
		return found, nil
	case in.any():
		return Disabled, nil
	case len(in.also) > 0:
		return indirect, nil
	}
	return static, nil
}

// isDependency reports whether dir holds links to what a unit wants.
func isDependency(dir string) bool {
	for _, suffix := range dependencies() {
		if strings.HasSuffix(dir, suffix) {
			return true
		}
	}
	return false
}

// sysVState returns the word of is-enabled for a unit made of a script.
func (u units) sysVState(unit string) (string, error) {
	links, err := u.runlevelLinks(strings.TrimSuffix(unit, ".service"))
	if err != nil {
		return "", fmt.Errorf("unit %s: %w", unit, err)
	}
	for _, l := range links {
		if path.Base(l.Path)[0] == 'S' && strings.Contains(runlevels, strings.TrimSuffix(strings.TrimPrefix(path.Dir(l.Path), "/etc/rc"), ".d")) {
			return Enabled, nil
		}
	}
	return Disabled, nil
}
