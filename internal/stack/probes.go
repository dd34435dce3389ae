package stack

import "slices"

// Probes says how one sees that the stack works on a host: package accept asks
// what is named here. Paths may name a variable of the stack as {NAME}.
type Probes struct {
	// Daemon is the role of the stack's own service. It answers on Ports, and it
	// serves TFTP.
	Daemon string
	Ports  []Port
	// Profile is a file whose line RootVar=DIR says where the stack is installed,
	// {xcatroot} if it does not.
	Profile, RootVar string
	// Status is the program, below that directory, that asks the daemon what it is.
	// Its line EngineKey=NAME names the database; Engines is NAME by engine.
	Status    Program
	EngineKey string
	Engines   map[string]string
	// CA signed Certificate, which belongs to Key: PEM files.
	CA, Certificate, Key string
	// Trusted is the rule of table policy that the name in Certificate needs.
	Trusted string
	// Volatile are the tables, as patterns of path.Match, in which daemons add and
	// remove rows of their own.
	Volatile []string
	// DNS, Web and NFS are the roles of these services.
	DNS, Web, NFS []string
	// Zones checks the configuration of DNS; ZonesKey is the key of the site row
	// that names another file than the one its program was built for.
	Zones    Program
	ZonesKey string
	// Configs are the programs that check the configuration of a DHCP server.
	Configs []ConfigTest
	// TFTP and HTTP are files to ask these services for.
	TFTP, HTTP FileProbe
	Consoles   []Listener
	Exports    Program
	// ExportFiles are files, or patterns of path.Match, that list what NFS exports.
	ExportFiles []string
}

// Port is a TCP port that a site row can set.
type Port struct {
	Key     string // of the site row, "" for a fixed one
	Default string
	What    string // for people
}

// Program is a command that changes nothing.
type Program struct {
	// Names are file names that are looked for in turn, relative to what the field
	// that holds the Program says, or looked up in PATH.
	Names []string
	Args  []string
}

// ConfigTest is a program that reads a configuration as a service would.
type ConfigTest struct {
	Role    string // of the service
	Program string // looked up in PATH
	Args    []string
	// Files are where the configuration may lie: the first that is there comes
	// behind Args.
	Files []string
}

// FileProbe is a tree that a service shows.
type FileProbe struct {
	// Dir is the tree.
	Dir string
	// Prefer are names in Dir to ask for, the first that is there; else any file.
	Prefer []string
	// Port is where the service answers.
	Port Port
	// Table and Column switch it off for a node: "" for neither.
	Table, Column string
}

// Listener is a service and the ports it answers on.
type Listener struct {
	Role  string
	Ports []Port
}

// IsVolatile reports whether daemons add and remove rows of table.
func (p Probes) IsVolatile(table string) bool { return matchAny(p.Volatile, table) }

// Serves reports whether unit, a name with ".service", fills one of roles.
func (s Stack) Serves(unit string, roles ...string) bool {
	return slices.ContainsFunc(s.Services, func(have Service) bool {
		return slices.Contains(roles, have.Role) && slices.ContainsFunc(have.Units, func(u string) bool { return u+".service" == unit })
	})
}

// Var returns the value of variable name, which a site row may set; "" if there
// is neither row nor default.
func (s Stack) Var(t Tables, name string) string {
	for _, v := range s.Vars {
		if v.Name != name {
			continue
		}
		if values := t.Site(v.Key); v.Key != "" && len(values) > 0 && values[0] != "" {
			return values[0]
		}
		return v.Default
	}
	return ""
}

// Active returns the rows of table that are in force.
func (t Tables) Active(table string) (rows []map[string]string) {
	for _, row := range t[table] {
		if active(row) {
			rows = append(rows, row)
		}
	}
	return rows
}
