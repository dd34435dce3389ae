package accept

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/stack"
)

// node is a management node in a directory: tables of a real one, scripts in
// the place of programs, and the servers of the test on ports of their own.
type node struct {
	*testing.T
	dir   string
	ports map[string]string // where the node's HOST:PORT is
	Options
}

func now() time.Time { return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC) }

// newNode makes one with those tables and nothing else. Nothing is waited for.
func newNode(t *testing.T) *node {
	t.Helper()
	dir := t.TempDir()
	root, err := host.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	n := &node{T: t, dir: dir, ports: map[string]string{}, Options: Options{
		Root: root, Runner: scripts{dir}, Stack: stack.XCAT(), Name: "mgmt01.cluster.lab",
		Live: true, Now: now(), Within: time.Millisecond, Limit: 20 * time.Second,
	}}
	n.Redirect = func(at string) string {
		if other, ok := n.ports[at]; ok {
			return other
		}
		return "127.0.0.1:1" // tcpmux, which nobody has: the servers of this machine are not asked
	}
	for _, table := range []string{"auditlog", "hosts", "nodelist", "notification", "policy", "servicenode", "site"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "real-mn", "sqlite", table+".sqlite"))
		if err != nil {
			t.Fatal(err)
		}
		n.write("/etc/xcat/"+table+".sqlite", 0o600, string(b))
	}
	n.Open = func(ctx context.Context) (database.Source, error) {
		return database.OpenSQLite(ctx, filepath.Join(dir, "etc/xcat"), database.SQLiteOptions{TempDir: t.TempDir()})
	}
	return n
}

// write makes a file of the node.
func (n *node) write(p string, perm os.FileMode, content string) {
	n.Helper()
	full := filepath.Join(n.dir, p)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		n.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), perm); err != nil {
		n.Fatal(err)
	}
	if err := os.Chmod(full, perm); err != nil {
		n.Fatal(err)
	}
}

// script makes a program of the node. $ROOT in it is where the node lies.
func (n *node) script(p, body string) {
	n.Helper()
	n.write(p, 0o755, "#!/bin/sh\nROOT="+n.dir+"\n"+body+"\n")
}

// runs has units run here.
func (n *node) runs(units ...string) {
	for _, u := range units {
		n.Units = append(n.Units, artifact.Service{Unit: u + ".service", Enabled: "enabled", Active: "active"})
	}
}

// ask returns the answer to one question, and asks no other. It must be one that
// people can read.
func (n *node) ask(id string) Probe {
	n.Helper()
	waiting, cancel := context.WithTimeout(n.Context(), n.Within)
	defer cancel()
	t := &tester{Options: n.Options, waiting: waiting}
	t.known = t.read(n.Context())
	for _, q := range questions() {
		if q.id != id {
			continue
		}
		p := q.ask(t, n.Context())
		if p.Seen == "" || strings.Contains(p.Seen, "\n") || strings.Contains(p.Mend, "\n") {
			n.Errorf("probe %s: %q, %q is no sentence", id, p.Seen, p.Mend)
		}
		if (p.Verdict == Fail || p.Verdict == Warn) && p.Mend == "" {
			n.Errorf("probe %s: %q: nothing to do about it", id, p.Seen)
		}
		return p
	}
	n.Fatalf("no question %s", id)
	return Probe{}
}

// want checks the answer to one question.
func (n *node) want(id string, v Verdict, words ...string) {
	n.Helper()
	p := n.ask(id)
	if p.Verdict != v {
		n.Errorf("%s: %s: %s (%s), want %s", id, p.Verdict, p.Seen, p.Mend, v)
	}
	for _, w := range words {
		if !strings.Contains(p.Seen+"\n"+p.Mend, w) {
			n.Errorf("%s: %q (%q) does not tell of %q", id, p.Seen, p.Mend, w)
		}
	}
}

// scripts runs the programs of a directory as they are, without a chroot, which
// would need a shell in there. Names without a directory are looked for in it alone.
type scripts struct{ dir string }

func (s scripts) Run(ctx context.Context, c host.Command) ([]byte, error) {
	p, err := s.Look(c.Chroot, c.Name)
	if err != nil {
		return nil, err
	}
	c.Name, c.Chroot = filepath.Join(s.dir, p), ""
	return host.Exec{}.Run(ctx, c)
}

func (s scripts) Look(_, name string) (string, error) { return host.Exec{}.Look(s.dir, name) }

// listen answers TCP connections on a port of its own, where the node's port leads.
func (n *node) listen(port string) net.Listener {
	n.Helper()
	l, err := (&net.ListenConfig{}).Listen(n.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() { _ = l.Close() })
	n.ports["127.0.0.1:"+port] = l.Addr().String()
	return l
}

// closed leads the node's ports to one where nobody listens.
func (n *node) closed(ports ...string) {
	n.Helper()
	for _, port := range ports {
		_ = n.listen(port).Close()
	}
}

// chtab changes the database of the node.
func (n *node) chtab(table, statement string) {
	n.Helper()
	db, err := sql.Open("sqlite", filepath.Join(n.dir, "etc/xcat", table+".sqlite"))
	if err != nil {
		n.Fatal(err)
	}
	_, err = db.ExecContext(n.Context(), statement)
	if err := errors.Join(err, db.Close()); err != nil {
		n.Fatal(err)
	}
}

// summarise is what a snapshot of the node as it is would say of its tables.
func (n *node) summarise() []artifact.Table {
	n.Helper()
	src, err := n.Open(n.Context())
	if err != nil {
		n.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	tables, err := database.Summarise(n.Context(), src)
	if err != nil {
		n.Fatal(err)
	}
	return tables
}

// ended fails if the process whose id the script left in file p is still there.
func (n *node) ended(p string) {
	n.Helper()
	b, err := n.Root.ReadFile(p, 64)
	if err != nil {
		n.Fatal(err)
	}
	id := strings.TrimSpace(string(b))
	for range 100 {
		state, err := os.ReadFile("/proc/" + id + "/stat")
		if err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	n.Errorf("process %s is still there", id)
}
