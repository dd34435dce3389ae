package dbserver

import "github.com/xcrate/xcrate/internal/host"

// mariadbConfigs are the directories from which the servers of the distros read
// "*.cnf" last: Debian's MariaDB and MySQL, then EL and SLES.
var mariadbConfigs = []string{"/etc/mysql/mariadb.conf.d", "/etc/mysql/mysql.conf.d", "/etc/mysql/conf.d", "/etc/my.cnf.d"}

// findMariaDB looks where packages put MariaDB or MySQL. Its names differ by age:
// MariaDB's own came with 10.4.
func findMariaDB(root *host.Root) (place, bool, error) {
	first := func(paths ...string) string {
		for _, p := range paths {
			if root.Exists(p) {
				return p
			}
		}
		return ""
	}
	p := place{
		programs: programs{
			server: first("/usr/sbin/mariadbd", "/usr/libexec/mariadbd", "/usr/sbin/mysqld", "/usr/libexec/mysqld"),
			client: first("/usr/bin/mariadb", "/usr/bin/mysql"),
			init:   first("/usr/bin/mariadb-install-db", "/usr/bin/mysql_install_db"), // "": MySQL, whose server does it
		},
		data: "/var/lib/mysql", config: first(mariadbConfigs...), account: "mysql",
	}
	for _, unit := range []string{"mariadb", "mysqld", "mysql"} {
		for _, dir := range []string{"/etc/systemd/system/", "/usr/lib/systemd/system/", "/lib/systemd/system/"} {
			// Aliases are links: enabling one is an error.
			if st, err := root.Lstat(dir + unit + ".service"); err == nil && st.IsRegular() && p.unit == "" {
				p.unit, p.boot = unit, unit
			}
		}
	}
	if p.server == "" || p.client == "" || p.config == "" || p.unit == "" {
		return place{}, false, nil
	}
	data, err := myDataDir(root)
	if data != "" {
		p.data = data
	}
	return p, true, err
}
