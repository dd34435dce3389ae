package database

import (
	"strings"
	"sync"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// closeOnce is a Source that the test may close before its end does.
type closeOnce struct {
	Source
	once sync.Once
}

func (c *closeOnce) Close() (err error) {
	c.once.Do(func() { err = c.Source.Close() })
	return err
}

// closing closes src at the end of the test.
func closing(t testing.TB, src Source, err error) Source {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	c := &closeOnce{Source: src}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// mariaEngine makes databases as mysqlsetup does: latin1 unless told otherwise.
func mariaEngine() testEngine {
	return testEngine{
		engine: EngineMariaDB, onlyUTF8: true,
		newDatabase: func(t testing.TB) testDatabase {
			server := hosttest.MariaDB(t)
			l := server.NewDatabase(t, "latin1")
			return testDatabase{
				source: func(t testing.TB) Source {
					t.Helper()
					src, err := OpenMariaDB(t.Context(), mariaLocation(l))
					return closing(t, src, err)
				},
				target: func(t testing.TB) Target {
					t.Helper()
					tgt, err := OpenMariaDBTarget(t.Context(), mariaLocation(l))
					if err != nil {
						t.Fatal(err)
					}
					return tgt
				},
				run: func(t testing.TB, _, statement string) {
					t.Helper()
					server.Load(t, l.Name, strings.NewReader(statement))
				},
			}
		},
	}
}

// postgresEngine makes databases in an encoding: UTF8 is what pgsqlsetup gives
// on a machine whose locale says so, SQL_ASCII elsewhere.
func postgresEngine(encoding string) testEngine {
	return testEngine{
		engine: EnginePostgres, variant: encoding, noZero: true,
		newDatabase: func(t testing.TB) testDatabase {
			d := newPostgres(t, encoding)
			return testDatabase{
				source: func(t testing.TB) Source {
					t.Helper()
					src, err := OpenPostgres(t.Context(), postgresLocation(d))
					return closing(t, src, err)
				},
				target: func(t testing.TB) Target {
					t.Helper()
					tgt, err := OpenPostgresTarget(t.Context(), postgresLocation(d))
					if err != nil {
						t.Fatal(err)
					}
					return tgt
				},
				run: func(t testing.TB, _, statement string) {
					t.Helper()
					asRole(t, d, statement)
				},
			}
		},
	}
}
