package pkgmgr

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// dialect is what differs between dnf and yum.
type dialect struct {
	program string
	exclude string   // the option of a repository for packages it is without
	strict  []string // options: what is not to be had ends the run, whatever the configuration says
	lenient []string // options: what is not to be had is left out
	refresh []string // options: nothing is believed that was fetched before
	aborted string   // what it says when it would have gone on, if the answer had been yes
	private func(dir string) []string
	// downgrades says that "install" does not replace a newer version.
	downgrades bool
}

// dnf4 is dnf 4 (dnf(8), dnf.conf(5)).
func dnf4() dialect {
	return dialect{
		program: "dnf",
		exclude: "excludepkgs",
		strict:  []string{"--setopt=strict=1"},
		lenient: []string{"--setopt=strict=0", "--setopt=install_weak_deps=0"},
		refresh: []string{"--refresh"},
		aborted: "Operation aborted",
		private: func(dir string) []string {
			return []string{"--setopt=cachedir=" + dir + "/cache", "--setopt=logdir=" + dir, "--setopt=persistdir=" + dir + "/lib"}
		},
	}
}

// dnf5 is dnf 5 (dnf5.conf(5)), which no EL has yet: it does not consider the
// option strict any more. Like yum's, its words were not tried.
func dnf5() dialect {
	d := dnf4()
	d.strict = []string{"--setopt=skip_unavailable=0", "--setopt=skip_broken=0"}
	d.lenient = []string{"--setopt=skip_unavailable=1", "--setopt=skip_broken=1", "--setopt=install_weak_deps=0"}
	return d
}

// yum3 is yum 3.4.3 of EL 7 (yum(8), yum.conf(5)); on EL 8 and later yum is dnf.
// There is none to be had where the tests run: they see its command line, and
// nothing else of it was tried.
func yum3() dialect {
	return dialect{
		program: "yum",
		exclude: "exclude",
		strict:  []string{"--setopt=skip_missing_names_on_install=0"},
		lenient: []string{"--setopt=skip_missing_names_on_install=1", "--skip-broken"},
		refresh: []string{"--setopt=*.metadata_expire=1"},
		aborted: "Exiting on user command",
		private: func(dir string) []string {
			return []string{"--setopt=cachedir=" + dir + "/cache", "--setopt=logfile=" + dir + "/log", "--setopt=persistdir=" + dir + "/lib"}
		},
		downgrades: true,
	}
}

// action is the command that installs what is wanted in one transaction, and
// what removes a file it reads. yum replaces a newer version only with a command
// of its own, so a script for its shell (yum-shell(8)) has both.
func (d *dnf) action(ctx context.Context, want Request) (args []string, remove func() error, err error) {
	nothing := func() error { return nil }
	if !d.downgrades {
		return append([]string{"install"}, specs(want, spec)...), nothing, nil
	}
	have, err := d.Installed(ctx)
	if err != nil {
		return nil, nil, err
	}
	older, other := olderThan(want.Packages, have)
	if len(older) == 0 {
		return append([]string{"install"}, specs(want, spec)...), nothing, nil
	}
	var script strings.Builder
	script.WriteString("downgrade " + strings.Join(specs(Request{Packages: older}, spec), " ") + "\n")
	if rest := (Request{Packages: other, Names: want.Names}); !rest.empty() {
		script.WriteString("install " + strings.Join(specs(rest, spec), " ") + "\n")
	}
	script.WriteString("run\n")
	dir, remove, err := d.scratch()
	if err != nil {
		return nil, nil, err
	}
	file := path.Join(dir, "script")
	if err := d.writeFile(file, []byte(script.String())); err != nil {
		_ = remove()
		return nil, nil, err
	}
	return []string{"shell", d.see(file)}, remove, nil
}

// olderThan splits want into packages of which a newer version is installed,
// and the others.
func olderThan(want, have []artifact.Package) (older, other []artifact.Package) {
	for _, p := range want {
		newer := func(q artifact.Package) bool { return q.Name == p.Name && q.Arch == p.Arch && CompareEVR(q, p) > 0 }
		if slices.ContainsFunc(have, newer) {
			older = append(older, p)
		} else {
			other = append(other, p)
		}
	}
	return older, other
}
