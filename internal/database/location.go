package database

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path"
	"strings"

	"github.com/xcrate/xcrate/internal/host"
)

// Engine names a database engine as snapshots do.
type Engine string

// The engines xCAT is documented to run on and snapshots know.
const (
	EngineSQLite   Engine = "sqlite"
	EnginePostgres Engine = "postgres"
	EngineMariaDB  Engine = "mariadb" // MySQL as well
)

// Engines lists the engines.
func Engines() []Engine { return []Engine{EngineSQLite, EnginePostgres, EngineMariaDB} }

// Location says where a management node keeps its database.
type Location struct {
	Engine Engine
	Dir    string // of the SQLite files, a path of the host; "" for the others
	// Host is the server's: "" is the engine's usual socket, and what begins with
	// "/" a socket (MariaDB) or the directory it lies in (PostgreSQL).
	Host     string
	Port     string // "" is the engine's default
	Name     string // of the database on the server
	User     string
	Password Secret
}

// Cfgloc is the file that tells xCAT where its database is, a path of the host.
const Cfgloc = "/etc/xcat/cfgloc"

// Locate decides where the database is as xCAT does (get_xcatcfg in Table.pm):
// the environment variable XCATCFG, whose value is env, then the first line of
// /etc/xcat/cfgloc where there is one, else SQLite in /opt/xcat/cfg if that
// directory exists, else in /etc/xcat. Both functions take paths of the host;
// readFile's error for a missing file wraps fs.ErrNotExist.
func Locate(env string, readFile func(path string) ([]byte, error), isDir func(path string) bool) (Location, error) {
	from, line := "XCATCFG", env
	if line == "" {
		content, err := readFile(Cfgloc)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Location{}, fmt.Errorf("database location: %s: %w", Cfgloc, err)
		}
		from = Cfgloc
		line, _, _ = strings.Cut(string(content), "\n")
	}
	if line == "" {
		for _, dir := range []string{"/opt/xcat/cfg", "/etc/xcat"} {
			if isDir(dir) {
				return Location{Engine: EngineSQLite, Dir: dir}, nil
			}
		}
		return Location{}, fmt.Errorf("database location: neither /etc/xcat/cfgloc nor /opt/xcat/cfg nor /etc/xcat exists: %w", fs.ErrNotExist)
	}
	l, err := ParseLocation(line)
	if err != nil {
		return Location{}, fmt.Errorf("database location: %s: %w", from, err)
	}
	return l, nil
}

// LocateIn is Locate for the host whose disk is at root.
func LocateIn(root *host.Root, env string) (Location, error) {
	return Locate(env,
		func(p string) ([]byte, error) { return root.ReadFile(p, 1<<20) },
		func(p string) bool { st, err := root.Stat(p); return err == nil && st.IsDir() })
}

// ParseLocation reads the first line of cfgloc, "ENGINE:SOURCE|USER|PASSWORD". What it cannot make sense
// of is never quoted: it may be the password.
func ParseLocation(line string) (Location, error) {
	connection, credentials, _ := strings.Cut(line, "|")
	connection = strings.TrimPrefix(connection, "dbi:")
	name, source, found := strings.Cut(connection, ":")
	if !found { // xCAT takes it for a directory
		name, source = "SQLite", line
	}
	user, password, _ := strings.Cut(credentials, "|")
	password, _, _ = strings.Cut(password, "|") // as Perl's split does
	switch name {
	case "SQLite":
		if !path.IsAbs(source) || strings.ContainsAny(source, "|\x00") {
			return Location{}, errors.New("first line is neither ENGINE:SOURCE nor an absolute directory")
		}
		return Location{Engine: EngineSQLite, Dir: path.Clean(source)}, nil
	case "Pg":
		return serverLocation(EnginePostgres, source, user, password)
	case "mysql", "MariaDB":
		return serverLocation(EngineMariaDB, source, user, password)
	case "DB2", "CSV":
		return Location{}, fmt.Errorf("engine %s: not supported; move to SQLite, PostgreSQL or MariaDB first", name)
	default:
		return Location{}, errors.New("engine is none of SQLite, Pg, mysql")
	}
}

// serverLocation reads "dbname=xcatdb;host=10.0.0.1", the keys those of
// DBD::Pg and DBD::mysql.
func serverLocation(e Engine, source, user, password string) (Location, error) {
	l := Location{Engine: e, User: user, Password: NewSecret(password)}
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

// Line is the location as a line of cfgloc, with the password.
func (l Location) Line() Secret {
	if l.Engine == EngineSQLite {
		return NewSecret("SQLite:" + l.Dir)
	}
	name := "Pg"
	if l.Engine == EngineMariaDB {
		name = "mysql"
	}
	line := name + ":dbname=" + l.Name
	if l.Host != "" {
		line += ";host=" + l.Host
	}
	if l.Port != "" {
		line += ";port=" + l.Port
	}
	return NewSecret(line + "|" + l.User + "|" + l.Password.Reveal())
}

// SplitServer reads HOST, HOST:PORT, [ADDRESS]:PORT or a path, as Host and Port
// of a Location.
func SplitServer(s string) (host, port string) {
	if strings.HasPrefix(s, "/") {
		return s, ""
	}
	if h, p, err := net.SplitHostPort(s); err == nil {
		return h, p
	}
	return strings.Trim(s, "[]"), ""
}
