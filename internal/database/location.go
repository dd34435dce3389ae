package database

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Engine names a database engine as snapshots do.
type Engine string

// The engines xCAT is documented to run on and snapshots know.
const (
	EngineSQLite   Engine = "sqlite"
	EnginePostgres Engine = "postgres"
	EngineMariaDB  Engine = "mariadb" // MySQL as well
)

// Location says where a management node keeps its database. The password that
// stands beside the user in cfgloc is not taken over.
type Location struct {
	Engine Engine
	Dir    string // of the SQLite files, a path of the host; "" for the others
	Host   string // of the server; "" is the local socket
	Port   string // "" is the engine's default
	Name   string // of the database on the server
	User   string
}

const cfgloc = "/etc/xcat/cfgloc"

// Locate decides where the database is as xCAT does (get_xcatcfg in Table.pm):
// the first line of /etc/xcat/cfgloc where there is one, else SQLite in
// /opt/xcat/cfg if that directory exists, else in /etc/xcat. Both functions
// take paths of the host; readFile's error for a missing file wraps
// fs.ErrNotExist.
//
// The environment variable XCATCFG, which xCAT looks at first, is ignored on
// purpose: it is that of whoever runs this program, while the daemon of the
// management node, perhaps below another root, has its own.
func Locate(readFile func(path string) ([]byte, error), isDir func(path string) bool) (Location, error) {
	content, err := readFile(cfgloc)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Location{}, fmt.Errorf("database location: %s: %w", cfgloc, err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	if line == "" {
		for _, dir := range []string{"/opt/xcat/cfg", "/etc/xcat"} {
			if isDir(dir) {
				return Location{Engine: EngineSQLite, Dir: dir}, nil
			}
		}
		return Location{}, errors.New("database location: neither /etc/xcat/cfgloc nor /opt/xcat/cfg nor /etc/xcat exists")
	}
	l, err := parseLocation(line)
	if err != nil {
		return Location{}, fmt.Errorf("database location: %s: %w", cfgloc, err)
	}
	return l, nil
}

// parseLocation reads "ENGINE:SOURCE|USER|PASSWORD". What it cannot make sense
// of is never quoted: it may be the password.
func parseLocation(line string) (Location, error) {
	connection, credentials, _ := strings.Cut(line, "|")
	connection = strings.TrimPrefix(connection, "dbi:")
	name, source, found := strings.Cut(connection, ":")
	if !found { // xCAT takes it for a directory
		name, source = "SQLite", line
	}
	user, _, _ := strings.Cut(credentials, "|")
	switch name {
	case "SQLite":
		if !path.IsAbs(source) || strings.ContainsAny(source, "|\x00") {
			return Location{}, errors.New("first line is neither ENGINE:SOURCE nor an absolute directory")
		}
		return Location{Engine: EngineSQLite, Dir: path.Clean(source)}, nil
	case "Pg":
		return serverLocation(EnginePostgres, source, user)
	case "mysql", "MariaDB":
		return serverLocation(EngineMariaDB, source, user)
	case "DB2", "CSV":
		return Location{}, fmt.Errorf("engine %s: not supported; move to SQLite, PostgreSQL or MariaDB first", name)
	default:
		return Location{}, errors.New("engine is none of SQLite, Pg, mysql")
	}
}

// serverLocation reads "dbname=xcatdb;host=10.0.0.1", the keys those of
// DBD::Pg and DBD::mysql.
func serverLocation(e Engine, source, user string) (Location, error) {
	l := Location{Engine: e, User: user}
	for pair := range strings.SplitSeq(source, ";") {
		key, value, _ := strings.Cut(pair, "=")
		switch strings.TrimSpace(key) {
		case "dbname", "database", "db":
			l.Name = strings.TrimSpace(value)
		case "host", "hostaddr":
			l.Host = strings.TrimSpace(value)
		case "port":
			l.Port = strings.TrimSpace(value)
		}
	}
	if l.Name == "" {
		return Location{}, fmt.Errorf("engine %s: no database name", e)
	}
	return l, nil
}
