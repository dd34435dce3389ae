package pkgmgr

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/rpmpack"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// TestInstallSigned has packages signed with a key the machine does not know,
// one that is not signed, and one signed with another key.
func TestInstallSigned(t *testing.T) {
	home, public := gpgHome(t, "Snapshot", "rsa2048", "sign", "never")
	otherHome, otherPublic := gpgHome(t, "Other", "rsa2048", "sign", "never")
	for name, manager := range map[string]func(*testing.T) (*host.Root, Manager){
		"dnf":         func(t *testing.T) (*host.Root, Manager) { root := elSystem(t); return root, detect(t, root) },
		"installroot": func(t *testing.T) (*host.Root, Manager) { root := elRoot(t); return root, fromHere(t, root) },
		"zypper":      func(t *testing.T) (*host.Root, Manager) { root := slesSystem(t); return root, detect(t, root) },
	} {
		t.Run(name, func(t *testing.T) {
			root, m := manager(t)
			systems()["dnf"].repository(t, root, distroDir, sample{name: "any", version: "1"})
			pkgs := fill(t, root, func(dir string) {
				for _, name := range []string{"signed", "plain", "other"} {
					file := pack(t, dir, packed{RPMMetaData: rpmpack.RPMMetaData{Name: name, Version: "1", Arch: "noarch"}, files: map[string]string{"/usr/share/" + name: name}})
					switch name {
					case "signed":
						rpmsign(t, home, "Snapshot", file)
					case "other":
						rpmsign(t, otherHome, "Other", file)
					}
				}
				write(t, dir+"/keys/snapshot.asc", []byte(public))
				write(t, dir+"/keys/of other.asc", []byte(otherPublic))
			})
			only := func(names ...string) (want []artifact.Package) {
				for _, p := range pkgs {
					if slices.Contains(names, p.Name) {
						want = append(want, p)
					}
				}
				return want
			}
			before := nevras(t, root)
			one := []string{"keys/snapshot.asc"}
			for _, refused := range []struct {
				repo Repo
				want []artifact.Package
			}{
				{Repo{Dir: repoDir, Keys: one}, only("signed", "plain")},
				{Repo{Dir: repoDir, Keys: one}, only("signed", "other")},
				{Repo{Dir: repoDir, Keys: one, Unsigned: []string{"plain"}}, only("signed", "plain", "other")},
			} {
				if err := installFrom(t, root, m, refused.repo, Request{Packages: refused.want}, nil); err == nil {
					t.Errorf("%+v passed", refused)
				}
				if got := nevras(t, root); !slices.Equal(got, before) {
					t.Errorf("installed %q, was %q", got, before)
				}
			}
			var log bytes.Buffer
			all := Repo{Dir: repoDir, Keys: []string{"keys/snapshot.asc", "keys/of other.asc"}, Unsigned: []string{"plain"}}
			if err := installFrom(t, root, m, all, Request{Packages: pkgs}, &log); err != nil {
				t.Fatalf("%v\n%s", err, &log)
			}
			if got := strings.Join(nevras(t, root), " "); strings.Contains(got, keyPackage) {
				t.Errorf("a key is left: %s", got)
			}
		})
	}
}

// TestDefinitionRefuses has names that would say something else in the file.
func TestDefinitionRefuses(t *testing.T) {
	root := plainRoot(t)
	for _, repo := range []Repo{
		{Dir: "/repo", Keys: []string{"../key"}},
		{Dir: "/repo", Keys: []string{"/etc/key"}},
		{Dir: "/repo", Keys: []string{"k"}, Unsigned: []string{"a\ngpgcheck=0"}},
		{Dir: "/repo", Keys: []string{"k"}, Unsigned: []string{"a*"}},
	} {
		for _, m := range []Manager{&dnf{rpmTarget{target: target{root: root}}, dnf4()}, &zypper{rpmTarget{target: target{root: root}}}} {
			if d, err := m.Definition(repo); err == nil {
				t.Errorf("%s of %+v: %s", m.Name(), repo, d.Content)
			}
		}
	}
}
