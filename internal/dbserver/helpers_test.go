package dbserver

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// lab is a root with real servers, and one of them found there.
type lab struct {
	*Server
	t    *testing.T
	dir  string
	acts []Act // what was noted
}

func newLab(t *testing.T, engine database.Engine, prepare ...func(dir string)) *lab {
	t.Helper()
	t.Parallel() // servers that start and stop are mostly waited for
	dir := hosttest.DatabaseRoot(t)
	for _, p := range prepare {
		p(dir)
	}
	return openLab(t, engine, dir)
}

func openLab(t *testing.T, engine database.Engine, dir string) *lab {
	t.Helper()
	root, err := host.OpenRoot(dir)
	check(t, err)
	t.Cleanup(func() { _ = root.Close() })
	s, err := Find(root, host.Exec{}, engine)
	check(t, err)
	return &lab{Server: s, t: t, dir: dir}
}

func (l *lab) note(a Act) error {
	l.acts = append(l.acts, a)
	return nil
}

// start starts the server; the test ends it, if stop did not before.
func (l *lab) start() (stop func()) {
	l.t.Helper()
	end, err := l.Start(l.t.Context(), l.note)
	check(l.t, err)
	stop = func() {
		l.t.Helper()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(l.t.Context()), time.Minute)
		defer cancel()
		if err := end(ctx); err != nil {
			l.t.Error(err)
		}
	}
	l.t.Cleanup(stop)
	return stop
}

func (l *lab) ensure(w Want) Plan {
	l.t.Helper()
	did, err := l.Ensure(l.t.Context(), w, l.note)
	check(l.t, err)
	return did
}

func (l *lab) sql(sql string) [][]string {
	l.t.Helper()
	rows, err := l.kind.query(l.t.Context(), "", sql)
	check(l.t, err)
	return rows
}

// state is a digest of each file below the directories that Ensure may write to,
// with owner and mode.
func (l *lab) state(dirs ...string) map[string]string {
	l.t.Helper()
	state := map[string]string{}
	for _, dir := range dirs {
		err := filepath.WalkDir(filepath.Join(l.dir, dir), func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			root, err := host.OpenRoot("/")
			if err != nil {
				return err
			}
			defer root.Close()
			st, err := root.Lstat(p)
			state[strings.TrimPrefix(p, l.dir)] = fmt.Sprintf("%x %d:%d %o", sha256.Sum256(b), st.Uid, st.Gid, st.Perm())
			return err
		})
		check(l.t, err)
	}
	return state
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want is what most tests ask for.
func want(engine database.Engine) Want {
	return Want{
		Location: database.Location{
			Engine: engine, Host: "10.10.0.1", Name: "xcatdb", User: "xcatadm", Password: database.NewSecret("cluster 'pw\" \\ 1"),
		},
		Own:    []string{"mgmt01"},
		Access: []string{"10.20.0.0/16", "sn01.cluster"},
		Listen: []string{"10.10.0.1"},
	}
}

// freePort returns a TCP port of loopback that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	check(t, err)
	return port
}

func sameState(t *testing.T, before, after map[string]string) {
	t.Helper()
	for p, s := range before {
		if after[p] != s {
			t.Errorf("%s: %s, was %s", p, after[p], s)
		}
	}
	for p := range after {
		if _, ok := before[p]; !ok {
			t.Errorf("%s: is new", p)
		}
	}
}

// says reports whether one of lines has all words.
func says(lines []string, words ...string) bool {
	return slices.ContainsFunc(lines, func(l string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(l, w) })
	})
}
