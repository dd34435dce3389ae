// Package pkgmgr reads package files, describes a set of them as a repository,
// and has the host's own package manager install from it.
//
// It reads what is installed from the databases of rpm and dpkg, compares it with
// the files that are there, and runs nothing for it. Otherwise only rpm is known
// here: the file format ("RPM V4 Package Format" and "RPM
// tags", https://rpm-software-management.github.io/rpm/manual/), the metadata
// of rpm-md repositories as createrepo_c writes and dnf and zypper read them,
// and dnf as the manager.
//
// Digests show that a file is whole; who made it is what Keyring.Check finds out
// from OpenPGP signatures (RFC 9580).
package pkgmgr
