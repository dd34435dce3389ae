// Package pkgmgr reads package files, describes a set of them as a repository,
// and has the host's own package manager install from it.
//
// Only rpm is known here: the file format ("RPM V4 Package Format" and "RPM
// tags", https://rpm-software-management.github.io/rpm/manual/), the metadata
// of rpm-md repositories as createrepo_c writes and dnf and zypper read them,
// and dnf as the manager.
//
// Signatures are not checked yet: digests show that a file is whole, not who
// made it.
package pkgmgr
