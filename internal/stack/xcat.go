package stack

import "github.com/xcrate/xcrate/artifact"

// XCAT returns xCAT 2 (Extreme Cloud Administration Toolkit) as data.
func XCAT() Stack {
	return Stack{
		Name:        "xcat",
		Title:       "xCAT",
		VersionFile: "/opt/xcat/lib/perl/xCAT/Version.pm",
		Credentials: ".xcat",
		Local:       "/opt/xcat",
		NodeTable:   "nodelist",
		// Service nodes keep the database's address and password in a cfgloc of their own.
		ServiceTable: "servicenode",
		LeaveTables:  xcatLeaveTables(),
		Markers: []Marker{
			// The reason for a service node is the better one to read, so it is first.
			{Path: "/etc/xCATSN", Refuse: "this is a service node, run the command on its management node"},
			{Path: "/etc/xCATMN"},
		},
		Vars:    xcatVars(),
		Rules:   xcatRules(),
		Marks:   xcatMarks(),
		Columns: xcatColumns(),

		SecretColumns: xcatSecretColumns(),

		Services: xcatServices(),
		Packages: xcatPackages(),
		Scripts:  xcatScripts(),
		Commands: xcatCommands(),
		Archs:    xcatArchs(),
		Probes:   xcatProbes(),

		Living:    living(),
		Merges:    xcatMerges(),
		EveryFile: everyFile(),
		MasterKey: "master", // perl-xCAT/xCAT/Schema.pm
		Served:    xcatServed(),
	}
}

// xcatVars are the directories that rules name. bindconf and binddir are read
// by the ddns plugin though the schema does not list them.
func xcatVars() []Var {
	return []Var{
		{Name: "installdir", Key: "installdir", Default: "/install"},
		{Name: "tftpdir", Key: "tftpdir", Default: "/tftpboot"},
		{Name: "xcatroot", Default: "/opt/xcat"},
		{Name: "xcatconfdir", Key: "xcatconfdir", Default: "/etc/xcat"},
		{Name: "bindconf", Key: "bindconf", Default: "/etc/named.conf"},
		{Name: "bindzones", Key: "bindzones"},
		{Name: "binddir", Key: "binddir", Default: "/var/named"},
		{Name: "iscsidir", Key: "iscsidir"},
		{Name: "nodesyncfiledir", Key: "nodesyncfiledir", Default: "/var/xcat/node/syncfiles"},
		{Name: "SNsyncfiledir", Key: "SNsyncfiledir", Default: "/var/xcat/syncfiles"},
	}
}

// xcatLeaveTables are the tables dumpxCATdb leaves out, some of them even with -a
// (x_teal, isnm_perf; xCAT-client/sbin/dumpxCATdb), and what means nothing on
// another day.
func xcatLeaveTables() []LeaveTable {
	const log = "log"
	return []LeaveTable{
		{"auditlog*", log},
		{"eventlog*", log},
		{"performance", log},
		{"x_teal*", log},
		{"isnm_perf*", log},
		{"token", "logins of the REST interface, which expire"},
	}
}

func xcatRules() []Rule {
	var all []Rule
	for _, rows := range [][]Rule{
		xcatIdentity(), xcatNaming(), xcatAddresses(), xcatHostServices(), xcatSystem(), xcatInstall(), xcatTFTPBoot(),
	} {
		all = append(all, rows...)
	}
	return all
}

// take is a row for a path that goes into kind.
func take(kind artifact.Kind, path, what, ref string) Rule {
	return Rule{Path: path, Take: kind, What: what, Ref: ref}
}

// mirror is take for a tree whose stale files must not survive an import: an
// identity, which is section 3.1 of the reference.
func mirror(kind artifact.Kind, path, what string) Rule {
	return Rule{Path: path, Take: kind, What: what, Mirror: true, Ref: "3.1"}
}

// leave is a row for a path that is left out.
func leave(path, what, reason, restore, ref string) Rule {
	return Rule{Path: path, What: what, Reason: reason, Restore: restore, Ref: ref}
}
