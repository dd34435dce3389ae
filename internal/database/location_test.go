package database

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

func TestLocate(t *testing.T) {
	for name, tc := range map[string]struct {
		env    string // XCATCFG
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
			want:   Location{Engine: EnginePostgres, Host: "10.10.0.1", Name: "xcatdb", User: "xcatadm", Password: NewSecret("s3cret")},
		},
		"postgres_local": {
			cfgloc: "dbi:Pg:dbname=xcatdb|xcatadm|s3cret",
			want:   Location{Engine: EnginePostgres, Name: "xcatdb", User: "xcatadm", Password: NewSecret("s3cret")},
		},
		"mysql": {
			cfgloc: "mysql:dbname=xcatdb;host=db.example;port=3307|xcatadmin|s3cret|x",
			want:   Location{Engine: EngineMariaDB, Host: "db.example", Port: "3307", Name: "xcatdb", User: "xcatadmin", Password: NewSecret("s3cret")},
		},
		"environment":  {env: "SQLite:/from/env", cfgloc: "DB2:x|u|p", want: Location{Engine: EngineSQLite, Dir: "/from/env"}},
		"bad_env":      {env: "s3cret:x", err: "XCATCFG: engine is none of"},
		"csv":          {cfgloc: "CSV:/x", err: "engine CSV: not supported"},
		"no_name":      {cfgloc: "mysql:host=h|xcatadmin|s3cret", err: "no database name"},
		"db2":          {cfgloc: "DB2:xcatdb|xcatdb|s3cret", err: "engine DB2: not supported"},
		"unknown":      {cfgloc: "s3cret:x", err: "none of"},
		"password":     {cfgloc: "xcatadm|s3cret", err: "neither ENGINE"},
		"relative":     {cfgloc: "SQLite:s3cret", err: "neither ENGINE"},
		"garbage_dirs": {cfgloc: "/x|s3cret", err: "neither ENGINE"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Locate(tc.env, func(p string) ([]byte, error) {
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
	if shown := fmt.Sprintf("%v %+v %#v %s %q %d", NewSecret("s3cret"), Location{Password: NewSecret("s3cret")}, NewSecret("s3cret"), NewSecret("s3cret"), NewSecret("s3cret"), NewSecret("s3cret")); strings.Contains(shown, "s3cret") {
		t.Errorf("the password prints: %s", shown)
	}
	if shown, err := json.Marshal(Location{Password: NewSecret("s3cret")}); err != nil || strings.Contains(string(shown), "s3cret") {
		t.Errorf("the password is in JSON: %s, %v", shown, err)
	}
	for _, line := range []string{"SQLite:/etc/xcat", "Pg:dbname=xcatdb;host=10.0.0.1|xcatadm|pw", "mysql:dbname=x;host=h;port=1|u|"} {
		l, err := ParseLocation(line)
		if err != nil || l.Line().Reveal() != line {
			t.Errorf("%s is written as %s, %v", line, l.Line().Reveal(), err)
		}
	}
	_, err := Locate("", func(string) ([]byte, error) { return nil, errors.New("input/output error") }, func(string) bool { return true })
	wantError(t, err, "/etc/xcat/cfgloc", "input/output error")
}
