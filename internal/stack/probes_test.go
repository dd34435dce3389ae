package stack

import (
	"slices"
	"strings"
	"testing"
)

// TestProbesNameWhatThereIs: a role or a variable that is misspelt would skip its
// probe for ever.
func TestProbesNameWhatThereIs(t *testing.T) {
	s := XCAT()
	p := s.Probes
	roles := slices.Concat([]string{p.Daemon}, p.DNS, p.Web, p.NFS)
	for _, c := range p.Configs {
		roles = append(roles, c.Role)
		for _, f := range c.Files {
			if !strings.HasPrefix(f, "/etc/") {
				t.Errorf("configuration %s is no path", f)
			}
		}
	}
	for _, c := range p.Consoles {
		roles = append(roles, c.Role)
	}
	for _, role := range roles {
		i := slices.IndexFunc(s.Services, func(have Service) bool { return have.Role == role })
		if i < 0 {
			t.Errorf("role %s is none of the stack's", role)
			continue
		}
		for _, unit := range s.Services[i].Units {
			if !s.Serves(unit+".service", "nothing", role) || s.Serves(unit, role) || s.Serves(unit+".service") {
				t.Errorf("role %s: unit %s", role, unit)
			}
		}
	}
	for _, f := range []FileProbe{p.TFTP, p.HTTP} {
		name, _, ok := strings.Cut(strings.TrimPrefix(f.Dir, "{"), "}")
		if !ok || !strings.HasPrefix(s.Var(nil, name), "/") {
			t.Errorf("directory %s begins with no variable that has a default", f.Dir)
		}
	}
	for _, table := range []string{"notification", "auditlog", "auditlog_2", "token", "eventlog"} {
		if !p.IsVolatile(table) {
			t.Errorf("table %s keeps its rows", table)
		}
	}
	for _, table := range []string{"site", "nodelist", "policy", "passwd", "mac"} {
		if p.IsVolatile(table) {
			t.Errorf("table %s does not keep its rows", table)
		}
	}
}

func TestVar(t *testing.T) {
	s := XCAT()
	rows := Tables{"site": {
		{"key": "tftpdir", "value": "/off", "disable": "1"},
		{"key": "tftpdir", "value": "/boot"},
		{"key": "installdir", "value": ""},
	}}
	for name, want := range map[string]string{"tftpdir": "/boot", "installdir": "/install", "xcatroot": "/opt/xcat", "bindzones": "", "nothing": ""} {
		if got := s.Var(rows, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if rows := rows.Active("site"); len(rows) != 2 || rows[0]["value"] != "/boot" {
		t.Errorf("rows in force: %v", rows)
	}
}
