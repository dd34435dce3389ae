package restore

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/hosttest"
	"github.com/xcrate/xcrate/internal/pkgmgr"
	"github.com/xcrate/xcrate/internal/service"
	"github.com/xcrate/xcrate/internal/stack"
)

var update = flag.Bool("update", false, "write the golden plans in testdata/plans, and the lists of docs/restore.md, anew")

// TestGoldenPlans: the same host and snapshot make the same plan, on every distro.
func TestGoldenPlans(t *testing.T) {
	for _, d := range hosttest.Distros() {
		t.Run(d.Name, func(t *testing.T) {
			f, root := distroFixture(t, d), filepath.Join(t.TempDir(), "host")
			check(t, hosttest.DistroHost(root, d))
			got := golden(t, f.plan(t, root, d))
			file := filepath.Join("../testdata/plans", d.Name+".json")
			if *update {
				check(t, os.MkdirAll(filepath.Dir(file), 0o755))
				check(t, os.WriteFile(file, got, 0o644))
			}
			want, err := os.ReadFile(file)
			check(t, err)
			if !bytes.Equal(want, got) {
				t.Errorf("another plan than %s has (-update writes it anew):\n%s", file, lineDiff(string(want), string(got)))
			}
		})
	}
}

// TestHostDigest: the same host has the same digest, one with another file, package
// or account has not, and the plan of before says what it is.
func TestHostDigest(t *testing.T) {
	d := hosttest.Distros()[1]
	f := distroFixture(t, d)
	for name, tt := range map[string]struct {
		change func(t *testing.T, root string)
		says   string
	}{
		"nothing":      {func(*testing.T, string) {}, ""},
		"a file":       {func(t *testing.T, root string) { rewrite(t, root, "etc/hosts") }, "plan: file /etc/hosts: changed since"},
		"a new file":   {func(t *testing.T, root string) { putFile(t, root, d.DHCPConf, "mine") }, "plan: file /" + d.DHCPConf + ": changed since"},
		"another file": {func(t *testing.T, root string) { putFile(t, root, "etc/motd", "hello") }, ""},
		"a stray key":  {func(t *testing.T, root string) { putFile(t, root, "etc/xcat/ca/stray", "x") }, "plan: file /etc/xcat/ca/stray: changed since"},
		"an account":   {func(t *testing.T, root string) { putFile(t, root, "etc/group", "root:x:0:\nconserver:x:77:\n") }, "plan: group conserver: changed since"},
		"a service":    {func(t *testing.T, root string) { putFile(t, root, "usr/lib/systemd/system/xcatd.service", "") }, "plan: service xcatd.service: changed since"},
		"the distro": {func(t *testing.T, root string) {
			putFile(t, root, "usr/lib/os-release", "ID=almalinux\nVERSION_ID=9.7\n")
		}, "plan: distro: changed since"},
		"the databases": {func(t *testing.T, root string) { copyTables(t, filepath.Join(root, "etc/xcat"), "rack") }, "plan: table rack: changed since"},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "host")
			check(t, hosttest.DistroHost(root, d))
			before := f.plan(t, root, d)
			b, err := before.Encode()
			check(t, err)
			if bytes.Contains(b, []byte(hosttest.Canary)) {
				t.Errorf("a secret in the plan:\n%s", b)
			}
			stored, err := DecodePlan(b)
			check(t, err)
			tt.change(t, root)
			now := f.plan(t, root, d)
			if (before.Host == now.Host) != (tt.says == "") {
				t.Errorf("digests %s and %s", before.Host, now.Host)
			}
			err = stored.Differs(now)
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error()+"\n", tt.says+"\n")) {
				t.Errorf("it says %v, want %q", err, tt.says)
			}
		})
	}
}

func putFile(t *testing.T, root, p, content string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Join(root, filepath.Dir(p)), 0o755))
	check(t, os.WriteFile(filepath.Join(root, p), []byte(content), 0o644))
}

// rewrite writes a file again, with the same content and times.
func rewrite(t *testing.T, root, p string) {
	t.Helper()
	st, err := os.Stat(filepath.Join(root, p))
	check(t, err)
	b, err := os.ReadFile(filepath.Join(root, p))
	check(t, err)
	time.Sleep(20 * time.Millisecond) // the clock of change times ticks in milliseconds
	putFile(t, root, p, string(b))
	check(t, os.Chtimes(filepath.Join(root, p), st.ModTime(), st.ModTime()))
}

// listed is a package manager that can be asked and does nothing.
type listed struct {
	scripted
	name   string
	format pkgmgr.Format
	have   []artifact.Package
}

func (l *listed) Name() string          { return l.name }
func (l *listed) Format() pkgmgr.Format { return l.format }

func (l *listed) Installed(context.Context) ([]artifact.Package, error) { return l.have, nil }

// plan plans an import of f onto root, a host of distro d.
func (f fixture) plan(t *testing.T, root string, d hosttest.Distro) *Plan {
	t.Helper()
	o := f.options(t, root)
	m := &listed{scripted: scripted{t: t, root: o.Root}, name: "dnf", format: pkgmgr.RPM, have: []artifact.Package{{Name: "base", Version: "1", Release: "1", Arch: "noarch"}}}
	switch d.Like {
	case "debian":
		m.name, m.format = "apt", pkgmgr.Deb
	case "suse":
		m.name = "zypper"
	}
	o.detect = func(context.Context, *host.Root, host.Runner) (pkgmgr.Manager, error) { return m, nil }
	p, err := NewPlan(t.Context(), f.m, f.s, o)
	check(t, err)
	return p
}

// distroFixture is a snapshot of a small management node on distro d.
func distroFixture(t *testing.T, d hosttest.Distro) fixture {
	t.Helper()
	mn, m := filepath.Join(t.TempDir(), "mn"), memory{}
	needRoot(t)
	check(t, hosttest.DistroMN(mn, d))
	root, err := host.OpenRoot(mn)
	check(t, err)
	defer func() { check(t, root.Close()) }()
	facts, err := host.ReadFacts(root)
	check(t, err)
	services, err := service.States(t.Context(), root, host.Exec{}, roles(stack.XCAT().Services))
	check(t, err)
	suffix, packageFile := "rpm", "Packages/xCAT.rpm"
	if d.Like == "debian" {
		suffix, packageFile = "deb", "Packages/xcat.deb"
	}
	config := artifact.Config{
		Format: 1, Created: time.Unix(1.6e9, 0), Host: facts, Stack: artifact.Stack{Name: "xcat", Version: "2.17.0"}, Services: services,
		IdentityTrees: []string{"/etc/xcat/ca"},
		Accounts: []artifact.Account{
			{Type: "group", Name: "conserver", ID: 998},
			{Type: "group", Name: d.WebUser, ID: d.WebID},
			{Type: "user", Name: "conserver", ID: 998, Group: "conserver", Home: "/home/conserver", Shell: "/bin/bash"},
		},
		Packages: []artifact.Package{
			{Name: "xCAT", Version: "2.17.0", Release: "snap1", Arch: "noarch", File: packageFile, Install: true},
			{Name: "base", Version: "1", Release: "1", Arch: "noarch", File: "Packages/base." + suffix, Install: true},
		},
		DistroPackages: []artifact.Package{{Name: "bind", Version: "9"}},
		LeftOut:        []artifact.LeftOut{{Path: "/install/os", What: "distro media", Reason: "large", Restore: "copycds -o -n os ISO"}},
	}
	trees := captured(t, root)
	trees[artifact.KindPackages] = []file{dir("Packages", 0o755), reg(packageFile, "package", 0o644), dir("repodata", 0o755), reg("repodata/repomd.xml", "metadata", 0o644)}
	var layers []ocispec.Descriptor
	var all []artifact.Entry
	for _, k := range artifact.Kinds() {
		if len(trees[k]) == 0 {
			continue
		}
		entries, desc := layer(t, m, k, trees[k])
		all, layers = append(all, entries...), append(layers, desc)
		config.Kinds = append(config.Kinds, sum(k, entries))
	}
	entries, desc := databaseLayer(t, m, copyTables(t, t.TempDir(), "site", "nodelist"), &config)
	config.Kinds = append(config.Kinds, sum(artifact.KindDatabase, entries))
	return fixture{m, pack(t, m, config, append(layers, desc), append(all, entries...))}
}

// captured reads the trees of a management node, as small as they are here.
func captured(t *testing.T, root *host.Root) map[artifact.Kind][]file {
	t.Helper()
	accounts, err := host.ReadAccounts(root)
	check(t, err)
	all := map[artifact.Kind][]file{}
	check(t, fs.WalkDir(os.DirFS(root.Dir()), ".", func(p string, _ fs.DirEntry, err error) error {
		k := kindOf(p)
		if err != nil || k == "" {
			return err
		}
		d, name, err := root.OpenParent("/" + p)
		check(t, err)
		defer func() { check(t, d.Close()) }()
		e, _, err := archive.Stat(d, name, p, accounts)
		check(t, err)
		content := []byte{}
		if e.Type == artifact.TypeFile {
			content, err = os.ReadFile(root.Path(p))
			check(t, err)
		}
		all[k] = append(all[k], file{e, string(content)})
		return nil
	}))
	return all
}

func kindOf(p string) artifact.Kind {
	is := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(s string) bool { return strings.HasPrefix(p, s) })
	}
	switch {
	case is("etc/xcat/", "home/conserver"):
		return artifact.KindSecrets
	case is("etc/hosts", "etc/xCATMN", "etc/named", "etc/bind/", "etc/dhcp", "etc/kea/", "etc/httpd/", "etc/apache2/") && p != "etc/hostname":
		return artifact.KindConfig
	case is("install"):
		return artifact.KindInstall
	case is("tftpboot"):
		return artifact.KindTFTPBoot
	}
	return ""
}

// golden is a plan as the golden files have it: a line for each element, and
// without what is another in every run: the digests of blobs and of the host, its
// place, what is free there.
func golden(t *testing.T, p *Plan) []byte {
	t.Helper()
	c := *p
	if c.Host.Validate() != nil || c.Snapshot.Validate() != nil {
		t.Errorf("digests %q, %q", c.Host, c.Snapshot)
	}
	c.Snapshot, c.Host, c.Root = digest.FromString("snapshot"), digest.FromString("host"), "ROOT"
	c.Space = slices.Clone(c.Space)
	for i := range c.Space {
		c.Space[i].Mount, c.Space[i].Free = "MOUNT", 0
	}
	var b bytes.Buffer
	b.WriteString("{\n")
	v := reflect.ValueOf(c)
	sep := ""
	for i := range v.NumField() {
		name, omit, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if name == "" || omit == "omitempty" && v.Field(i).IsZero() {
			continue
		}
		fmt.Fprintf(&b, "%s%q: ", sep, name)
		writeLines(t, &b, v.Field(i))
		sep = ",\n"
	}
	b.WriteString("\n}\n")
	if !json.Valid(b.Bytes()) {
		t.Errorf("no JSON:\n%s", b.String())
	}
	return b.Bytes()
}

// writeLines writes v as JSON, a list with a line for each element.
func writeLines(t *testing.T, w io.Writer, v reflect.Value) {
	t.Helper()
	if v.Kind() != reflect.Slice || v.Len() == 0 {
		writeJSONTo(t, w, v.Interface())
		return
	}
	for i := range v.Len() {
		_, _ = fmt.Fprintf(w, "%s\n  ", map[bool]string{true: "[", false: ","}[i == 0])
		writeJSONTo(t, w, v.Index(i).Interface())
	}
	_, _ = io.WriteString(w, "\n]")
}

func writeJSONTo(t *testing.T, w io.Writer, v any) {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	check(t, enc.Encode(v))
	_, _ = w.Write(bytes.TrimSpace(b.Bytes()))
}

// lineDiff lists the lines that only one of two texts has.
func lineDiff(want, got string) string {
	var out []string
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, line := range a {
		if !slices.Contains(b, line) {
			out = append(out, "- "+line)
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			out = append(out, "+ "+line)
		}
	}
	return strings.Join(out, "\n")
}
