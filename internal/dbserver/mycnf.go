package dbserver

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/xcrate/xcrate/internal/host"
)

// mycnfFiles are what servers read first, as the distros build them; they include
// the rest (MariaDB, "Configuring MariaDB with Option Files").
var mycnfFiles = []string{"/etc/my.cnf", "/etc/mysql/my.cnf"}

// myDataDir returns where the server of a root keeps its data: of the option files
// the last that says so counts; "" if none does.
func myDataDir(root *host.Root) (string, error) {
	c := cnf{root: root}
	for _, f := range mycnfFiles {
		if err := c.read(f, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return c.datadir, nil
}

type cnf struct {
	root    *host.Root
	datadir string
}

func (c *cnf) read(file string, depth int) error {
	if depth > maxIncludes {
		return errors.New("file " + file + ": is included by itself")
	}
	b, err := c.root.ReadFile(file, maxConfig)
	if err != nil {
		return err
	}
	servers := false // the section is one of the server
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "["):
			servers = serverSection(strings.Trim(line, "[]"))
		case strings.HasPrefix(line, "!includedir "):
			err = c.readDir(strings.TrimSpace(strings.TrimPrefix(line, "!includedir ")), depth)
		case strings.HasPrefix(line, "!include "):
			err = c.read(strings.TrimSpace(strings.TrimPrefix(line, "!include ")), depth+1)
		case servers:
			if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "datadir" {
				value, _, _ = strings.Cut(value, "#")
				c.datadir = path.Clean(strings.Trim(strings.TrimSpace(value), `"'`))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readDir reads the files of a directory that end in ".cnf", in the order of their
// names. One that is missing has none.
func (c *cnf) readDir(dir string, depth int) error {
	names, err := c.root.Names(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".cnf") {
			if err := c.read(path.Join(dir, n), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// serverSection reports whether the server reads a section: "mysqld", "mariadb",
// and these with a version behind.
func serverSection(name string) bool {
	base, _, _ := strings.Cut(name, "-")
	return base == "mysqld" || base == "server" || base == "mariadb" || base == "mariadbd"
}
