package restore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/host"
)

// restorecon writes down how it is called.
type restorecon struct {
	host.Exec
	calls []host.Command
	fail  error
}

func (r *restorecon) Run(_ context.Context, c host.Command) ([]byte, error) {
	r.calls = append(r.calls, c)
	return nil, r.fail
}

// TestRelabel has hosts with SELinux and without.
func TestRelabel(t *testing.T) {
	dir := t.TempDir()
	check(t, os.MkdirAll(filepath.Join(dir, "sys/fs/selinux"), 0o755))
	check(t, os.MkdirAll(filepath.Join(dir, "data/install"), 0o755))
	check(t, os.MkdirAll(filepath.Join(dir, "sbin"), 0o755))
	check(t, os.Symlink("/data/install", filepath.Join(dir, "install")))
	root, err := host.OpenRoot(dir)
	check(t, err)
	defer func() { _ = root.Close() }()
	paths := []string{"/etc/xcat", "/install", "/not/there"}

	var r restorecon
	if err := relabel(t.Context(), root, &r, paths); err != nil || len(r.calls) > 0 {
		t.Errorf("without SELinux: %v, %v", r.calls, err)
	}
	check(t, os.WriteFile(filepath.Join(dir, "sys/fs/selinux/enforce"), []byte("0"), 0o644))
	err = relabel(t.Context(), root, &r, paths)
	if err == nil || len(r.calls) > 0 || !strings.HasSuffix(err.Error(), "run: restorecon -R -i /etc/xcat /install /not/there") {
		t.Errorf("without restorecon: %v, %v", r.calls, err)
	}
	check(t, os.WriteFile(filepath.Join(dir, "sbin/restorecon"), []byte("#!/bin/sh\n"), 0o755))
	check(t, relabel(t.Context(), root, &r, paths))
	want := "restorecon -R -i /data/install /etc/xcat /install /not/there"
	if len(r.calls) != 1 || r.calls[0].String() != want || r.calls[0].Chroot != root.Dir() {
		t.Errorf("called %v, want %q", r.calls, want)
	}

	r.calls = nil
	var many []string
	for i := range 3000 {
		many = append(many, fmt.Sprintf("/srv/%s/%04d", strings.Repeat("x", 50), i))
	}
	check(t, relabel(t.Context(), root, &r, many))
	var seen []string
	for _, c := range r.calls {
		if n := len(strings.Join(c.Args, " ")); n > maxLabelArgs+10 {
			t.Errorf("%d bytes of arguments", n)
		}
		seen = append(seen, c.Args[2:]...)
	}
	if !slices.Equal(seen, many) || len(r.calls) != 3 {
		t.Errorf("%d calls with %d paths", len(r.calls), len(seen))
	}
	r = restorecon{fail: context.DeadlineExceeded}
	if err := relabel(t.Context(), root, &r, many); err == nil || len(r.calls) != 1 || !strings.Contains(err.Error(), "labels of SELinux: ") {
		t.Errorf("failing: %d calls, %v", len(r.calls), err)
	}
}

func TestTouchedTops(t *testing.T) {
	got := touchedTops(slices.Values([]string{
		"/etc/xcat/ca/private/key", "etc/xcat/cfgloc", "/etc/hosts", "/install/postscripts/a", "/install", "/tftpboot/xcat/a",
		"/root/.ssh/id_rsa", "/root/.ssh", "/var/lib/dhcpd/dhcpd.leases", "/var/named/db.a", "/var/log/xcat/x", "/home/ann/.xcat/ca.pem",
		"/opt/xcat/share/a", "/", "/var", "/var/lib", "/home/ann", "/etc", "/usr/sbin/xcatd", "/usr/lib", "/usr/share/a/b/c",
	}))
	want := []string{
		"/etc/hosts", "/etc/xcat", "/home/ann/.xcat", "/install", "/opt/xcat", "/root/.ssh", "/tftpboot",
		"/usr/sbin/xcatd", "/usr/share/a/b", "/var/lib/dhcpd", "/var/log/xcat", "/var/named/db.a",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	many := func(yield func(string) bool) {
		for i := range 10 * maxTops {
			if !yield(fmt.Sprintf("/etc/%d", i)) || i < 9 && !yield(fmt.Sprintf("/%d/a", i)) {
				return
			}
		}
	}
	if got := touchedTops(many); len(got) != 10 || !slices.Contains(got, "/etc") {
		t.Errorf("%q", got)
	}
	if got := touchedTops(slices.Values([]string{"/", ""})); len(got) > 0 {
		t.Errorf("%q", got)
	}
}
