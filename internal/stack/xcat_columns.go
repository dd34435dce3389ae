package stack

import "github.com/xcrate/xcrate/artifact"

// Where xCAT looks for scripts that are named without a directory.
const (
	postscriptsDir = "{installdir}/postscripts"
	prescriptsDir  = "{installdir}/prescripts"
)

// xcatColumns are the columns of perl-xCAT/xCAT/Schema.pm that name files of
// the management node.
func xcatColumns() []Column { return append(xcatImageColumns(), xcatOtherColumns()...) }

// xcatImageColumns are those of osimages.
func xcatImageColumns() []Column {
	const osimage, linux, windows, key = "osimage", "linuximage", "winimage", "imagename"
	synclists := listColumn(osimage, key, "synclists")
	// What is kept in step on all nodes is often a key: munge.key, shadow.
	synclists.Scan, synclists.Sources = ScanSynclist, artifact.KindSecrets
	winpe := pathColumn(windows, key, "winpepath")
	winpe.Base = "{tftpdir}"
	return []Column{
		synclists,
		pathColumn(osimage, key, "cfmdir"),
		scriptColumn(osimage, key, "postscripts", postscriptsDir),
		scriptColumn(osimage, key, "postbootscripts", postscriptsDir),
		pathColumn(linux, key, "template").includes(),
		listColumn(linux, key, "pkglist").includes(),
		listColumn(linux, key, "pkgdir"),
		listColumn(linux, key, "otherpkglist").includes(),
		listColumn(linux, key, "otherpkgdir"),
		listColumn(linux, key, "exlist").includes(),
		scriptColumn(linux, key, "postinstall", ""),
		pathColumn(linux, key, "rootimgdir"),
		pathColumn(linux, key, "kerneldir"),
		listColumn(linux, key, "partitionfile").after("s:", "d:", "c:").includes(),
		listColumn(linux, key, "driverupdatesrc").after("dud:", "rpm:"),
		pathColumn(linux, key, "dump"),
		pathColumn(windows, key, "template").includes(),
		pathColumn(windows, key, "partitionfile"),
		winpe,
	}
}

// xcatOtherColumns are those of kits, nodes and all else. Files of a kit are
// named in a directory of kit.kitdir (plugin kit); storage of a virtual machine
// that is no directory is a pool or a device.
func xcatOtherColumns() []Column {
	keys := pathColumn("zone", "zonename", "sshkeydir")
	keys.Kind = artifact.KindSecrets
	plugin := pathColumn("notification", "filename", "filename")
	plugin.Base = "{xcatroot}/lib/perl/xCAT_monitoring"
	kernel, initrd := pathColumn("boottarget", "bprofile", "kernel"), pathColumn("boottarget", "bprofile", "initrd")
	kernel.Base, initrd.Base = "{tftpdir}", "{tftpdir}"
	// [ACTION:]SCRIPT,...[|ACTION:SCRIPT,...]
	begin := scriptColumn("prescripts", "node", "begin", prescriptsDir).after("*:")
	end := scriptColumn("prescripts", "node", "end", prescriptsDir).after("*:")
	begin.Separators, end.Separators = ",|", ",|"
	return []Column{
		pathColumn("kit", "kitname", "kitdir"),
		pathColumn("kit", "kitname", "kitdeployparams").absolute(),
		pathColumn("kitrepo", "kitreponame", "kitrepodir"),
		pathColumn("kitcomponent", "kitcompname", "exlist").absolute(),
		scriptColumn("kitcomponent", "kitcompname", "postbootscripts", postscriptsDir),
		pathColumn("firmware", "node", "cfgfile"),
		keys,
		pathColumn("nodehm", "node", "cmdmapping"),
		plugin,
		pathColumn("iscsi", "node", "file").left("iSCSI disks are large: copy the file from the old host"),
		listColumn("osdistro", "osdistroname", "dirpaths"),
		pathColumn("osdistroupdate", "osupdatename", "dirpath").left("mirrors of distro updates are large: download them again"),
		listColumn("vm", "node", "storage").after("dir://").absolute().
			left("disks of virtual machines are large: copy them from the old host"),
		pathColumn("vm", "node", "cfgstore").absolute().left("belongs to the virtual machines' host: copy it from there"),
		kernel, initrd, begin, end,
		scriptColumn("postscripts", "node", "postscripts", postscriptsDir),
		scriptColumn("postscripts", "node", "postbootscripts", postscriptsDir),
	}
}

// pathColumn is a column that holds one path.
func pathColumn(table, key, column string) Column {
	return Column{Table: table, Key: key, Column: column, Kind: artifact.KindConfig, Ref: "3.6"}
}

// listColumn is a column that holds paths with commas between.
func listColumn(table, key, column string) Column {
	c := pathColumn(table, key, column)
	c.Separators = ","
	return c
}

// scriptColumn is a column that holds scripts with arguments, those without a
// directory in base.
func scriptColumn(table, key, column, base string) Column {
	c := listColumn(table, key, column)
	c.Args, c.Base = true, base
	return c
}

func (c Column) includes() Column                { c.Scan = ScanIncludes; return c }
func (c Column) after(prefixes ...string) Column { c.Prefixes = prefixes; return c }
func (c Column) absolute() Column                { c.SkipRelative = true; return c }
func (c Column) left(reason string) Column       { c.Leave = reason; return c }
