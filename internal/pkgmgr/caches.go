package pkgmgr

// CacheDirs are the directories in which package managers keep the files they
// fetched: dnf and yum (keepcache in dnf.conf(5)), dnf 5, zypper, apt. What lies
// there may be old or half of a file.
func CacheDirs() []string {
	return []string{"/var/cache/dnf", "/var/cache/yum", "/var/cache/libdnf5", "/var/cache/zypp/packages", "/var/cache/apt/archives"}
}
