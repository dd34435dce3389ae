package restore

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// localParts are changes below /opt/xcat of every sort: a file in two pieces, a
// directory of the administrator's with a file of two names and a symlink, a
// template.
func localParts() [][]file {
	piece := func(n int, content string) file {
		f := reg("opt/xcat/big", content, 0o600)
		f.entry.Piece = artifact.Piece{
			Number: n, Count: 2, Offset: int64(n-1) * 4096, Total: 4096 + 5, Stored: "opt/xcat/" + artifact.PieceName("big", n, 0),
		}
		return f
	}
	hard := reg("opt/xcat/own/z-hard", "", 0o644)
	hard.entry.Type, hard.entry.Link = artifact.TypeHardlink, "opt/xcat/own/plugin.pm"
	return [][]file{
		{piece(1, strings.Repeat("b", 4096))},
		{
			piece(2, "small"), dir("opt/xcat/own", 0o750),
			{entry: artifact.Entry{Path: "opt/xcat/own/link", Type: artifact.TypeSymlink, Link: "plugin.pm", Mode: 0o777, MTime: artifact.Time{Sec: 5}}},
			reg("opt/xcat/own/plugin.pm", "1;", 0o644), hard, dir("opt/xcat/share", 0o755), reg("opt/xcat/share/tmpl", "changed", 0o644),
		},
	}
}

// localFixture is a snapshot of xCAT 2.17.0 that holds localParts. Its packages
// are named, for a plan to ask for, and not there.
func localFixture(t *testing.T, change func(*artifact.Config)) fixture {
	t.Helper()
	needRoot(t)
	m, parts := memory{}, localParts()
	config := artifact.Config{
		Format: 1, Created: time.Unix(1e9, 0), Stack: artifact.Stack{Name: "xcat", Version: "2.17.0"},
		Host:     artifact.Host{Name: "mn", Arch: hostArch(t), Distro: artifact.Distro{ID: "rocky", Version: "9.6"}},
		Packages: []artifact.Package{{Name: "perl-xcat", Version: "2.17.0", Release: "snap1", Arch: "all", File: "a", Install: true}},
	}
	if change != nil {
		change(&config)
	}
	var layers []ocispec.Descriptor
	var all []artifact.Entry
	for i, files := range parts {
		entries, desc := layerPart(t, m, artifact.KindOpt, i+1, len(parts), files)
		all, layers = append(all, entries...), append(layers, desc)
	}
	total := sum(artifact.KindOpt, all)
	total.Parts = len(parts)
	config.Kinds = []artifact.KindSum{total}
	return fixture{m, pack(t, m, config, layers, all)}
}

// stackRoot is a root with Version.pm of a version of xCAT, "" for none, and a
// dpkg database that has package perl-xcat in a version, "" for no database.
func stackRoot(t *testing.T, version, deb string) string {
	t.Helper()
	root := t.TempDir()
	put := func(name, content string) {
		p := filepath.Join(root, name)
		check(t, os.MkdirAll(filepath.Dir(p), 0o755))
		check(t, os.WriteFile(p, []byte(content), 0o644))
	}
	put("etc/os-release", "ID=rocky\nVERSION_ID=9.6\n")
	put("etc/hostname", "mn\n")
	if version != "" {
		put("opt/xcat/lib/perl/xCAT/Version.pm", fmt.Sprintf("sub Version\n{\n    $version = 'Version %s';\n", version))
	}
	if deb != "" {
		put("var/lib/dpkg/status", "Package: dpkg\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n"+
			"Package: perl-xcat\nStatus: install ok installed\nVersion: "+deb+"\nArchitecture: all\n")
	}
	return root
}

// TestOtherStack is which hosts have the very stack of the snapshot.
func TestOtherStack(t *testing.T) {
	noPackages := func(c *artifact.Config) { c.Packages = nil }
	missing := func(c *artifact.Config) { c.MissingPackages = []string{"xcat-2.17.0-snap1.all"} }
	for _, tt := range []struct {
		name, version, deb string
		change             func(*artifact.Config)
		want               string // in the finding, "" for none
	}{
		{"nothing_installed", "", "", nil, ""},
		{"same_build", "2.17.0", "2.17.0-snap1", nil, ""},
		{"same_build_by_packages", "2.18.0", "2.17.0-snap1", nil, ""},
		{"other_build_of_the_version", "2.17.0", "2.17.0-snap2", nil, "perl-xcat-2.17.0-snap1.all is not here"},
		{"same_version", "2.17.0", "", nil, ""},
		{"other_version", "2.18.0", "", nil, "xCAT 2.18.0 is installed, the snapshot is of 2.17.0"},
		{"same_version_without_packages", "2.17.0", "2.17.0-snap2", noPackages, ""},
		{"other_version_without_packages", "2.18.0", "2.17.0-snap1", noPackages, "xCAT 2.18.0 is installed"},
		{"missing_in_the_snapshot_and_here", "2.17.0", "2.17.0-snap1", missing, "xcat-2.17.0-snap1.all is not here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := localFixture(t, tt.change)
			o := f.options(t, stackRoot(t, tt.version, tt.deb))
			o.Allow = map[string]bool{CodeStackVersion: true}
			plan, err := NewPlan(t.Context(), f.m, f.s, o)
			check(t, err)
			at := slices.IndexFunc(plan.Findings, func(f Finding) bool { return f.Code == "local-changes" })
			if beside := plan.Files[0].Beside; beside != (tt.want != "") || beside != (at >= 0) {
				t.Fatalf("beside %v, findings %+v", beside, plan.Findings)
			}
			if at >= 0 && (!strings.Contains(plan.Findings[at].Message, tt.want) || plan.Findings[at].Level != Warn) {
				t.Errorf("finding %+v, want %q", plan.Findings[at], tt.want)
			}
			var listed []string
			check(t, plan.Changes(t.Context(), func(c Change) error { listed = append(listed, c.Path); return nil }))
			suffix := map[bool]string{true: BesideSuffix}[tt.want != ""]
			for _, p := range []string{"/opt/xcat/big", "/opt/xcat/own/link", "/opt/xcat/own/z-hard", "/opt/xcat/share/tmpl"} {
				if !slices.Contains(listed, p+suffix) {
					t.Errorf("%s%s is not among %q", p, suffix, listed)
				}
			}
			if !slices.Contains(listed, "/opt/xcat/own") {
				t.Errorf("the directory has another name: %q", listed)
			}
		})
	}
	t.Run("damaged_database", func(t *testing.T) {
		f, root := localFixture(t, nil), stackRoot(t, "2.17.0", "2.17.0\nVersion: 2")
		if _, err := NewPlan(t.Context(), f.m, f.s, f.options(t, root)); err == nil || !strings.Contains(err.Error(), "dpkg/status") {
			t.Errorf("error %v", err)
		}
		o := f.options(t, root)
		o.Skip = []artifact.Kind{artifact.KindOpt}
		_, err := NewPlan(t.Context(), f.m, f.s, o)
		check(t, err) // nobody asked
	})
}

// besideRoot has another build of the stack, with files where the snapshot has
// changed ones, and what an earlier import placed beside one of them.
func besideRoot(t *testing.T) string {
	t.Helper()
	root := stackRoot(t, "2.17.0", "2.17.0-snap2")
	check(t, os.MkdirAll(filepath.Join(root, "opt/xcat/share"), 0o711))
	check(t, os.Chmod(filepath.Join(root, "opt/xcat/share"), 0o711))
	for name, content := range map[string]string{"big": "the host's", "share/tmpl": "the host's", "share/tmpl.snapshot": "of an earlier import"} {
		check(t, os.WriteFile(filepath.Join(root, "opt/xcat", name), []byte(content), 0o644))
	}
	return root
}

// TestBeside places local changes beside the files of another build, and lets
// each step fail: the host is as before then.
func TestBeside(t *testing.T) {
	f := localFixture(t, nil)
	boom := errors.New("boom")
	for n := 0; ; n++ {
		root := besideRoot(t)
		before := treeOf(t, root)
		o, left := f.options(t, root), n
		o.fault = func() error {
			if left--; left < 0 {
				return boom
			}
			return nil
		}
		result, err := Apply(t.Context(), f.m, f.s, o, yes)
		if err != nil {
			if !errors.Is(err, boom) {
				t.Fatal(err)
			}
			diff(t, fmt.Sprintf("failure at step %d", n), before, treeOf(t, root))
			continue
		}
		if n < 7 {
			t.Errorf("only %d steps", n)
		}
		if p := result.Plan.Files[0]; p.New != 5 || p.Changed != 1 || p.Kept != 1 || p.Same != 0 {
			t.Errorf("plan %+v", p)
		}
		assertBeside(t, root, before)
		kept, err := os.ReadFile(filepath.Join(result.Kept, "00000001"))
		if err != nil || string(kept) != "of an earlier import" {
			t.Errorf("kept %q, %v", kept, err)
		}
		if again, err := Apply(t.Context(), f.m, f.s, f.options(t, root), yes); err != nil || again != nil {
			t.Errorf("second import: %+v, %v", again, err)
		}
		return
	}
}

// assertBeside compares a root after the import with what it was before.
func assertBeside(t *testing.T, root string, before map[string]hosttest.Node) {
	t.Helper()
	at := func(name string) string { return filepath.Join(root, "opt/xcat", name) }
	for name, want := range map[string]string{
		"big.snapshot": strings.Repeat("b", 4096) + "small", "own/plugin.pm.snapshot": "1;", "share/tmpl.snapshot": "changed",
	} {
		if b, err := os.ReadFile(at(name)); err != nil || string(b) != want {
			t.Errorf("%s: %.80q, %v", name, b, err)
		}
	}
	if to, err := os.Readlink(at("own/link.snapshot")); err != nil || to != "plugin.pm" {
		t.Errorf("symlink to %q, %v", to, err)
	}
	var a, b unix.Stat_t
	check(t, unix.Stat(at("own/plugin.pm.snapshot"), &a))
	check(t, unix.Stat(at("own/z-hard.snapshot"), &b))
	if a.Ino != b.Ino || a.Nlink != 2 {
		t.Errorf("hard link: %+v, %+v", a, b)
	}
	check(t, unix.Stat(at("own"), &a))
	check(t, unix.Stat(at("share"), &b))
	if a.Mode&0o7777 != 0o750 || a.Mtim.Nsec != 9 || b.Mode&0o7777 != 0o711 {
		t.Errorf("directories: mode %o, mtime %d; mode %o", a.Mode, a.Mtim.Nsec, b.Mode)
	}
	own := func(all map[string]hosttest.Node) map[string]hosttest.Node {
		all = maps.Clone(all)
		maps.DeleteFunc(all, func(p string, n hosttest.Node) bool {
			return n.Type == "dir" || strings.HasSuffix(p, BesideSuffix)
		})
		return all
	}
	diff(t, "the host's own", own(before), own(treeOf(t, root)))
}
