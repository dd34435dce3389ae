package stack

import "github.com/xcrate/xcrate/artifact"

// xcatHostServices are the configurations of the other services that serve the
// managed nodes: consoles, web, NFS, syslog, databases.
func xcatHostServices() []Rule {
	const secrets, config = artifact.KindSecrets, artifact.KindConfig
	const optional = "optional service, not managed by xCAT"
	return []Rule{
		take(secrets, "/etc/conserver.cf", "consoles, with passwords (legacy)", "3.2"),
		take(secrets, "/etc/goconserver", "console server configuration", "3.2"),
		take(secrets, "/var/lib/goconserver", "consoles of the managed nodes, with passwords", "3.2"),
		take(config, "/etc/logrotate.d/xcat", "log rotation", "3.2"),
		take(config, "/etc/logrotate.d/goconserver", "log rotation", "3.2"),
		take(config, "/etc/logrotate.d/conserver", "log rotation", "3.2"),
		leave("/var/log/consoles", "console logs", "logs", "mkdir -p /var/log/consoles", "3.2"),
		leave("/var/log/goconserver", "console server logs", "logs", "", "3.2"),
		leave("/var/log/xcat", "xCAT's logs", "logs", "", "3.2"),

		take(config, "/etc/httpd/conf.d", "web server configuration (EL)", "3.2"),
		take(config, "/etc/apache2/conf.d", "web server configuration (SLES)", "3.2"),
		take(config, "/etc/apache2/conf-available/xcat*", "web server configuration (Debian)", "3.2"),
		take(config, "/etc/apache2/conf-enabled/xcat*", "web server configuration (Debian)", "3.2"),
		leave("/etc/httpd", "web server configuration beside conf.d", "belongs to the base distro", "copy what was changed from the old host", "3.2"),
		leave("/etc/apache2", "web server configuration beside xCAT's", "belongs to the base distro", "copy what was changed from the old host", "3.2"),
		leave("/var/www", "web pages", "belongs to the administrator's web server", "copy it from the old host", "3.2"),

		take(config, "/etc/exports", "NFS exports", "3.2"),
		take(config, "/etc/exports.d", "NFS exports", "3.2"),
		take(config, "/etc/nfs.conf", "NFS server", "3.2"),
		take(config, "/etc/sysconfig/nfs", "NFS server", "3.2"),
		take(config, "/etc/default/nfs-*", "NFS server (Debian)", "3.2"),
		leave("/var/lib/nfs", "NFS mount state", "holds the state of the running server", "exportfs -ra", "3.2"),

		take(config, "/etc/rsyslog.conf*", "syslog", "3.2"),
		take(config, "/etc/rsyslog.d", "syslog", "3.2"),
		take(config, "/etc/syslog-ng", "syslog", "3.2"),

		take(secrets, "/etc/odbc.ini", "database access", "3.2"),
		take(secrets, "/etc/odbcinst.ini", "database drivers", "3.2"),
		take(secrets, "/etc/unixODBC", "database access (SLES)", "3.2"),
		leave("/var/lib/pgsql", "PostgreSQL data and configuration", "the kind database holds xCAT's rows; the files suit one server version only",
			"copy own settings of pg_hba.conf and postgresql.conf from the old host", "3.2"),
		leave("/var/lib/postgresql", "PostgreSQL data (Debian)", "the kind database holds xCAT's rows", "", "3.2"),
		leave("/etc/postgresql", "PostgreSQL configuration (Debian)", "suits one server version only", "copy own settings from the old host", "3.2"),
		leave("/var/lib/mysql", "MariaDB or MySQL data", "the kind database holds xCAT's rows", "", "3.2"),
		leave("/etc/my.cnf", "MariaDB or MySQL configuration", "suits one server version only", "copy own settings from the old host", "3.2"),
		leave("/etc/my.cnf.d", "MariaDB or MySQL configuration", "suits one server version only", "copy own settings from the old host", "3.2"),
		leave("/etc/mysql", "MariaDB or MySQL configuration (Debian)", "suits one server version only", "copy own settings from the old host", "3.2"),

		leave("/etc/systemimager", "SystemImager configuration", optional, "copy it from the old host", "3.2"),
		leave("/etc/vsftpd*", "FTP server", optional, "copy it from the old host", "3.2"),
		leave("/etc/openldap", "LDAP", optional, "copy it from the old host", "3.2"),
		leave("/etc/confluent", "confluent configuration", optional, "confluentdbutil dump on the old host, restore on the new", "3.2"),
		leave("/var/lib/confluent", "confluent data", optional, "copy it from the old host", "3.2"),
		leave("/etc/ganglia", "monitoring", optional, "copy it from the old host", "3.2"),
		leave("/etc/nagios", "monitoring", optional, "copy it from the old host", "3.2"),
	}
}
