package accept

import (
	"net"
	"strings"
	"testing"
	"time"
)

func TestServices(t *testing.T) {
	n := newNode(t)
	n.want("services", Skip)
	n.runs("xcatd", "named", "dhcpd")
	n.script("/usr/bin/systemctl", `[ "$1" = is-active ] || exit 9; cat $ROOT/state/$2; [ "$(cat $ROOT/state/$2)" = active ]`)
	for _, u := range []string{"xcatd", "named", "dhcpd"} {
		n.write("/state/"+u+".service", 0o644, "active\n")
	}
	n.want("services", Pass, "3 services run")
	n.write("/state/named.service", 0o644, "failed\n")
	n.write("/state/dhcpd.service", 0o644, "inactive\n")
	n.want("services", Fail, "named.service is failed, dhcpd.service is inactive", "systemctl status named.service dhcpd.service; journalctl -b -u named.service -u dhcpd.service")
	n.script("/usr/bin/systemctl", "echo no bus >&2; exit 1")
	n.want("services", Fail, "xcatd.service is unknown to systemctl", "no bus")
}

// TestServicesAreWaitedFor has a unit that needs a moment.
func TestServicesAreWaitedFor(t *testing.T) {
	n := newNode(t)
	n.runs("xcatd")
	n.script("/usr/bin/systemctl", `[ -e $ROOT/asked ] && { echo active; exit 0; }; touch $ROOT/asked; echo activating; exit 3`)
	n.want("services", Fail, "xcatd.service is activating")
	n.script("/usr/bin/systemctl", `[ -e $ROOT/again ] && { echo active; exit 0; }; touch $ROOT/again; echo activating; exit 3`)
	n.Within = 20 * time.Second
	n.want("services", Pass)
}

func TestDaemon(t *testing.T) {
	n := newNode(t)
	n.want("xcatd", Skip, "xcatd is not to run here")
	n.runs("xcatd")
	n.listen("3001")
	n.listen("3002")
	n.want("xcatd", Pass, "port 3001 answers; port 3002 answers")
	n.closed("3002")
	n.want("xcatd", Fail, "port 3002 (requests of nodes that are being installed) does not answer: connect: connection refused", "journalctl -b -u xcatd.service")

	// site.xcatdport says where.
	n.closed("3001")
	n.listen("4001")
	n.listen("3002")
	n.want("xcatd", Fail, "3001")
	n.chtab("site", "UPDATE site SET value = '4001' WHERE key = 'xcatdport'")
	n.want("xcatd", Pass, "port 4001")
}

// TestDaemonIsWaitedFor has a port that opens late.
func TestDaemonIsWaitedFor(t *testing.T) {
	n := newNode(t)
	n.runs("xcatd")
	n.closed("3001")
	n.listen("3002")
	at := n.ports["127.0.0.1:3001"]
	n.Within = 20 * time.Second
	time.AfterFunc(3*pause/2, func() {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = l.Close() })
	})
	n.want("xcatd", Pass)
}

const lsxcatd = `[ -z "$XCATBYPASS" ] && [ "$XCATROOT" = WANT ] && [ "$1" = -a ] || exit 7
cat >$ROOT/stdin
echo "Version 2.19.0 (git commit 1234, built Mon Mar  2 12:00:00 EST 2026)"
echo "This is a Management Node"
echo "dbengine=ENGINE"`

func TestStatus(t *testing.T) {
	n := newNode(t)
	n.want("lsxcatd", Skip)
	n.runs("xcatd")
	n.want("lsxcatd", Fail, "bin/lsxcatd or sbin/lsxcatd is not in /opt/xcat")
	answers := strings.NewReplacer("WANT", "/opt/xcat", "ENGINE", "SQLite").Replace(lsxcatd)
	n.script("/opt/xcat/sbin/lsxcatd", answers)
	n.want("lsxcatd", Pass, "Version 2.19.0", "database SQLite")

	n.script("/opt/xcat/sbin/lsxcatd", strings.ReplaceAll(answers, "SQLite", "Pg"))
	n.want("lsxcatd", Fail, "uses a database of Pg, while the host's is SQLite")
	n.script("/opt/xcat/sbin/lsxcatd", "echo XCATBYPASS works for root only")
	n.want("lsxcatd", Fail, "says neither version nor database", "works for root only")
	n.script("/opt/xcat/sbin/lsxcatd", "echo Unable to open socket connection to xcatd daemon on localhost:3001. >&2; exit 1")
	n.want("lsxcatd", Fail, "Unable to open socket connection", "systemctl restart xcatd.service; /opt/xcat/sbin/lsxcatd -a")
}

// TestStatusElsewhere has xCAT where its packages were relocated to.
func TestStatusElsewhere(t *testing.T) {
	n := newNode(t)
	n.runs("xcatd")
	n.write("/etc/profile.d/xcat.sh", 0o755, "XCATROOT=/srv/xcat\nPATH=$XCATROOT/bin:$PATH\nexport XCATROOT PATH\n")
	n.script("/srv/xcat/bin/lsxcatd", strings.NewReplacer("WANT", "/srv/xcat", "ENGINE", "SQLite").Replace(lsxcatd))
	n.want("lsxcatd", Pass)
}

// TestStatusHangs has a client that waits for ever, and a child of it that holds its
// output open, as one does while xcatd waits for a database.
func TestStatusHangs(t *testing.T) {
	n := newNode(t)
	n.runs("xcatd")
	n.script("/opt/xcat/bin/lsxcatd", "sleep 300 &\necho $! >$ROOT/child\nwait")
	n.Limit, n.Within = time.Second, time.Minute // hung once is enough
	begin := time.Now()
	n.want("lsxcatd", Fail, "did not answer within 1s and was ended", "database server")
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("took %s", took)
	}
	n.ended("/child")
}

func TestConsole(t *testing.T) {
	n := newNode(t)
	n.want("console", Skip)
	n.runs("goconserver")
	n.listen("12429")
	n.listen("12430")
	n.want("console", Pass, "12429", "12430")
	n.closed("12430")
	n.want("console", Fail, "goconserver.service does not answer on port 12430 (consoles)", "systemctl restart goconserver.service")

	n = newNode(t)
	n.runs("conserver")
	n.listen("782")
	n.want("console", Pass, "conserver.service answers on port 782")
	n.closed("782")
	n.want("console", Fail, "782")
}
