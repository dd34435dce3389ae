// Package database reads the tables of a management node, writes them as one
// CSV per table in xCAT's dialect, and builds database files from those again.
//
// A Source is an open database, whatever its engine, held at one consistent
// moment: Dump and Summarise read it, Compare tells two apart. Schema carries
// what a CSV cannot: the columns' types, keys, indexes. OpenSQLite and
// BuildSQLite are the two ends for xCAT's default engine, SQLite with one file
// per table.
//
// Everything here is confined to text, NULL and the exceptions of Class: xCAT
// stores little else. Error texts name tables, rows and columns, never values:
// half of the tables hold passwords.
package database
