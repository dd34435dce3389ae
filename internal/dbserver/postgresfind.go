package dbserver

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/xcrate/xcrate/internal/host"
)

// findPostgres looks where packages put PostgreSQL. Of several the newest that has
// a cluster counts, else the newest: an older one without a cluster is what an
// update left.
func findPostgres(root *host.Root) (place, bool, error) {
	var found []place
	for _, find := range []func(*host.Root) ([]place, error){debianPostgres, pgdgPostgres, distroPostgres} {
		places, err := find(root)
		if err != nil {
			return place{}, false, err
		}
		found = append(found, places...)
	}
	if len(found) == 0 {
		return place{}, false, nil
	}
	has := func(p place) int {
		if root.Exists(p.data + "/PG_VERSION") {
			return 1
		}
		return 0
	}
	return slices.MaxFunc(found, func(a, b place) int {
		return cmp.Or(cmp.Compare(has(a), has(b)), cmp.Compare(major(a.version), major(b.version)))
	}), true, nil
}

func major(version string) int {
	n, _ := strconv.Atoi(version) // 0 for none
	return n
}

// pgPrograms are PostgreSQL's in one directory; false without a server.
func pgPrograms(root *host.Root, bin string) (programs, bool) {
	return programs{server: bin + "/postgres", client: bin + "/psql", init: bin + "/initdb", ctl: bin + "/pg_ctl"},
		root.Exists(bin + "/postgres")
}

// versions lists what stands in directory dir for "*" in names like "pgsql-*", of
// what is a number. A directory that is missing has none.
func versions(root *host.Root, dir, prefix string) ([]string, error) {
	names, err := root.Names(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []string
	for _, n := range names {
		if v, ok := strings.CutPrefix(n, prefix); ok && major(v) > 0 {
			all = append(all, v)
		}
	}
	return all, nil
}

// debianPostgres finds clusters of postgresql-common: programs, data and
// configuration lie apart, and a template unit runs each (README.Debian there).
func debianPostgres(root *host.Root) ([]place, error) {
	if !root.Exists("/usr/bin/pg_createcluster") {
		return nil, nil
	}
	all, err := versions(root, "/usr/lib/postgresql", "")
	var found []place
	for _, v := range all {
		p, ok := pgPrograms(root, "/usr/lib/postgresql/"+v+"/bin")
		if !ok {
			continue
		}
		at := place{
			version: v, programs: p, data: "/var/lib/postgresql/" + v + "/main", config: "/etc/postgresql/" + v + "/main",
			unit: "postgresql@" + v + "-main", boot: "postgresql", account: "postgres",
		}
		settings, err := (&machine{root: root}).pgSettings(at.config + "/postgresql.conf")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if d := settings["data_directory"]; d != "" {
			at.data = d
		}
		found = append(found, at)
	}
	return found, err
}

// pgdgPostgres finds what PostgreSQL's own repositories install on EL and SLES.
func pgdgPostgres(root *host.Root) ([]place, error) {
	all, err := versions(root, "/usr", "pgsql-")
	var found []place
	for _, v := range all {
		if p, ok := pgPrograms(root, "/usr/pgsql-"+v+"/bin"); ok {
			data := "/var/lib/pgsql/" + v + "/data"
			found = append(found, place{version: v, programs: p, data: data, config: data, unit: "postgresql-" + v, boot: "postgresql-" + v, account: "postgres"})
		}
	}
	return found, err
}

// distroPostgres finds the server of EL, whose programs are in the path, and of
// SLES, whose programs lie beside those of other versions.
func distroPostgres(root *host.Root) ([]place, error) {
	const data = "/var/lib/pgsql/data"
	p := place{data: data, config: data, unit: "postgresql", boot: "postgresql", account: "postgres"}
	var ok bool
	if p.programs, ok = pgPrograms(root, "/usr/bin"); ok && !root.Exists("/usr/bin/pg_createcluster") {
		return suseVersion(root, p)
	}
	all, err := versions(root, "/usr/lib", "postgresql")
	var found []place
	for _, v := range all {
		if p.programs, ok = pgPrograms(root, "/usr/lib/postgresql"+v+"/bin"); ok {
			p.version = v
			found = append(found, p)
		}
	}
	return found, err
}

// suseVersion says what version a server in the path is: links lead to it on SLES,
// and a cluster that is there knows it.
func suseVersion(root *host.Root, p place) ([]place, error) {
	if program, err := root.Resolve(p.server); err == nil {
		dir := path.Base(path.Dir(path.Dir(program)))
		if v, ok := strings.CutPrefix(dir, "postgresql"); ok && major(v) > 0 {
			p.version = v
		}
	}
	b, err := root.ReadFile(p.data+"/PG_VERSION", 64)
	if err == nil && p.version == "" {
		p.version = strings.TrimSpace(string(b))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return []place{p}, nil
}
