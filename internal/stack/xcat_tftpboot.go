package stack

import "github.com/xcrate/xcrate/artifact"

// xcatTFTPBoot is the boot directory: all of it is taken but for loaders that
// packages bring, and copies of distro kernels. Genesis is told by Marks.
func xcatTFTPBoot() []Rule {
	const tftpboot, secrets = artifact.KindTFTPBoot, artifact.KindSecrets
	rows := []Rule{
		take(tftpboot, "{tftpdir}", "the boot directory: boot files of every managed node and all else", "3.5"),
		take(secrets, "{tftpdir}/mypostscripts", "rendered postscripts, credentials among them", "3.5"),
		leave("{tftpdir}/xcat/osimage", "kernels and initrds of osimages", "copies from distro media or from images, which are left out too",
			"nodeset NODES osimage=IMAGE", "3.5"),
		leave("{tftpdir}/xcat/netboot", "kernels and initrds of diskless images", "copies from images, which are left out too",
			"nodeset NODES osimage=IMAGE", "3.5"),
		leave("{tftpdir}/xcat/xnba/nets", "boot files by network", "hold addresses of this machine", "mknb ARCH -c", "3.5"),
		leave("{tftpdir}/pxelinux.cfg/p", "boot files by network", "hold addresses of this machine", "mknb ARCH -c", "3.5"),
		leave("{tftpdir}/tftpboot.list", "file list of xcatsnap", "support data", "", "3.5"),
		leave("{tftpdir}/winboot", "Windows PE", "licensed by its vendor, and large", "genwinpe.cmd on Windows, then copy it here", "3.5"),
		leave("{tftpdir}/Boot", "Windows boot files", "licensed by their vendor", "copy them from Windows PE", "3.5"),
	}
	for _, loader := range []struct{ path, pkg string }{
		{"xcat/xnba.kpxe", "xnba-undi"},
		{"xcat/xnba.efi", "xnba-undi"},
		{"xcat/undionly.kpxe", "xnba-undi"},
		{"xcat/elilo-x64.efi", "elilo-xcat"},
		{"xcat/esxboot-x64.efi", "esxboot-xcat"},
		{"xcat/pxelinux.0", "syslinux-xcat"},
		{"boot/grub2/grub2.ppc", "grub2-xcat"},
		{"boot/grub2/powerpc-ieee1275", "grub2-xcat"},
	} {
		rows = append(rows, leave("{tftpdir}/"+loader.path, "boot loader", "package "+loader.pkg+" brings it", "", "3.5"))
	}
	return rows
}
