package pkgmgr

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const deb822Sources = `# from a comment on
Types: deb deb-src
URIs: https://one.example/ubuntu https://me:hidden@two.example/
Suites: jammy jammy-updates
Components: main universe
# amid a paragraph
Architectures: amd64 i386
Signed-By: /usr/share/keyrings/ubuntu.gpg
X-Repolib-Name: Ubuntu

Enabled: no
Types: deb
URIs: https://off.example/
Suites: jammy
Components: main

Types: deb-src
URIs: https://source.example/
Suites: jammy
Components: main

Types: deb
URIs: file:/srv/flat
Suites: ./
Trusted: yes
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQENBF
 -----END PGP PUBLIC KEY BLOCK-----
`

func TestParseAptSources(t *testing.T) {
	one := []string{
		"deb [arch=amd64,i386 signed-by=/usr/share/keyrings/ubuntu.gpg] https://one.example/ubuntu jammy main universe",
		"deb [arch=amd64,i386 signed-by=/usr/share/keyrings/ubuntu.gpg] https://one.example/ubuntu jammy-updates main universe",
		"deb [arch=amd64,i386 signed-by=/usr/share/keyrings/ubuntu.gpg] https://me:hidden@two.example/ jammy main universe",
		"deb [arch=amd64,i386 signed-by=/usr/share/keyrings/ubuntu.gpg] https://me:hidden@two.example/ jammy-updates main universe",
		"deb [trusted=yes] file:/srv/flat ./",
	}
	list := strings.Join(one, "\r\n") + " # a comment\n\n#deb http://off.example/ x main\ndeb-src http://source.example/ jammy main\n"
	for name, content := range map[string]string{"ubuntu.sources": deb822Sources, "other": deb822Sources, "sources.list": list, "another": list} {
		got, err := ParseAptSources(name, []byte(content))
		if err != nil || !slices.Equal(got, one) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, one)
		}
	}
	for _, line := range one {
		s := open(t, line, SourceOptions{})
		if repos, ok := s.(*repositories); !ok || len(repos.all) != 1 || repos.all[0].apt == nil {
			t.Errorf("%s: %+v", line, s)
		}
	}
	if got, err := ParseAptSources("x.list", []byte("\n# nothing\n")); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}

// TestAptSourcesAsApt compares with what apt itself would read of the same file.
func TestAptSourcesAsApt(t *testing.T) {
	for _, name := range []string{"x.sources", "x.list"} {
		lines, err := ParseAptSources("x.sources", []byte(deb822Sources))
		if err != nil {
			t.Fatal(err)
		}
		content := deb822Sources
		if name == "x.list" {
			content = strings.Join(lines, "\n") + "\n"
		}
		uris := func(sources, file string) []string {
			home := t.TempDir()
			get := runApt(t, home, "")
			write(t, filepath.Join(home, "etc/sources.list.d", file), []byte(sources))
			all := strings.Fields(get("indextargets", "--no-release-info", "--format", "$(URI)", "Created-By: Packages"))
			slices.Sort(all)
			return all
		}
		got, want := uris(strings.Join(lines, "\n")+"\n", "y.list"), uris(content, name)
		if !slices.Equal(got, want) || len(got) < 9 {
			t.Errorf("%s: apt reads %q, of ours %q", name, want, got)
		}
	}
}

func TestAptSourcesErrors(t *testing.T) {
	for name, tt := range map[string]struct{ file, want string }{
		"type":        {"rpm http://me:hidden@x.example/ jammy main\n", `line 1: type "rpm"`},
		"suite":       {"deb http://me:hidden@x.example/\n", "line 1: no URL and suite"},
		"component":   {"\ndeb http://me:hidden@x.example/ jammy\n", `line 2: suite "jammy": no component`},
		"flat":        {"deb http://me:hidden@x.example/ ./ main\n", "components of a flat repository"},
		"options":     {"deb [ trusted=yes http://me:hidden@x.example/ ./\n", "options without an end"},
		"paragraph":   {"Types: deb\nURIs: http://me:hidden@x.example/\n", "paragraph that ends in line"},
		"field":       {"Types: deb\nURIs http://me:hidden@x.example/\n", "line 2: no field"},
		"types":       {"Types: rpm\nURIs: http://me:hidden@x.example/\nSuites: ./\n", `type "rpm"`},
		"deb822 flat": {"Types: deb\nURIs: http://me:hidden@x.example/\nSuites: jammy\n", "no component"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseAptSources("/etc/x", []byte(tt.file))
			wantError(t, err, "apt sources /etc/x: ", tt.want, "!hidden")
			file := filepath.Join(t.TempDir(), "x.list")
			if strings.Contains(tt.file, ": ") && !strings.HasPrefix(tt.file, "rpm") {
				file = strings.TrimSuffix(file, ".list") + ".sources"
			}
			write(t, file, []byte(tt.file))
			_, err = OpenSource(t.Context(), file, SourceOptions{TempDir: t.TempDir()})
			wantError(t, err, file, "!hidden")
		})
	}
	for line, want := range map[string]string{
		"deb-src http://x.example/ jammy main":                   `type "deb-src"`,
		"deb ftp://me:hidden@x.example/ jammy main":              "neither http, https nor file",
		"deb cdrom:[Debian 12 _Bookworm_]/ bookworm main":        "neither http, https nor file",
		"deb http://me:hidden@x.example/%zz jammy main":          "cannot be parsed",
		"deb http://x.example/ ../../etc main":                   "leads out",
		"deb http://x.example/ jammy ../../etc":                  "leads out",
		"deb http://x.example/ ../etc/":                          "leads out",
		"deb http://x.example/$(ARCH) jammy main":                "architecture is not known",
		"deb [inrelease-path=x] http://x.example/ jammy main":    `option "inrelease-path": not supported`,
		"deb [trusted] http://me:hidden@x.example/ jammy main":   `option "trusted": no value`,
		"deb [snapshot=20240101] http://x.example/ jammy main":   `option "snapshot": not supported`,
		"deb [arch=amd64 http://me:hidden@x.example/ jammy main": "options without an end",
	} {
		_, err := OpenSource(t.Context(), line, SourceOptions{TempDir: t.TempDir()})
		wantError(t, err, "apt source: ", want, "!hidden")
	}
	empty := filepath.Join(t.TempDir(), "x.list")
	write(t, empty, nil)
	_, err := OpenSource(t.Context(), empty, SourceOptions{TempDir: t.TempDir()})
	wantError(t, err, empty, "none that is enabled")
}
