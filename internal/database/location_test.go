package database

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

func TestLocate(t *testing.T) {
	t.Setenv("XCATCFG", "SQLite:/from/the/environment")
	for name, tc := range map[string]struct {
		cfgloc string // "" is no file
		dirs   []string
		want   Location
		err    string
	}{
		"default":          {dirs: []string{"/etc/xcat"}, want: Location{Engine: EngineSQLite, Dir: "/etc/xcat"}},
		"old_directory":    {dirs: []string{"/etc/xcat", "/opt/xcat/cfg"}, want: Location{Engine: EngineSQLite, Dir: "/opt/xcat/cfg"}},
		"nothing":          {err: "neither"},
		"sqlite":           {cfgloc: "SQLite:/data/xcat/\nrest\n", want: Location{Engine: EngineSQLite, Dir: "/data/xcat"}},
		"bare_directory":   {cfgloc: "/data/xcat", want: Location{Engine: EngineSQLite, Dir: "/data/xcat"}},
		"empty_first_line": {cfgloc: "\nmysql:dbname=x|u|p\n", dirs: []string{"/etc/xcat"}, want: Location{Engine: EngineSQLite, Dir: "/etc/xcat"}},
		"postgres": {
			cfgloc: "Pg:dbname=xcatdb;host=10.10.0.1|xcatadm|s3cret\n",
			want:   Location{Engine: EnginePostgres, Host: "10.10.0.1", Name: "xcatdb", User: "xcatadm"},
		},
		"postgres_local": {
			cfgloc: "dbi:Pg:dbname=xcatdb|xcatadm|s3cret",
			want:   Location{Engine: EnginePostgres, Name: "xcatdb", User: "xcatadm"},
		},
		"mysql": {
			cfgloc: "mysql:dbname=xcatdb;host=db.example;port=3307|xcatadmin|s3|cret",
			want:   Location{Engine: EngineMariaDB, Host: "db.example", Port: "3307", Name: "xcatdb", User: "xcatadmin"},
		},
		"no_name":      {cfgloc: "mysql:host=h|xcatadmin|s3cret", err: "no database name"},
		"db2":          {cfgloc: "DB2:xcatdb|xcatdb|s3cret", err: "engine DB2: not supported"},
		"unknown":      {cfgloc: "s3cret:x", err: "none of"},
		"password":     {cfgloc: "xcatadm|s3cret", err: "neither ENGINE"},
		"relative":     {cfgloc: "SQLite:s3cret", err: "neither ENGINE"},
		"garbage_dirs": {cfgloc: "/x|s3cret", err: "neither ENGINE"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Locate(func(p string) ([]byte, error) {
				if tc.cfgloc == "" || p != "/etc/xcat/cfgloc" {
					return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
				}
				return []byte(tc.cfgloc), nil
			}, func(p string) bool { return slices.Contains(tc.dirs, p) })
			if tc.err != "" {
				wantError(t, err, tc.err)
				if err != nil && strings.Contains(err.Error(), "s3cret") {
					t.Errorf("the password is in %q", err)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tc.want)
			}
		})
	}
	_, err := Locate(func(string) ([]byte, error) { return nil, errors.New("input/output error") }, func(string) bool { return true })
	wantError(t, err, "/etc/xcat/cfgloc", "input/output error")
}
