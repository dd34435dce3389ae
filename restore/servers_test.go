package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/dbserver"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// serverFixture is a snapshot of a node with its database on a server, and a root
// whose server has another node's.
type serverFixture struct {
	fixture
	root     string
	location database.Location // as the snapshot's cfgloc has it
	before   database.Location // as the root's has it
}

func newServerFixture(t *testing.T, engine database.Engine) serverFixture {
	t.Helper()
	user := map[database.Engine]string{database.EnginePostgres: "xcatadm", database.EngineMariaDB: "xcatadmin"}[engine]
	l := database.Location{Engine: engine, Host: "10.10.0.1", Name: "xcatdb", User: user, Password: database.NewSecret("new-secret")}
	f := serverFixture{root: hosttest.DatabaseRoot(t), location: l, before: l}
	f.before.Password = database.NewSecret("old-secret")
	f.m = memory{}
	config := artifact.Config{
		Format: 1, Stack: artifact.Stack{Name: "xcat"},
		Host: artifact.Host{Name: "mn", Arch: hostArch(t), Distro: artifact.Distro{ID: "debian", Version: "12"}},
	}
	secrets, desc := layer(t, f.m, artifact.KindSecrets, []file{reg("etc/xcat/cfgloc", l.Line().Reveal()+"\n", 0o600), reg("etc/xcat/other", "x", 0o600)})
	all, layers := secrets, []ocispec.Descriptor{desc}
	config.Kinds = append(config.Kinds, sum(artifact.KindSecrets, secrets))
	entries, desc := databaseLayer(t, f.m, copyTables(t, t.TempDir(), "site", "nodelist", "ipmi"), &config)
	config.Database.Engine, config.Database.Dir = string(engine), ""
	config.Database.Server = &artifact.DatabaseServer{Host: l.Host, Name: l.Name, User: l.User, Encoding: "UTF8", Access: []string{"10.10.0.7"}}
	config.Kinds = append(config.Kinds, sum(artifact.KindDatabase, entries))
	f.s = pack(t, f.m, config, append(layers, desc), append(all, entries...))
	f.fillRoot(t)
	return f
}

// fillRoot gives the root's server a database with tables of its own.
func (f serverFixture) fillRoot(t *testing.T) {
	t.Helper()
	f.withServer(t, func(s *dbserver.Server) {
		_, err := s.Ensure(t.Context(), dbserver.Want{Location: f.before}, func(dbserver.Act) error { return nil })
		check(t, err)
		target, err := database.OpenTarget(t.Context(), s.Login(f.before))
		check(t, err)
		shapes, rows := oldTables()
		_, err = target.Prepare(t.Context(), shapes)
		check(t, err)
		for i, shape := range shapes {
			_, err := target.Put(t.Context(), shape.Schema, strings.NewReader(rows[i]))
			check(t, err)
		}
		check(t, errors.Join(target.Commit(t.Context()), target.Close()))
	})
	check(t, os.MkdirAll(filepath.Join(f.root, "etc/xcat"), 0o755))
	check(t, os.WriteFile(filepath.Join(f.root, "etc/xcat/cfgloc"), []byte(f.before.Line().Reveal()+"\n"), 0o600))
}

// oldTables are a table the snapshot has too, with a column it does not have, and
// one that it has not.
func oldTables() ([]database.Shape, []string) {
	table := func(name string, more ...string) database.Shape {
		s := database.Schema{Table: name, Columns: []database.Column{{Name: "key", Type: "VARCHAR(128)", NotNull: true, Key: 1}, {Name: "value", Type: "TEXT"}}}
		for _, m := range more {
			s.Columns = append(s.Columns, database.Column{Name: m, Type: "TEXT"})
		}
		return database.Shape{Schema: s}
	}
	return []database.Shape{table("site", "comments", "disable", "newer"), table("stranger")},
		[]string{"#key,value,comments,disable,newer\n\"old\",\"x\",,,\"y\"\n", "#key,value\n\"a\",\"\"\n\"b\",\n"}
}

func (f serverFixture) withServer(t *testing.T, fn func(*dbserver.Server)) {
	t.Helper()
	r, err := host.OpenRoot(f.root)
	check(t, err)
	defer func() { check(t, r.Close()) }()
	s, err := dbserver.Find(r, host.Exec{}, f.location.Engine)
	check(t, err)
	stop, err := s.Start(t.Context(), func(a dbserver.Act) error { return errors.New(a.What) })
	check(t, err)
	defer func() { check(t, stop(context.WithoutCancel(t.Context()))) }()
	fn(s)
}

// isOld checks that root and server are as fillRoot left them.
func (f serverFixture) isOld(t *testing.T, what string, tree map[string]hosttest.Node) {
	t.Helper()
	for _, line := range hosttest.DiffTrees(tree, f.tree(t), hosttest.DiffOptions{}) {
		if strings.Contains(line, "mtime") && (strings.Contains(line, "etc/postgresql") || strings.Contains(line, "etc/mysql")) {
			continue // lines were put in and taken out again
		}
		t.Errorf("%s: %s", what, line)
	}
	f.withServer(t, func(s *dbserver.Server) {
		src, err := database.Open(t.Context(), s.Login(f.before), database.SQLiteOptions{})
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		defer func() { check(t, src.Close()) }()
		tables, err := src.Tables(t.Context())
		if err != nil || !slices.Equal(tables, []string{"site", "stranger"}) {
			t.Errorf("%s: tables %v, %v", what, tables, err)
		}
		var rows []string
		for _, table := range tables {
			check(t, src.Rows(t.Context(), table, func(row []database.Value) error {
				rows = append(rows, fmt.Sprintf("%+v", row))
				return nil
			}))
		}
		if len(rows) != 3 || !strings.Contains(rows[0], "Text:y") || !strings.Contains(rows[2], "Null:true") {
			t.Errorf("%s: rows %v", what, rows)
		}
	})
}

// tree is the root without what a server writes when it runs.
func (f serverFixture) tree(t *testing.T) map[string]hosttest.Node {
	t.Helper()
	all := treeOf(t, f.root)
	for p := range all {
		if strings.HasPrefix(p, "run") || strings.HasPrefix(p, "tmp") {
			delete(all, p)
		}
	}
	return all
}

func (f serverFixture) opts(t *testing.T) Options {
	o := f.options(t, f.root)
	o.Allow = map[string]bool{CodeNodes: true, CodeVersion: true}
	return o
}

// TestServerEveryStep lets each step from the setting up of the server on fail, and
// crash: root, database and passwords are what they were.
func TestServerEveryStep(t *testing.T) {
	for _, engine := range []database.Engine{database.EnginePostgres, database.EngineMariaDB} {
		t.Run(string(engine), func(t *testing.T) {
			f := newServerFixture(t, engine)
			before := f.tree(t)
			boom := errors.New("boom")
			// The steps before the fourth are those of every import. Each fifth is taken,
			// because each takes seconds, and two engines see different ones.
			for n := 4 + 2*(len(engine)%2); !t.Failed(); n += 5 {
				o, left := f.opts(t), n
				o.fault = func() error {
					if left--; left < 0 {
						return boom
					}
					return nil
				}
				_, err := Apply(t.Context(), f.m, f.s, o, yes)
				if err == nil {
					t.Logf("%d steps", n)
					break
				}
				if !errors.Is(err, boom) {
					t.Fatalf("step %d: %v", n, err)
				}
				f.isOld(t, fmt.Sprintf("failure at step %d", n), before)
				left = n
				crash(t, f.fixture, o)
				f.takeBack(t, f.opts(t))
				f.isOld(t, fmt.Sprintf("crash at step %d", n), before)
			}
			f.isNew(t)
		})
	}
}

// isNew checks that the server has what the snapshot has.
func (f serverFixture) isNew(t *testing.T) {
	t.Helper()
	f.withServer(t, func(s *dbserver.Server) {
		src, err := database.Open(t.Context(), s.Login(f.location), database.SQLiteOptions{})
		check(t, err)
		defer func() { check(t, src.Close()) }()
		for _, want := range f.s.Config.Database.Tables {
			got, err := src.Count(t.Context(), want.Name)
			if err != nil || got != want.Rows || got == 0 {
				t.Errorf("table %s: %d rows, %v, want %d", want.Name, got, err, want.Rows)
			}
		}
		if n, err := src.Count(t.Context(), "stranger"); err != nil || n != 0 {
			t.Errorf("a table the snapshot does not have: %d rows, %v", n, err)
		}
	})
}
