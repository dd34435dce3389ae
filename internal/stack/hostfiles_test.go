package stack

import "testing"

func TestMergeOf(t *testing.T) {
	isHome := func(dir string) bool { return dir == "/root" || dir == "/home/a" || dir == "/" }
	for p, want := range map[string]How{
		"/etc/hosts": MergeHosts, "/etc/exports": MergeExports, "/root/.ssh/known_hosts": MergeKnownHosts, "/home/a/.ssh/authorized_keys": MergeAuthorizedKeys,
		"/etc/exports.d/a": "", "/etc/hosts.xcatbak": "", "/install/.ssh/authorized_keys": "", "/.ssh/authorized_keys": "", "/root/.ssh/id_rsa": "", "~/.ssh/known_hostsx": "",
	} {
		if m, ok := XCAT().MergeOf(p, isHome); m.How != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", p, m.How, ok, want)
		}
	}
}

func TestCountsEveryFile(t *testing.T) {
	for p, want := range map[string]bool{
		"/etc/logrotate.d/xcat": true, "/etc/cron.daily/xcatsethwclock": true, "/etc/init.d/x": true, "/etc/httpd/conf.d/xcat.conf": false, "/etc/exports.d/a.exports": false,
		"/etc/crontab": false,
	} {
		if XCAT().CountsEveryFile(p) != want {
			t.Errorf("%s: %v", p, !want)
		}
	}
}

// TestStaysTheHosts holds what no snapshot may bring, and that what is merged is in
// one.
func TestStaysTheHosts(t *testing.T) {
	b := bind(t, XCAT(), nil)
	for _, p := range []string{
		"/etc/resolv.conf", "/etc/yum.repos.d/xcat-core.repo", "/etc/zypp/repos.d/a.repo", "/etc/apt/sources.list", "/etc/apt/sources.list.d/xcat-core.list",
		"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/hostname", "/etc/NetworkManager/system-connections/a",
	} {
		if r := b.Decide(p); r.Take != "" || r.Reason == "" {
			t.Errorf("%s: %+v", p, r)
		}
	}
	for _, m := range XCAT().Merges {
		if p := "/root" + m.Path[1:]; m.Path[0] == '~' && b.Decide(p).Take == "" {
			t.Errorf("%s is in no snapshot", p)
		} else if m.Path[0] != '~' && b.Decide(m.Path).Take == "" {
			t.Errorf("%s is in no snapshot", m.Path)
		}
	}
}
