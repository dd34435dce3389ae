package stack

import "github.com/xcrate/xcrate/artifact"

// Column is a table column that names files of the host.
type Column struct {
	Table, Column string
	// Key is the column that names the row in messages.
	Key string
	// Separators are the bytes between several paths, "" for a single path.
	Separators string
	// Prefixes stand before a path and are no part of it, in any order; "*:"
	// is any word with a colon.
	Prefixes []string
	// Args says that what follows the first space are arguments.
	Args bool
	// Base is the directory relative paths lie in, a pattern that begins with
	// {VAR}. Where it is "", a relative path is a problem.
	Base string
	// SkipRelative says that relative values need not be followed: they lie in
	// a tree that another column names, or name no file of this host.
	SkipRelative bool
	Scan         Scan
	// Kind is the kind for the paths where no rule takes them.
	Kind artifact.Kind
	// Sources is Kind for the sources of a synclist.
	Sources artifact.Kind
	// Leave is the reason why the paths are left out where no rule takes them,
	// "" where they are taken.
	Leave string
	Ref   string // as in Rule
}

// Scan says how the file a column names leads to more files.
type Scan string

// The ways a file leads to more.
const (
	ScanNone     Scan = ""
	ScanIncludes Scan = "includes" // lines with #INCLUDE:PATH#
	ScanSynclist Scan = "synclist" // lines SOURCE... -> DESTINATION
)
