package restore

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/pkgmgr"
)

// Keys of ssh, by whom they let in.
const (
	adminKey   = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbzQyYYKXP5Yn6xxAZ9xFDCH2mUt2ToGa7p9lyPuvVm"
	clusterKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBtGjb8rTEu7nJpTpkXNxBcVC0R3uE4TkZqPUcYnlmzI"
)

// sharedFiles are those of a snapshot that a host has as well, and one that is
// another in a newer snapshot.
func sharedFiles(conf string) map[artifact.Kind][]file {
	return map[artifact.Kind][]file{
		artifact.KindSecrets: {
			dir("etc/xcat/ca", 0o755), reg("etc/xcat/ca/key", "of "+conf, 0o600), dir("root/.ssh", 0o700),
			reg("root/.ssh/authorized_keys", clusterKey+" root@mn\n", 0o644), reg("root/.ssh/id_rsa", "key", 0o600), reg("root/.ssh/known_hosts", "cn1 "+clusterKey+"\n", 0o644),
		},
		artifact.KindConfig: {
			reg("etc/exports", "/install *(rw)\n", 0o644), reg("etc/hosts", "10.0.0.1 mn.cluster mn\n10.0.1.1 cn1\n", 0o600),
			reg("etc/logrotate.d/xcat", "rotate "+conf, 0o644), dir("etc/svc", 0o755), reg("etc/svc/conf", conf, 0o600), reg("etc/svc/touched", "same", 0o600),
		},
		artifact.KindInstall: {dir("install", 0o755), reg("install/conf", conf, 0o644)},
	}
}

// filesFixture is a snapshot of these trees and no database.
func filesFixture(t *testing.T, trees map[artifact.Kind][]file, accounts ...artifact.Account) fixture {
	t.Helper()
	needRoot(t)
	m := memory{}
	config := artifact.Config{
		Format: 1, Created: time.Unix(1e9, 0), Stack: artifact.Stack{Name: "xcat"}, IdentityTrees: []string{"/etc/xcat/ca"}, Accounts: accounts,
		Host: artifact.Host{Name: "mn", Arch: hostArch(t), Distro: artifact.Distro{ID: "rocky", Version: "9.6"}},
	}
	var layers []ocispec.Descriptor
	var all []artifact.Entry
	for _, k := range artifact.Kinds() {
		if len(trees[k]) == 0 {
			continue
		}
		entries, desc := layer(t, m, k, trees[k])
		all, layers, config.Kinds = append(all, entries...), append(layers, desc), append(config.Kinds, sum(k, entries))
	}
	return fixture{m, pack(t, m, config, layers, all)}
}

// sharedRoot is a host with files of its own in the places of sharedFiles.
func sharedRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"etc/os-release": "ID=rocky\nVERSION_ID=9.6\n", "etc/hostname": "mn\n", "etc/passwd": "root:x:0:0::/root:/bin/sh\n", "etc/group": "root:x:0:\n",
		"etc/hosts": "127.0.0.1 localhost\n127.0.1.1 mn\n10.5.0.1 printer\n", "etc/exports": "/home 10.0.0.0/8(rw)\n", "etc/logrotate.d/xcat": "admin's",
		"etc/svc/conf": "admin's", "etc/svc/touched": "same", "etc/xcat/ca/key": "of packages", "install/conf": "admin's",
		"root/.ssh/authorized_keys": adminKey + " admin@desk", "root/.ssh/known_hosts": "cn1 " + adminKey + "\nother " + adminKey + "\n",
	} {
		p := filepath.Join(root, name)
		check(t, os.MkdirAll(filepath.Dir(p), 0o755))
		check(t, os.WriteFile(p, []byte(content), 0o640))
		check(t, os.Chtimes(p, time.Unix(9e8, 0), time.Unix(9e8, 0)))
	}
	check(t, os.Chown(filepath.Join(root, "etc/svc/conf"), 7, 8))
	check(t, os.Chmod(filepath.Join(root, "root/.ssh/authorized_keys"), 0o600))
	return root
}

// mergedFiles are those of sharedRoot after sharedFiles came.
func mergedFiles() map[string]string {
	return map[string]string{
		"etc/hosts":                 "127.0.0.1 localhost\n10.0.0.1 mn.cluster mn\n10.0.1.1 cn1\n10.5.0.1 printer\n",
		"etc/exports":               "/home 10.0.0.0/8(rw)\n/install *(rw)\n",
		"root/.ssh/authorized_keys": adminKey + " admin@desk\n" + clusterKey + " root@mn\n",
		"root/.ssh/known_hosts":     "other " + adminKey + "\ncn1 " + clusterKey + "\n",
	}
}

func assertFiles(t *testing.T, root string, want map[string]string) {
	t.Helper()
	for p, content := range want {
		if b, err := os.ReadFile(filepath.Join(root, p)); err != nil || string(b) != content {
			t.Errorf("%s holds %q, want %q, %v", p, b, content, err)
		}
	}
}

// TestMerges imports onto a host with files of its own, and again.
func TestMerges(t *testing.T) {
	f, root := filesFixture(t, sharedFiles("first")), sharedRoot(t)
	o := f.options(t, root)
	plan, err := NewPlan(t.Context(), f.m, f.s, o)
	check(t, err)
	b, err := json.Marshal(plan.Merges)
	check(t, err)
	for _, want := range []string{
		`{"path":"/etc/hosts","how":"hosts","notes":["mn does not lead to 127.0.1.1 any more","2 lines of the snapshot added","names of this host kept: printer"]}`,
		`{"path":"/etc/exports","how":"exports","notes":["added: /install","of this host, kept: /home"]}`, `["1 key of the snapshot added"]`,
		`hosts that had another key here, and get that of the snapshot: cn1`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
	if len(plan.Merges) != 4 || strings.Contains(string(b), "AAAA") {
		t.Errorf("merges %s", b)
	}
	var states []string
	check(t, plan.Changes(t.Context(), func(c Change) error { states = append(states, c.State+" "+c.Path); return nil }))
	if all := strings.Join(states, "\n"); !strings.Contains(all, "merged /etc/hosts\n") || strings.Contains(all, "changed /root/.ssh/known_hosts") {
		t.Errorf("changes %s", all)
	}
	_, err = Apply(t.Context(), f.m, f.s, o, yes)
	check(t, err)
	assertFiles(t, root, mergedFiles())
	for p, mode := range map[string]uint32{"etc/hosts": 0o640, "root/.ssh/authorized_keys": 0o600} {
		var st unix.Stat_t
		check(t, unix.Stat(filepath.Join(root, p), &st))
		if st.Mode&0o7777 != mode || st.Mtim.Sec != o.Now.Unix() {
			t.Errorf("%s: mode %o, time %d", p, st.Mode&0o7777, st.Mtim.Sec)
		}
	}
	before := treeOf(t, root)
	again, err := Apply(t.Context(), f.m, f.s, o, func(p *Plan) (bool, error) {
		if !p.Empty() || len(p.Merges) > 0 || p.Files[1].Same < 4 {
			t.Errorf("second plan %+v, %+v", p.Merges, p.Files)
		}
		return true, nil
	})
	if err != nil || again != nil {
		t.Errorf("second import: %+v, %v", again, err)
	}
	diff(t, "second import", before, treeOf(t, root))
	// What is not there comes as it was on the source.
	check(t, os.Remove(filepath.Join(root, "etc/hosts")))
	_, err = Apply(t.Context(), f.m, f.s, o, yes)
	check(t, err)
	assertFiles(t, root, map[string]string{"etc/hosts": "10.0.0.1 mn.cluster mn\n10.0.1.1 cn1\n"})
}

// TestEveryMergeFails is TestEveryStepFails for files that are merged, or kept
// beside.
func TestEveryMergeFails(t *testing.T) {
	trees := sharedFiles("first")
	delete(trees, artifact.KindInstall) // nothing new for other tests
	trees[artifact.KindSecrets] = trees[artifact.KindSecrets][2:]
	f := filesFixture(t, trees)
	f.everyStep(t, 20, sharedRoot, func(root string) Options { return f.options(t, root) })
}

// TestMergesStandby leaves alone who may log in.
func TestMergesStandby(t *testing.T) {
	f, root := filesFixture(t, sharedFiles("first")), sharedRoot(t)
	o := f.options(t, root)
	o.Standby = true
	_, err := Apply(t.Context(), f.m, f.s, o, yes)
	check(t, err)
	want := mergedFiles()
	want["root/.ssh/authorized_keys"] = adminKey + " admin@desk"
	assertFiles(t, root, want)
	check(t, os.Remove(filepath.Join(root, "root/.ssh/authorized_keys")))
	_, err = Apply(t.Context(), f.m, f.s, o, yes) // the directory gets its time back
	check(t, err)
	if _, err := os.Lstat(filepath.Join(root, "root/.ssh/authorized_keys")); err == nil {
		t.Error("a file that the standby did not have came with the import")
	}
	if again, err := Apply(t.Context(), f.m, f.s, o, yes); err != nil || again != nil {
		t.Errorf("another import: %+v, %v", again, err)
	}
}

// appending is a package manager whose scripts add lines of their own.
type appending struct{ *scripted }

func (a appending) Install(ctx context.Context, repo pkgmgr.Repo, want pkgmgr.Request, log io.Writer) error {
	if err := a.scripted.Install(ctx, repo, want, log); err != nil {
		return err
	}
	for p, line := range map[string]string{"/etc/exports": "/tftpboot *(rw)\n", "/root/.ssh/authorized_keys": adminKey + "\n", "/root/.ssh/known_hosts": "new " + adminKey + "\n"} {
		check(a.t, os.MkdirAll(filepath.Dir(a.root.Path(p)), 0o700))
		f, err := os.OpenFile(a.root.Path(p), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		check(a.t, err)
		_, err = f.WriteString(line)
		check(a.t, err)
		check(a.t, f.Close())
	}
	return nil
}

// TestMergesAfterPackages has scripts add to a file that was to be merged, to one
// that was as in the snapshot, and make one that was to come as it is. What they add
// does not stay.
func TestMergesAfterPackages(t *testing.T) {
	trees := sharedFiles("first")
	trees[artifact.KindPackages] = []file{dir("Packages", 0o755), reg("Packages/a.rpm", "the package", 0o644), dir("repodata", 0o755), reg("repodata/repomd.xml", "metadata", 0o644)}
	f, root := filesFixture(t, trees), sharedRoot(t)
	f.s.Config.Packages = []artifact.Package{{Name: "a", Version: "1", Release: "1", Arch: "noarch", File: "Packages/a.rpm", Install: true}}
	check(t, os.Remove(filepath.Join(root, "root/.ssh/authorized_keys")))
	known := filepath.Join(root, "root/.ssh/known_hosts") // just as in the snapshot
	check(t, os.WriteFile(known, []byte("cn1 "+clusterKey+"\n"), 0o600))
	check(t, os.Chmod(known, 0o644))
	check(t, unix.UtimesNanoAt(unix.AT_FDCWD, known, []unix.Timespec{{Sec: 1e9}, {Sec: 1e9, Nsec: 7}}, 0))
	for p, content := range map[string]string{packageDB: "base", "etc/selinux/config": "on", "etc/repos/own.repo": "", "etc/svc/mine": "", "opt/x": "", "var/tmp/x": ""} {
		check(t, os.MkdirAll(filepath.Join(root, filepath.Dir(p)), 0o755))
		check(t, os.WriteFile(filepath.Join(root, p), []byte(content), 0o644))
	}
	o, m := f.scripted(t, root)
	o.detect = func(context.Context, *host.Root, host.Runner) (pkgmgr.Manager, error) { return appending{m}, nil }
	secrets := f.s.Layers(artifact.KindSecrets)[0].Digest
	o.fault = func() error { // once the packages are there, the medium is not
		if b, err := os.ReadFile(filepath.Join(root, packageDB)); err == nil && string(b) != "base" {
			f.m[secrets] = nil
		}
		return nil
	}
	blob := f.m[secrets]
	result, err := Apply(t.Context(), f.m, f.s, o, yes)
	check(t, err)
	f.m[secrets] = blob
	assertFiles(t, root, map[string]string{
		"etc/exports":                "/home 10.0.0.0/8(rw)\n/install *(rw)\n",
		"root/.ssh/authorized_keys":  clusterKey + " root@mn\n",
		"root/.ssh/known_hosts":      "cn1 " + clusterKey + "\n",
		"etc/svc/conf.before-xcrate": "admin's",
	})
	if len(result.Plan.Merges) != 2 { // known_hosts is equal once merged, hosts was removed by a script
		t.Errorf("merges %+v", result.Plan.Merges)
	}
	left, err := filepath.Glob(filepath.Join(result.Kept, "new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left of what was staged: %q, %v", left, err)
	}
	if again, err := Apply(t.Context(), f.m, f.s, o, yes); err != nil || again != nil {
		t.Errorf("second import: %+v, %v", again, err)
	}
}
