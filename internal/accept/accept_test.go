package accept

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/database"
)

func TestWorst(t *testing.T) {
	for _, tc := range []struct {
		have []Verdict
		want Verdict
	}{
		{nil, Skip},
		{[]Verdict{Skip, Skip}, Skip},
		{[]Verdict{Skip, Pass}, Pass},
		{[]Verdict{Warn, Pass, Skip}, Warn},
		{[]Verdict{Warn, Fail, Pass}, Fail},
	} {
		var all []Probe
		for _, v := range tc.have {
			all = append(all, Probe{Verdict: v})
		}
		if got := Worst(all); got != tc.want {
			t.Errorf("worst of %v: %s, want %s", tc.have, got, tc.want)
		}
	}
}

// TestWithoutServices asks a root that does not run: nothing is run there.
func TestWithoutServices(t *testing.T) {
	n := newNode(t)
	n.Live, n.Runner = false, nil
	n.runs("xcatd", "named", "dhcpd", "httpd", "nfs-server", "goconserver")
	n.certificates(ofNow)
	n.Tables = n.summarise()
	all := Run(t.Context(), n.Options)
	var ids []string
	for _, p := range all {
		ids = append(ids, p.ID)
		want, seen := Skip, "waits for the first boot"
		if slices.Contains([]string{"certificate", "policy", "tables"}, p.ID) {
			want, seen = Pass, ""
		}
		if p.Verdict != want || !strings.Contains(p.Seen, seen) {
			t.Errorf("%s: %s: %s, want %s: %s", p.ID, p.Verdict, p.Seen, want, seen)
		}
	}
	want := []string{"certificate", "policy", "tables", "services", "xcatd", "lsxcatd", "dns", "dhcp", "tftp", "http", "exports", "console"}
	if !slices.Equal(ids, want) {
		t.Errorf("asked %v, want %v", ids, want)
	}
	if Worst(all) != Pass {
		t.Errorf("worst is %s", Worst(all))
	}
	b, err := json.Marshal(all[0])
	if err != nil || !strings.HasPrefix(string(b), `{"id":"certificate","verdict":"pass","seen":"mgmt01 is signed`) {
		t.Errorf("JSON %s, %v", b, err)
	}
}

// TestInterruptedWhileAsking has the administrator press Ctrl-C while lsxcatd hangs.
func TestInterruptedWhileAsking(t *testing.T) {
	n := newNode(t)
	n.runs("xcatd")
	ctx, cancel := context.WithCancel(t.Context())
	n.script("/opt/xcat/bin/lsxcatd", "echo $$ >$ROOT/child.new; mv $ROOT/child.new $ROOT/child; exec sleep 300") // named once it is whole
	go func() {
		for !n.Root.Exists("/child") {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	for _, p := range Run(ctx, n.Options) {
		if p.ID == "lsxcatd" && (p.Verdict != Skip || p.Seen != "not answered: context canceled") {
			t.Errorf("%s: %s", p.Verdict, p.Seen)
		}
	}
	n.ended("/child")
}

// TestNothingIsToRun asks a host where no service is to run, as a standby.
func TestNothingIsToRun(t *testing.T) {
	n := newNode(t)
	n.certificates(ofNow)
	n.Open = nil
	for _, p := range Run(t.Context(), n.Options) {
		want := Skip
		if p.ID == "certificate" {
			want = Pass
		}
		if p.Verdict != want {
			t.Errorf("%s: %s: %s, want %s", p.ID, p.Verdict, p.Seen, want)
		}
	}
}

func TestInterrupted(t *testing.T) {
	n := newNode(t)
	n.runs("xcatd")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, p := range Run(ctx, n.Options) {
		if p.Verdict != Skip || !strings.Contains(p.Seen, "not asked: context canceled") {
			t.Errorf("%s: %s: %s", p.ID, p.Verdict, p.Seen)
		}
	}
}

func TestTables(t *testing.T) {
	n := newNode(t)
	n.want("tables", Skip, "the snapshot has no tables")
	n.Tables = n.summarise()
	n.want("tables", Pass, "7 tables")

	// Daemons write to some.
	n.chtab("notification", "DELETE FROM notification")
	n.chtab("auditlog", "INSERT INTO auditlog (recid, userid) VALUES (4711, 'root')")
	n.want("tables", Pass)

	n.chtab("hosts", "DELETE FROM hosts WHERE rowid = 1")
	n.want("tables", Fail, "1 of 7 tables", "hosts has 2 rows of 3")
	n.chtab("notification", "DROP TABLE notification") // even one that changes must be there
	n.want("tables", Fail, "2 of 7 tables", "notification is missing")

	n.write("/etc/xcat/site.sqlite", 0o600, "no database")
	n.want("tables", Fail, "cannot be read", "site")
	n.want("policy", Fail)
	n.Open = func(context.Context) (database.Source, error) { return nil, errors.New("nobody is there") }
	n.want("tables", Fail, "cannot be read: nobody is there")
	n.Open = nil
	n.want("tables", Skip)
}

func TestPolicy(t *testing.T) {
	n := newNode(t)
	n.want("policy", Fail, "server-cert.pem is not there")
	n.certificates(ofNow)
	n.want("policy", Pass, "mgmt01")

	n.chtab("policy", "UPDATE policy SET rule = 'allow' WHERE name = 'mgmt01'")
	n.want("policy", Fail, `no rule of table policy trusts "mgmt01"`, "chtab priority=1.2 policy.name=mgmt01 policy.rule=trusted")
	n.chtab("policy", "UPDATE policy SET rule = 'trusted', disable = '1' WHERE name = 'mgmt01'")
	n.want("policy", Fail)
	n.chtab("policy", "UPDATE policy SET disable = NULL, name = 'mgmt01.cluster.lab' WHERE name = 'mgmt01'")
	n.want("policy", Fail, `only "mgmt01.cluster.lab", which is not the same`)
	n.write("/etc/xcat/cert/server-cert.pem", 0o644, "nonsense")
	n.want("policy", Fail, "no certificate in it")
}
