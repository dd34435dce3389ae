package stack

import (
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestCheckMarkers(t *testing.T) {
	for _, c := range []struct {
		name, exists, part string
	}{
		{"management-node", "/etc/xCATMN", ""},
		{"neither", "/etc/os-release", "/etc/xCATMN does not exist"},
		{"service-node", "/etc/xCATSN", "service node"},
		{"both", "/etc/xCATMN /etc/xCATSN", "service node"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := XCAT().CheckMarkers(func(p string) bool { return slices.Contains(strings.Fields(c.exists), p) })
			switch {
			case c.part == "" && err != nil:
				t.Errorf("error %v", err)
			case c.part != "" && (!errors.Is(err, ErrNotMN) || !strings.Contains(err.Error(), c.part)):
				t.Errorf("error %v, want %q and ErrNotMN", err, c.part)
			}
		})
	}
}

// TestVersion holds the lines that perl-xCAT/modifyUtils makes of the stub in
// xcat-core, and those of earlier releases.
func TestVersion(t *testing.T) {
	const head = "package xCAT::Version;\nsub Version\n{\n    my $version = shift;\n    if ($version eq 'short')\n    {\n"
	for _, c := range []struct{ name, text, want string }{
		{"built", head + "        $version = ''    . '2.17.0' ;\n    }\n    else\n    {\n        $version = 'Version '    . '2.17.0' . ' (git commit abc123)' ;\n    }\n", "2.17.0"},
		{"long-form-only", "        $version = 'Version '    . '2.16.5' . ' (git commit abc, built Tue Mar  7 2023)' ;\n", "2.16.5"},
		{"snapshot", "    $version = '' . '2.19.0-snap202608210000' ;\n", "2.19.0-snap202608210000"},
		{"one-literal", "    $version = 'Version 2.8.4 (git commit f, built x)';\n", "2.8.4"},
		{"stub", head + "        $version = ''    #XCATVERSIONSUBHERE ;\n    }\n    else {\n        $version = 'Version '    #XCATVERSIONSUBHERE #XCATSVNBUILDSUBHERE ;\n    }\n", ""},
		{"empty", "", ""},
		{"other-literal", "    if ($version eq '2.17') {}\n    my $version = '1.0';\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Version([]byte(c.text)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestInstalls(t *testing.T) {
	p := XCAT().Packages
	for _, name := range strings.Fields(`xCAT perl-xCAT xCAT-client xCAT-server xCAT-probe xCAT-buildkit
		xCAT-genesis-scripts-x86_64 xCAT-genesis-base-ppc64 xCAT-openbmc-py goconserver grub2-xcat xnba-undi syslinux-xcat
		ipmitool-xcat elilo-xcat esxboot-xcat perl-IO-Stty perl-HTTP-Async perl-Net-HTTPS-NB perl-Crypt-CBC
		xcat perl-xcat xcat-client xcat-server xcat-probe xcat-buildkit xcat-genesis-scripts-amd64 xcat-genesis-base-amd64`) {
		if !p.Installs(name) {
			t.Errorf("%s: not installed", name)
		}
	}
	for _, name := range strings.Fields(`xCATsn xcatsn xCAT-test xcat-test xCAT-vlan xCAT-confluent xCAT-UI xCAT-release
		xCAT-genesis-builder xCAT-OpenStack conserver-xcat xCAT-server-debuginfo goconserver-debuginfo bash perl-DBI
		perl-Crypt-CBC-debuginfo`) {
		if p.Installs(name) {
			t.Errorf("%s: installed", name)
		}
	}
}

// TestRowsSayWhatTheyMean holds what reports rely on.
func TestRowsSayWhatTheyMean(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range XCAT().Rules {
		switch {
		case r.What == "" || r.Ref == "":
			t.Errorf("%s: no What or Ref", r.Path)
		case r.Take == "" && r.Reason == "":
			t.Errorf("%s: left out without a reason", r.Path)
		case r.Take == "" && r.Mirror:
			t.Errorf("%s: mirror of what is left out", r.Path)
		case r.Take != "" && (!r.Take.IsTree() || r.Reason != "" || r.Restore != ""):
			t.Errorf("%s: taken into %q with reason %q", r.Path, r.Take, r.Reason)
		case seen[r.Path]:
			t.Errorf("%s: two rows", r.Path)
		}
		seen[r.Path] = true
	}
	for _, s := range XCAT().Services {
		if s.Role == "" || len(s.Units) == 0 {
			t.Errorf("service %+v", s)
		}
	}
}

// TestServicesInStartOrder holds the order of the reference's section 4.3.
func TestServicesInStartOrder(t *testing.T) {
	var units []string
	for _, s := range XCAT().Services {
		units = append(units, s.Units...)
	}
	last := -1
	for _, u := range []string{"postgresql", "xcatd", "named", "dhcpd", "chronyd", "goconserver", "httpd", "nfs-server", "rsyslog"} {
		at := slices.Index(units, u)
		if at <= last {
			t.Errorf("%s: place %d, not after %d", u, at, last)
		}
		last = at
	}
}

var update = flag.Bool("update", false, "write the rendered page anew")

func TestPageIsRendered(t *testing.T) {
	const page = "../../docs/captured.md"
	want := Markdown(XCAT())
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the rows say: run go test ./internal/stack -update", page)
	}
}
