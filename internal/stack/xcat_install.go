package stack

import "github.com/xcrate/xcrate/artifact"

// xcatInstall is the install directory: all of it is taken but for what is
// licensed by others, large and reproducible. Distro media and diskless images
// lie there under any name, so Marks tell them, not paths.
func xcatInstall() []Rule {
	const secrets, install = artifact.KindSecrets, artifact.KindInstall
	const large = "large; its size is listed"
	const licence = "licensed by its vendor, and large"
	return []Rule{
		take(install, "{installdir}", "the install directory: custom, postscripts, prescripts, osimages, kits, syncfiles, drivers and all else", "3.4"),
		take(install, "{installdir}/custom", "the administrator's templates, package lists and scripts", "3.4"),
		take(install, "{installdir}/postscripts", "postscripts and hooks", "3.4"),
		mirror(install, "{installdir}/postscripts/_ssh", "root's public keys for managed nodes"),
		mirror(install, "{installdir}/postscripts/hostkeys", "public ssh host keys of managed nodes"),
		mirror(install, "{installdir}/postscripts/ca", "certificate of the cluster's authority"),
		mirror(install, "{installdir}/postscripts/_xcat", "certificate of the cluster's authority"),
		take(install, "{installdir}/prescripts", "prescripts", "3.4"),
		take(install, "{installdir}/winpostscripts", "postscripts for Windows", "3.4"),
		take(secrets, "{installdir}/autoinst", "rendered installation files with password digests", "3.4"),
		take(install, "{installdir}/osimages", "files of osimages and kits", "3.4"),
		take(install, "{installdir}/kits", "kits and their repositories", "3.4"),
		take(install, "{installdir}/post/otherpkgs", "the administrator's package repositories", "3.4"),
		take(install, "{installdir}/syncfiles", "sources of synchronised files", "3.4"),
		take(install, "{installdir}/firmware", "firmware files", "3.4"),
		leave("{installdir}/xcat/xcat-core", "packages of xCAT as go-xcat unpacked them", "the kind packages holds them", "", "3.4"),
		leave("{installdir}/xcat/xcat-dep", "packages of xCAT's dependencies as go-xcat unpacked them", "the kind packages holds them", "", "3.4"),
		leave("{installdir}/kdump", "crash dumps of managed nodes", "large, of no use on another host", "", "3.4"),
		leave("{installdir}/osdistroupdates", "mirrors of distro updates", large, "download the updates again, or copy the directory from the old host", "3.4"),
		leave("{installdir}/sysclone", "sysclone images", large, "imgcapture NODE -t sysclone -o IMAGE, or copy the directory from the old host", "3.4"),
		leave("{installdir}/vm", "disks of virtual machines", large, "copy the directory from the old host", "3.4"),
		leave("{installdir}/iscsi", "iSCSI disks", large, "copy the directory from the old host", "3.4"),
		leave("{iscsidir}", "iSCSI disks", large, "copy the directory from the old host", "3.4"),
		leave("{installdir}/tmp", "temporary files", "scratch", "", "3.4"),
		leave("{installdir}/winroot", "Windows PE", licence, "genwinpe.cmd on Windows, then copy it here", "3.4"),
		leave("{installdir}/utils/windows/winpe", "Windows PE", licence, "genwinpe.cmd on Windows, then copy it here", "3.4"),
		leave("{installdir}/images/*/*.wim", "Windows images", licence, "capture them again, or copy them from the old host", "3.4"),
		leave("{installdir}/nim", "AIX network installation", licence, "copy the directory from the old host", "3.4"),
	}
}
