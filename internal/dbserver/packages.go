package dbserver

import (
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
)

// Packages are the names, on a distro, of the packages that bring the server of
// an engine and the Perl driver xCAT reaches it with; nil for SQLite.
func Packages(d artifact.Distro, engine database.Engine) []string {
	family := strings.Fields(d.ID + " " + d.Like)
	is := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(family, n) })
	}
	debian, suse := is("debian", "ubuntu"), is("suse", "sles", "opensuse")
	switch {
	case engine == database.EnginePostgres && debian:
		return []string{"postgresql", "libdbd-pg-perl"}
	case engine == database.EnginePostgres:
		return []string{"postgresql-server", "perl-DBD-Pg"}
	case engine == database.EngineMariaDB && debian:
		return []string{"mariadb-server", "libdbd-mysql-perl"}
	case engine == database.EngineMariaDB && suse:
		return []string{"mariadb", "perl-DBD-mysql"}
	case engine == database.EngineMariaDB:
		return []string{"mariadb-server", "perl-DBD-MySQL"}
	}
	return nil
}

// list joins words as a sentence has them: "a, b and c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
