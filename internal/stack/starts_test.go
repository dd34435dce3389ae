package stack

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestStartsReachEveryRule walks from the starts as an export does and checks
// that nothing is reached twice and that every rule is reached or lies below
// one that leaves out.
func TestStartsReachEveryRule(t *testing.T) {
	for name, tables := range map[string]Tables{
		"default": nil,
		"nested":  siteTable("installdir", "/install", "tftpdir", "/install/tftpboot", "iscsidir", "/install/lun"),
		"odd":     siteTable("installdir", "/data/[in]*", "binddir", "/etc/named"),
	} {
		t.Run(name, func(t *testing.T) {
			b := bind(t, XCAT(), tables)
			starts := b.Starts()
			if !slices.IsSorted(starts) {
				t.Errorf("not sorted: %q", starts)
			}
			for _, r := range b.rules {
				over, own := b.above(r.path), pathOf(r.path)
				isStart := slices.Contains(starts, own)
				switch {
				case over == nil && !isStart:
					t.Errorf("%s: under no rule and no start", own)
				case over != nil && over.Take != "" && isStart:
					t.Errorf("%s: a start, though %s takes what lies above", own, over.Path)
				case over != nil && over.Take == "" && r.rule.Take != "" && !isStart:
					t.Errorf("%s: taken, below %s which leaves out, and no start", own, over.Path)
				}
			}
		})
	}
}

func TestStartsOfXCAT(t *testing.T) {
	starts := bind(t, XCAT(), nil).Starts()
	for _, want := range []string{
		"/etc/xcat", "/install", "/tftpboot", "/root/.xcat", "/root/.ssh", "/home/ann/.xcat", "/home/conserver/.xcat",
		"/etc/xCATMN", "/etc/resolv.conf", "/opt/xcat", "/etc/httpd", "/etc/httpd/conf.d", "/tmp/xcat*",
	} {
		if !slices.Contains(starts, want) {
			t.Errorf("%s: no start", want)
		}
	}
	for _, not := range []string{"/etc/xcat/ca", "/etc/xcat/*.sqlite*", "/install/autoinst", "/tftpboot/xcat/osimage"} {
		if slices.Contains(starts, not) {
			t.Errorf("%s: a start", not)
		}
	}
}

func TestGlobOnRealTree(t *testing.T) {
	top := t.TempDir()
	for _, p := range []string{
		"etc/dhcpd.conf", "etc/dhcpd.conf.xcatbak", "etc/dhcp/x", "install/post/otherpkgs/rocky9.6/x86_64/xcat/xcat-core/a",
		"install/post/otherpkgs/rocky9.6/ppc64le/other/a", "install/post/otherpkgs/readme", "odd/[x]*/a", "odd/xy/a",
	} {
		full := filepath.Join(top, p)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	names := func(dir string) ([]string, error) {
		all, err := os.ReadDir(filepath.Join(top, dir))
		var set []string
		for _, e := range all {
			set = append(set, e.Name())
		}
		return set, err
	}
	b := bind(t, XCAT(), siteTable("installdir", "/odd/[x]*"))
	for pattern, want := range map[string]string{
		"/etc/dhcpd.conf*":   "/etc/dhcpd.conf /etc/dhcpd.conf.xcatbak",
		"/etc/none":          "/etc/none",
		"/none/*/x":          "",
		"/etc/dhcpd.conf/*":  "",
		`/odd/\[x]\*`:        "/odd/[x]*",
		`/odd/\[x]\*/*`:      "/odd/[x]*/a",
		"/odd/*/a":           "/odd/[x]*/a /odd/xy/a",
		"/":                  "/",
		"/etc/../etc/dhcp/x": "/etc/dhcp/x",
		"/install/post/otherpkgs/*/*/xcat/xcat-core": "/install/post/otherpkgs/rocky9.6/ppc64le/xcat/xcat-core /install/post/otherpkgs/rocky9.6/x86_64/xcat/xcat-core",
	} {
		got, err := b.Glob(pattern, names)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v, want %q", pattern, got, err, want)
		}
	}
	if dirs := b.PackageDirs(); !slices.Contains(dirs, `/odd/\[x]\*/xcat/*`) || len(dirs) != 6 {
		t.Errorf("package dirs: %q", dirs)
	}
	broken := errors.New("input/output error")
	if _, err := b.Glob("/etc/*", func(string) ([]string, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("unreadable directory: error %v", err)
	}
	if _, err := b.Glob("/etc/[", names); !errors.Is(err, path.ErrBadPattern) {
		t.Errorf("bad pattern: error %v", err)
	}
	if _, err := b.Glob("/etc/*", func(string) ([]string, error) { return nil, fs.ErrNotExist }); err != nil {
		t.Errorf("missing directory: error %v", err)
	}
}
