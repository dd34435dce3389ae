package restore

// op is what a record of the journal says is done, and so how it is undone. Records
// has what each means.
type op string

const (
	opBegin   op = "begin"
	opWork    op = "work"
	opMkdir   op = "mkdir"
	opCreate  op = "create"
	opReplace op = "replace"
	opRemove  op = "remove"
	opAttr    op = "attr"

	opServices op = "services"
	opSaved    op = "saved"
	opMade     op = "made"
	opKeep     op = "keep"
	opNames    op = "names"
	opTables   op = "tables"
	opServer   op = "server"
	opPackages op = "packages"

	opStep op = "step"
	opTook op = "took"
	opDone op = "done"
	opWait op = "wait"
	opEnd  op = "end"
)

// Record is a kind of record in a journal, for people: docs/restore.md lists them all.
type Record struct {
	Op   string
	Says string // what it says is about to be done
	Undo string // what takes that back
}

// Records returns the kinds of records that a journal has.
func Records() []Record {
	const nothing = "nothing"
	return []Record{
		{string(opBegin), "which snapshot; the directories made for imports as such, and what the one above them was like", "last of all: those directories go if they are empty, the one above gets its attributes"},
		{string(opWork), "`path` is made, a work directory on another filesystem; `entry` has the attributes of the one it is in", "it is removed, and the one it was in gets its attributes"},
		{string(opMkdir), "directory `path` is made", "it is removed; if somebody put something into it, it stays, and is named"},
		{string(opCreate), "file `path` comes into being", "it is removed"},
		{string(opReplace), "file `path` is replaced; what it was has the name `slot` in the directory `work`", "`slot` is renamed to `path`"},
		{string(opRemove), "`path` is moved to `slot` in `work`", "`slot` is renamed to `path`"},
		{string(opAttr), "directory `path` changes; `entry` has its attributes so far", "it gets them again"},
		{string(opServices), "the states that units have", "last but one: those that ran are started"},
		{string(opSaved), "`saved.tar` holds `trees`, which scripts of packages change", "files are made what they were, what is new goes"},
		{string(opMade), "scripts of packages, or a command, may make `path`", "it is removed, whatever it is; after the end of the import all in it that is not younger"},
		{string(opKeep), "removing packages may take directory `path` with it", "it is made again, as `entry` has it"},
		{string(opNames), "a command may put more into directory `path` than `trees`, the names in it", "the rest is removed, and it gets the attributes of `entry`"},
		{string(opTables), "`database-before` holds what the database server had, on the host's own server of engine `path`, without one on another machine", "the tables are filled from it"},
		{string(opServer), "`database-acts` lists what is done to the server of engine `path`", "each act is taken back, the last first"},
		{string(opPackages), "`packages-before.json` lists what is installed", "the package manager brings that about again"},
		{string(opStep), "step `path` of the import begins", nothing},
		{string(opTook), "step `path` has ended", nothing},
		{string(opDone), "everything is in place", nothing},
		{string(opWait), "the rest is for the first boot of the root", nothing},
		{string(opEnd), "the import has ended", nothing},
	}
}
