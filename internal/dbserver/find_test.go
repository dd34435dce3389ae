package dbserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// tree makes empty files, or those with content behind "=", links behind ">", and
// directories that end in "/".
func tree(t *testing.T, files ...string) *host.Root {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		name, target, link := strings.Cut(name, ">")
		p := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(p), 0o755))
		switch {
		case link:
			check(t, os.Symlink(target, p))
		case strings.HasSuffix(name, "/"):
			check(t, os.MkdirAll(p, 0o755))
		default:
			check(t, os.WriteFile(p, []byte(content), 0o755))
		}
	}
	root, err := host.OpenRoot(dir)
	check(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// TestFind has the layouts of the distros' packages.
func TestFind(t *testing.T) {
	pg, my := database.EnginePostgres, database.EngineMariaDB
	for name, tc := range map[string]struct {
		engine                                      database.Engine
		files                                       []string
		version, server, data, config, unit, client string
	}{
		"el": {
			pg,
			[]string{"usr/bin/postgres", "usr/bin/psql"},
			"", "/usr/bin/postgres", "/var/lib/pgsql/data", "/var/lib/pgsql/data", "postgresql", "/usr/bin/psql",
		},
		"el_cluster": {
			pg,
			[]string{"usr/bin/postgres", "var/lib/pgsql/data/PG_VERSION=13\n"},
			"13", "/usr/bin/postgres", "/var/lib/pgsql/data", "/var/lib/pgsql/data", "postgresql", "/usr/bin/psql",
		},
		"pgdg": {
			pg,
			[]string{"usr/pgsql-14/bin/psql", "usr/pgsql-16/bin/postgres", "usr/bin/psql"},
			"16", "/usr/pgsql-16/bin/postgres", "/var/lib/pgsql/16/data", "/var/lib/pgsql/16/data", "postgresql-16", "/usr/pgsql-16/bin/psql",
		},
		"pgdg_of_two_the_one_with_data": {
			pg,
			[]string{"usr/pgsql-14/bin/postgres", "usr/pgsql-16/bin/postgres", "var/lib/pgsql/14/data/PG_VERSION=14\n"},
			"14", "/usr/pgsql-14/bin/postgres", "/var/lib/pgsql/14/data", "/var/lib/pgsql/14/data", "postgresql-14", "/usr/pgsql-14/bin/psql",
		},
		"sles": {
			pg,
			[]string{"usr/lib/postgresql17/bin/postgres", "usr/bin/postgres>/etc/alternatives/postgres", "etc/alternatives/postgres>/usr/lib/postgresql17/bin/postgres"},
			"17", "/usr/bin/postgres", "/var/lib/pgsql/data", "/var/lib/pgsql/data", "postgresql", "/usr/bin/psql",
		},
		"sles_no_link": {
			pg,
			[]string{"usr/lib/postgresql15/bin/postgres"},
			"15", "/usr/lib/postgresql15/bin/postgres", "/var/lib/pgsql/data", "/var/lib/pgsql/data", "postgresql", "/usr/lib/postgresql15/bin/psql",
		},
		"debian": {
			pg,
			[]string{"usr/lib/postgresql/13/bin/psql", "usr/lib/postgresql/17/bin/postgres", "usr/bin/pg_createcluster", "etc/postgresql/17/main/postgresql.conf=data_directory = '/srv/pg'\n"},
			"17", "/usr/lib/postgresql/17/bin/postgres", "/srv/pg", "/etc/postgresql/17/main", "postgresql@17-main", "/usr/lib/postgresql/17/bin/psql",
		},
		"maria_el8": {
			my,
			[]string{"usr/libexec/mysqld", "usr/bin/mysql", "etc/my.cnf.d/", "usr/lib/systemd/system/mariadb.service", "usr/lib/systemd/system/mysqld.service>mariadb.service"},
			"", "/usr/libexec/mysqld", "/var/lib/mysql", "/etc/my.cnf.d", "mariadb", "/usr/bin/mysql",
		},
		"maria_el10": {
			my,
			[]string{"usr/libexec/mariadbd", "usr/bin/mariadb", "usr/bin/mysql>mariadb", "etc/my.cnf=!includedir /etc/my.cnf.d\n", "etc/my.cnf.d/x.cnf=[client]\ndatadir=/no\n[mysqld]\ndatadir = /data/mysql/ # big disk\n", "usr/lib/systemd/system/mariadb.service"},
			"", "/usr/libexec/mariadbd", "/data/mysql", "/etc/my.cnf.d", "mariadb", "/usr/bin/mariadb",
		},
		"maria_sles": {
			my,
			[]string{"usr/sbin/mariadbd", "usr/sbin/mysqld>mariadbd", "usr/bin/mariadb", "etc/my.cnf.d/", "usr/lib/systemd/system/mariadb.service", "usr/lib/systemd/system/mysql.service>mariadb.service"},
			"", "/usr/sbin/mariadbd", "/var/lib/mysql", "/etc/my.cnf.d", "mariadb", "/usr/bin/mariadb",
		},
		"mysql8_el": {
			my,
			[]string{"usr/libexec/mysqld", "usr/bin/mysql", "etc/my.cnf.d/", "usr/lib/systemd/system/mysqld.service"},
			"", "/usr/libexec/mysqld", "/var/lib/mysql", "/etc/my.cnf.d", "mysqld", "/usr/bin/mysql",
		},
		"mysql8_ubuntu": {
			my,
			[]string{"usr/sbin/mysqld", "usr/bin/mysql", "etc/mysql/mysql.conf.d/", "etc/mysql/conf.d/", "lib/systemd/system/mysql.service"},
			"", "/usr/sbin/mysqld", "/var/lib/mysql", "/etc/mysql/mysql.conf.d", "mysql", "/usr/bin/mysql",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Find(tree(t, tc.files...), host.Exec{}, tc.engine)
			check(t, err)
			if s.version != tc.version || s.server != tc.server || s.data != tc.data || s.config != tc.config || s.unit != tc.unit || s.client != tc.client {
				t.Errorf("found %+v", s.place)
			}
		})
	}
}

// TestFindNothing has hosts without a server, or with its client alone.
func TestFindNothing(t *testing.T) {
	for osRelease, packages := range map[string][2]string{
		`ID="rocky"` + "\nID_LIKE=\"rhel fedora\"": {"postgresql-server and perl-DBD-Pg", "mariadb-server and perl-DBD-MySQL"},
		`ID="sles"` + "\nID_LIKE=suse":             {"postgresql-server and perl-DBD-Pg", "mariadb and perl-DBD-mysql"},
		`ID=debian`:                                {"postgresql and libdbd-pg-perl", "mariadb-server and libdbd-mysql-perl"},
	} {
		root := tree(t, "usr/bin/psql", "usr/lib/postgresql/15/bin/psql", "usr/bin/mysql", "etc/mysql/conf.d/")
		check(t, os.WriteFile(root.Path("/etc/os-release"), []byte(osRelease+"\n"), 0o644))
		for i, e := range []database.Engine{database.EnginePostgres, database.EngineMariaDB} {
			if _, err := Find(root, host.Exec{}, e); !errors.Is(err, ErrNotInstalled) || !strings.Contains(err.Error(), packages[i]) {
				t.Errorf("%s: %v", osRelease, err)
			}
		}
	}
	if _, err := Find(tree(t), host.Exec{}, database.EngineSQLite); err == nil || errors.Is(err, ErrNotInstalled) {
		t.Errorf("SQLite: %v", err)
	}
	if Packages(artifact.Distro{ID: "debian"}, database.EngineSQLite) != nil {
		t.Error("SQLite has packages")
	}
}

// TestNoCluster tells an empty directory from one with something else in it.
func TestNoCluster(t *testing.T) {
	for name, tc := range map[string]struct {
		files       []string
		empty, fail bool
	}{
		"missing":   {[]string{"usr/bin/postgres"}, true, false},
		"empty":     {[]string{"usr/bin/postgres", "var/lib/pgsql/data/"}, true, false},
		"cluster":   {[]string{"usr/bin/postgres", "var/lib/pgsql/data/PG_VERSION=15\n"}, false, false},
		"something": {[]string{"usr/bin/postgres", "var/lib/pgsql/data/backup.tar"}, false, true},
		"no_config": {[]string{"usr/lib/postgresql/15/bin/postgres", "usr/bin/pg_createcluster", "var/lib/postgresql/15/main/PG_VERSION=15\n"}, false, true},
	} {
		s, err := Find(tree(t, tc.files...), host.Exec{}, database.EnginePostgres)
		check(t, err)
		if empty, err := s.kind.empty(); empty != tc.empty || (err != nil) != tc.fail {
			t.Errorf("%s: %v, %v", name, empty, err)
		}
	}
}
