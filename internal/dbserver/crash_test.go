package dbserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// TestCrashes ends the work at every act, before it came to be and after, and takes
// back what was noted: the server and its files are then what they were.
func TestCrashes(t *testing.T) {
	for engine, dirs := range map[database.Engine][]string{database.EnginePostgres: pgConfigured, database.EngineMariaDB: mariadbConfigured} {
		t.Run(string(engine), func(t *testing.T) {
			l := newLab(t, engine)
			l.start()
			w := want(engine)
			names := "SELECT rolname FROM pg_authid UNION ALL SELECT datname FROM pg_database ORDER BY 1"
			if engine == database.EngineMariaDB {
				names = "SELECT CONCAT(User, '@', Host) FROM mysql.user UNION ALL SELECT SCHEMA_NAME FROM information_schema.SCHEMATA ORDER BY 1"
			}
			files, inside := l.state(dirs...), fmt.Sprint(l.sql(names))
			crash := errors.New("crash")
			for at := 1; ; at++ {
				for _, after := range []bool{false, true} {
					var noted []Act
					_, err := l.Ensure(t.Context(), w, func(a Act) error {
						if after && len(noted) == at {
							return crash // the one before came to be
						}
						noted = append(noted, throughJSON(t, a))
						if !after && len(noted) == at {
							return crash
						}
						return nil
					})
					check(t, l.Remove(t.Context(), noted))
					sameState(t, files, l.state(dirs...))
					if now := fmt.Sprint(l.sql(names)); now != inside {
						t.Errorf("crash %d, after %v: %s, was %s", at, after, now, inside)
					}
					if err == nil {
						if at < 4 {
							t.Errorf("only %d acts", at)
						}
						return
					}
					if !errors.Is(err, crash) {
						t.Fatalf("crash %d: %v", at, err)
					}
				}
			}
		})
	}
}

// throughJSON is the way to the journal and back.
func throughJSON(t *testing.T, a Act) (back Act) {
	t.Helper()
	b, err := json.Marshal(a)
	check(t, err)
	check(t, json.Unmarshal(b, &back))
	if !reflect.DeepEqual(a, back) {
		t.Errorf("act %q changed on its way", a.What)
	}
	return back
}

// TestKept keeps bytes that are no UTF-8.
func TestKept(t *testing.T) {
	before := Kept("gr\xfcn \x00")
	throughJSON(t, Act{Kind: ActFile, Before: &before, Undo: []Kept{"'☃'", before}})
}

// TestInterruptedInit takes back a cluster whose making was cut off: nothing
// answers, and nobody's data can be in it.
func TestInterruptedInit(t *testing.T) {
	root := tree(t, "usr/pgsql-16/bin/postgres", "var/lib/pgsql/16/data/PG_VERSION=16\n", "var/lib/pgsql/16/data/base/1/2=x", "etc/passwd=postgres:x:26:26::/var/lib/pgsql:/bin/sh\n")
	s, err := Find(root, broken{}, database.EnginePostgres)
	check(t, err)
	check(t, s.Remove(t.Context(), []Act{s.clusterAct()}))
	if empty, err := s.kind.empty(); !empty || err != nil {
		t.Errorf("left: %v, %v", empty, err)
	}
	root = tree(t, "usr/pgsql-16/bin/postgres", "var/lib/pgsql/16/data/PG_VERSION=16\n", "etc/passwd=postgres:x:26:26::/var/lib/pgsql:/bin/sh\n")
	s, err = Find(root, broken{}, database.EnginePostgres)
	check(t, err)
	used := []Act{s.clusterAct(), {Kind: ActFile, What: "x", Name: dropIn}}
	if err := s.Remove(t.Context(), used); err == nil {
		t.Error("a cluster in use was removed unseen")
	}
	if empty, _ := s.kind.empty(); empty {
		t.Error("a cluster in use was removed")
	}
}

// broken runs nothing.
type broken struct{ host.Exec }

func (broken) Run(_ context.Context, c host.Command) ([]byte, error) {
	return nil, fmt.Errorf("command %q: connection refused", c.Name)
}
