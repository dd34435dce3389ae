package dbserver

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// answer is a systemctl that gives one answer after the other.
type answer struct {
	host.Exec
	answers []string
}

func (a *answer) Run(context.Context, host.Command) ([]byte, error) {
	first := a.answers[0]
	a.answers = a.answers[1:]
	return []byte(first), nil
}

// TestSettled waits for a job of systemd that an earlier run left.
func TestSettled(t *testing.T) {
	a := &answer{answers: []string{"ActiveState=active\nJob=17\n", "ActiveState=deactivating\n", "ActiveState=activating\nJob=\n", "Job=\nActiveState=active\n"}}
	s := Server{machine: machine{run: a, place: place{unit: "mariadb"}}}
	check(t, s.settled(t.Context()))
	if len(a.answers) > 0 {
		t.Errorf("not asked until it was settled: %q", a.answers)
	}
}

// TestMakers tells who makes a cluster from who serves it.
func TestMakers(t *testing.T) {
	pg := Server{machine: machine{place: place{version: "15", data: "/var/lib/postgresql/15/main", programs: programs{init: "/usr/lib/postgresql/15/bin/initdb"}}}}
	maria := Server{machine: machine{place: place{data: "/var/lib/mysql", programs: programs{init: "/usr/bin/mariadb-install-db"}}}}
	for _, c := range []struct {
		server *Server
		line   string
		want   bool
	}{
		{&pg, "/usr/bin/perl -wT /usr/bin/pg_createcluster 15 main -- --encoding=UTF8", true},
		{&pg, "/usr/bin/perl -wT /usr/bin/pg_createcluster 15 other", false},
		{&pg, "/usr/lib/postgresql/15/bin/initdb -D /var/lib/postgresql/15/main", true},
		{&pg, "runuser -u postgres -- /usr/lib/postgresql/15/bin/initdb --pgdata=/var/lib/postgresql/15/main", true},
		{&pg, "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main", false},
		{&maria, "/bin/sh /usr/bin/mariadb-install-db --user=mysql --datadir=/var/lib/mysql", true},
		{&maria, "/usr/sbin/mysqld --initialize-insecure --datadir=/var/lib/mysql", true},
		{&maria, "/usr/sbin/mariadbd --datadir=/var/lib/mysql", false},
	} {
		if got := c.server.isMaker(host.Process{Args: strings.Fields(c.line)}); got != c.want {
			t.Errorf("%s: %v", c.line, got)
		}
	}
}

// TestHalfMade removes a cluster whose making was cut off.
func TestHalfMade(t *testing.T) {
	l := newLab(t, database.EnginePostgres)
	check(t, os.RemoveAll(filepath.Join(l.dir, "etc/postgresql/15")))
	if _, err := l.kind.empty(); err == nil {
		t.Error("a cluster without its configuration, and no error")
	}
	check(t, l.Remove(t.Context(), []Act{l.clusterAct()}))
	if empty, err := l.kind.empty(); !empty || err != nil {
		t.Errorf("afterwards: %v, %v", empty, err)
	}
	if _, err := os.Stat(filepath.Join(l.dir, "var/lib/postgresql/15")); !os.IsNotExist(err) {
		t.Errorf("the directory of the version: %v", err)
	}
}
