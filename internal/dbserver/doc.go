// Package dbserver gives a management node the server its database lives on: a
// cluster that is initialised, a role or users with the password of
// /etc/xcat/cfgloc, a database, and the doors open that xCAT comes through.
//
// The server is that of the distro's packages, which somebody else installs.
// PostgreSQL: EL 8 to 10, PGDG's packages, SLES 15, Debian and Ubuntu. MariaDB
// and MySQL: the same distros. A server on another port than the engine's own is
// not set up: xCAT's own scripts know no other.
//
// On a running machine the server is a systemd unit. In a root that does not run,
// as on a mounted disk, the server's own program is started there, reachable
// through a private socket alone, until its database is in place.
//
// Everything is done as the administrator of the server would: through its own
// client, as the account of the operating system that the server trusts. SQL goes
// through stdin, and passwords only as what the server itself would store of them.
//
// What is done is written down before it is done, as an Act that says how to take
// it back; an Act can be taken back whether or not it came to be. So a kill at any
// moment leaves nothing that Remove does not find.
package dbserver
