// Package pkgmgr reads package files, describes a set of them as a repository,
// and has the host's own package manager install from it.
//
// It reads what is installed from the databases of rpm and dpkg, compares it with
// the files that are there, and runs nothing for it. Files and repositories are
// those of both: rpms ("RPM V4 Package Format" and "RPM tags",
// https://rpm-software-management.github.io/rpm/manual/) and the metadata of
// rpm-md as createrepo_c writes and dnf and zypper read them; debs (deb(5)) and
// the indexes of apt (sources.list(5)). The managers are dnf, yum, zypper and apt.
//
// Digests show that a file is whole; who made an rpm is what Keyring.Check finds
// out from OpenPGP signatures (RFC 9580), who vouches for a deb stands in the
// Listing of its repository.
package pkgmgr
