package stack

// xcatMarks tell distro media as copycds does (plugins anaconda, sles, debian,
// esx and windows of xCAT-server), and what genimage and mknb make.
func xcatMarks() []Mark {
	media := func(family Family, has ...string) Mark {
		return Mark{
			Family: family, What: "distro media", Has: has, Ref: "3.7",
			Reason:  "licensed by its vendor, and large",
			Restore: "copycds -o -n {osvers} -p {dir} ISO",
		}
	}
	return []Mark{
		media(FamilySUSE, "media.1/media", "media.1/products|content"),
		media(FamilySUSE, "[0-9]*/media.1/media|sdk[0-9]*/media.1/media"),
		media(FamilyDebian, ".disk/info", "dists|pool|casper|README.diskdefines"),
		media(FamilyAnaconda, ".discinfo|.treeinfo",
			"Packages|BaseOS|AppStream|Server|Client|CentOS|Fedora|RPMS|images|repodata|LiveOS"),
		media(FamilyESXi, "upgrade/metadata.xml"),
		media(FamilyESXi, "vmkernel.gz", "isolinux.cfg|README.txt"),
		media(FamilyOther, "sources/install.wim|sources/install.esd", "sources/idwbinfo.txt"),
		// copycds writes it at the top of every tree it made, also of a distro
		// that is not told above.
		media(FamilyOther, ".fingerprint"),
		{
			Family: FamilyImage, What: "diskless image", Ref: "3.8",
			Reason:  "holds a distro licensed by its vendor, and keys; large",
			Restore: "genimage {image} && packimage {image}",
			Any: []string{
				"rootimg", "rootimg.sfs", "rootimg.gz", "rootimg.cpio.[gx]z", "rootimg.tar.[gx]z",
				"rootimg-statelite.gz", "initrd-stateless.gz", "initrd-statelite.gz",
			},
			Items: []string{
				"rootimg", "rootimg.sfs", "rootimg.gz", "rootimg.cpio.[gx]z", "rootimg.tar.[gx]z",
				"rootimg-statelite.gz", "kernel", "initrd*",
			},
		},
		{
			Family: FamilyGenesis, What: "discovery image", Ref: "3.9",
			Reason:  "made from the genesis packages and this node's keys and addresses",
			Restore: "mknb {arch}",
			Any:     []string{"genesis.kernel.*", "genesis.fs.*", "nbk.*", "nbfs.*"},
			Items:   []string{"genesis.kernel.*", "genesis.fs.*", "nbk.*", "nbfs.*"},
		},
	}
}
