package stack

import "github.com/xcrate/xcrate/artifact"

// xcatIdentity are the paths that make the node the one its cluster knows:
// keys, certificates, database.
func xcatIdentity() []Rule {
	const secrets, config = artifact.KindSecrets, artifact.KindConfig
	return []Rule{
		take(config, "/etc/xCATMN", "marker of a management node", "3.1"),
		take(secrets, "/etc/xcat", "xCAT's configuration with cfgloc, ddns.key, zone and directory-service keys", "3.1"),
		take(secrets, "{xcatconfdir}", "xCAT's configuration in the directory site.xcatconfdir names", "1.1"),
		mirror(secrets, "/etc/xcat/ca", "certificate authority of the cluster"),
		mirror(secrets, "/etc/xcat/cert", "certificate and key of xcatd"),
		mirror(secrets, "/etc/xcat/hostkeys", "ssh host keys of all managed nodes"),
		take(secrets, "/etc/xcat/sshkeys", "root's ssh keys by zone", "3.1"),
		take(config, "/etc/xcat/conf.orig", "web server configurations as packaged", "3.1"),
		leave("/etc/xcat/*.sqlite*", "database tables (SQLite)", "the kind database holds their rows", "", "3.1"),
		leave("{xcatconfdir}/*.sqlite*", "database tables (SQLite)", "the kind database holds their rows", "", "1.1"),
		leave("/etc/xcat/genesis-scripts-updated", "flag of the genesis packages", "asks xcatconfig to run mknb once", "", "3.1"),
		leave("/etc/xcat/genesis-base-updated", "flag of the genesis packages", "asks xcatconfig to run mknb once", "", "3.1"),
		take(secrets, "~/.xcat", "client certificate of the user", "3.1"),
		take(secrets, "/root/.xcat", "client certificate of root", "3.1"),
		take(secrets, "/root/.ssh", "ssh keys of root, the cluster's own", "3.1"),
		take(secrets, "/root/.odbc.ini", "database access of root", "3.2"),
		leave("/root/xcat-dbback", "database dump of pgsqlsetup or mysqlsetup", "left over from a change of engine, holds every password", "", "3.2"),
		leave("/etc/ssh", "sshd configuration and host keys of the management node", "belongs to the base distro; a second host must not have the same keys",
			"copy ssh_host_* from the old host if this host takes its name", "3.2"),
		take(config, "/etc/sysconfig/xcat", "environment of xcatd", "3.2"),
		leave("/etc/profile.d/xcat.sh", "shell environment of xCAT", "package xCAT-client writes it", "", "3.2"),
		leave("/etc/profile.d/xcat.csh", "shell environment of xCAT", "package xCAT-client writes it", "", "3.2"),
		take(config, "/etc/systemd/system/xcatd.service.d", "drop-ins of xcatd", "1.1"),
		leave("/etc/systemd/system/xcatd.service.d/xcrate-database.conf", "order of xcatd and its database",
			"names the unit of this host's server; an import makes it anew", "", "1.1"),
		leave("{xcatroot}", "xCAT's programs, stock templates and local changes among them",
			"the packages bring them; where a package database can tell what was changed or added, that is kind opt",
			"compare /opt/xcat with the package files, and keep own files below the install directory's custom/", "3.3"),
		take(config, "/var/lib/xcat", "proxy DHCP configuration and storage pools", "3.2"),
		leave("/var/lib/xcat/xcatd-init-state", "state of the package scripts", "is made new by the packages", "", "3.2"),
		leave("{nodesyncfiledir}", "staging area of node synchronisation", "is filled by updatenode", "updatenode NODES -F", "3.2"),
		leave("{SNsyncfiledir}", "staging area of service node synchronisation", "is filled by updatenode", "updatenode NODES -F", "3.2"),
		leave("/etc/xcatdockerca", "certificate authority for docker hosts", "option of older xCAT versions", "copy it from the old host if docker hosts are managed", "1.6"),
		leave("/run/xcat", "run-time state", "is made new at each start", "", "3.2"),
		leave("/var/lock/xcat", "run-time locks", "are made new at each start", "", "3.2"),
		leave("/tmp/xcat*", "temporary files", "scratch", "", "3.2"),
		leave("/xcatpost", "postscripts as run on the node itself", "run-time copy of the install directory's postscripts", "", "3.2"),
	}
}
