package restore

import (
	"fmt"
	"slices"

	"github.com/xcrate/xcrate/internal/database"
)

// Codes of checks that warn at most, or that no flag overrides and more than one
// file names.
const (
	codeStackBuild   = "stack-build"
	codeAddress      = "address"
	codeNICs         = "nics"
	codeResolution   = "name-resolution"
	codeServers      = "other-servers"
	codeCertificates = "certificates"
	codeRepositories = "repositories"
	codePrivileged   = "privileged-files"
)

// preCheck is a check of the list. What it says when it found nothing is pass; one
// with an empty pass is listed only when it found something. needs returns why the
// check could not be made, "" if it was; nil if it always is.
type preCheck struct {
	code  string
	pass  string
	needs func(*planner) string
}

// checks lists every check of an import, in the order in which a plan has them:
// the host, its place in the network, what is on it, what is to come.
func checks() []preCheck {
	return []preCheck{
		{CodeNotRoot, "this is root: owners can be set", nil},
		{"no-distro", "", nil},
		{CodeDistro, "the distro is that of the snapshot", (*planner).needsDistro},
		{CodeVersion, "major and minor version of the distro are those of the snapshot", (*planner).needsSameDistro},
		{CodeArch, "the architecture is that of the snapshot", nil},
		{CodeSecrets, "the snapshot has its secrets", nil},
		{CodeClock, "the clock is after the snapshot", nil},
		{"host-name", "the host is called as the snapshot's", (*planner).needsDistro},
		{codeAddress, "the addresses of the snapshot's host are here", (*planner).needsAddresses},
		{codeNICs, "the network interfaces of the snapshot's host are here", (*planner).needsNICs},
		{codeResolution, "the host's name leads to an address of it, and back", (*planner).needsLive},
		{CodeOldNode, "nobody else answers on the addresses of the snapshot's host", (*planner).needsStart},
		{codeServers, "no other DHCP or TFTP server is here", nil},
		{codeCertificates, "the certificates of the snapshot are valid for half a year and more", (*planner).needsCertificates},
		{CodeServiceNode, "the host is no service node", nil},
		{CodeNodes, "no managed nodes are here that the snapshot's would replace", (*planner).needsDatabase},
		{CodeStackVersion, "no other version of the stack is installed", nil},
		{codeStackBuild, "no other build of the same version is installed", (*planner).needsManager},
		{CodeNewerPackages, "no package is installed in a newer version than the snapshot's", (*planner).needsManager},
		{"packages-staged", "", nil},
		{codeRepositories, "", nil},
		{CodeDependencies, "the package manager can install the packages", (*planner).needsDependencies},
		{"distro-packages", "", nil},
		{"packages-unsigned", "", nil},
		{"local-changes", "", nil},
		{codePrivileged, "", nil},
		{CodeConflict, "no directory stands where a file goes, nor the other way round", nil},
		{"accounts", "accounts that are here and in the snapshot are alike", nil},
		{"firewall", "no firewall is on that the packages would switch off", (*planner).needsInstall},
		{"selinux", "SELinux does not enforce a policy that the packages would switch off", (*planner).needsInstall},
		{CodeDatabase, "the host's database can be read, or there is none", (*planner).needsDatabase},
		{"remote-database", "", nil},
		{"database-host", "", nil},
		{"database-left", "", nil},
		{CodeServer, "the database server is here, or this import brings it", (*planner).needsServer},
		{CodeColumns, "the host's tables have the columns of the snapshot", (*planner).needsServer},
		{CodeRows, "every row can be stored as it is", (*planner).needsRows},
		{CodeSpace, "every filesystem has space for what is staged and what is kept", nil},
	}
}

// checked is what checks find out for each other.
type checked struct {
	here       hostFacts
	watched    watched
	privileged privileged
	builds     []string // packages of the stack in another build: "A here, B in the snapshot"
	asked      bool     // the package manager was, about the dependencies
	probed     string   // why the old node was not looked for
	certified  string   // why no certificate was looked at
	hostTables map[string]int64
}

// find notes what a check found. Block is a warning where it was allowed.
func (p *planner) find(code string, level Level, remedy, format string, args ...any) {
	f := Finding{Code: code, Level: level, Message: fmt.Sprintf(format, args...), Remedy: remedy}
	if level == Block && slices.Contains(Codes(), code) {
		f.Override = "--allow " + code
	}
	if level == Block && p.Allow[code] {
		f.Level, f.Allowed = Warn, true
	}
	p.plan.Findings = append(p.plan.Findings, f)
}

// completeChecks adds what the checks say that found nothing, and brings all of
// them into the order of the list.
func (p *planner) completeChecks() {
	rank := map[string]int{}
	for i, c := range checks() {
		rank[c.code] = i
		if c.pass == "" || slices.ContainsFunc(p.plan.Findings, func(f Finding) bool { return f.Code == c.code }) {
			continue
		}
		f := Finding{Code: c.code, Level: Pass, Message: c.pass}
		if c.needs != nil {
			if why := c.needs(p); why != "" {
				f.Level, f.Message = Skip, why
			}
		}
		p.plan.Findings = append(p.plan.Findings, f)
	}
	slices.SortStableFunc(p.plan.Findings, func(a, b Finding) int { return rankOf(rank, a) - rankOf(rank, b) })
}

// rankOf is the place of f; what is not in the list comes after all that is.
func rankOf(rank map[string]int, f Finding) int {
	if i, ok := rank[f.Code]; ok {
		return i
	}
	return len(rank)
}

func (p *planner) needsDistro() string {
	if p.checked.here.unknown() {
		return "the root does not say which distro it is"
	}
	return ""
}

func (p *planner) needsSameDistro() string {
	if p.checked.here.Distro.ID != p.snapshot.Config.Host.Distro.ID && !p.checked.here.unknown() {
		return "another distro has versions of its own"
	}
	return p.needsDistro()
}

func (p *planner) needsLive() string {
	if !p.Root.IsLive() {
		return "a mounted root cannot be asked for its addresses and names"
	}
	return ""
}

func (p *planner) needsAddresses() string {
	if why := p.needsLive(); why != "" {
		return why
	}
	if len(p.snapshot.Config.Host.Addresses) == 0 {
		return "the snapshot knows no addresses: it was taken from a mounted root"
	}
	return ""
}

func (p *planner) needsNICs() string {
	if why := p.needsLive(); why != "" {
		return why
	}
	if len(p.snapshot.Config.Host.NICs) == 0 {
		return "the snapshot knows no interfaces: it was taken from a mounted root"
	}
	return ""
}

func (p *planner) needsStart() string { return p.checked.probed }

func (p *planner) needsCertificates() string { return p.checked.certified }

func (p *planner) needsDatabase() string {
	if p.goal == nil {
		return "this import leaves the database as it is"
	}
	return ""
}

func (p *planner) needsServer() string {
	switch {
	case p.goal == nil:
		return p.needsDatabase()
	case p.goal.to.Engine == database.EngineSQLite:
		return "the database goes into SQLite, which needs no server"
	}
	return ""
}

func (p *planner) needsRows() string {
	switch {
	case p.goal == nil:
		return p.needsDatabase()
	case p.goal.from == p.goal.to.Engine && !p.ByStack:
		return "the database stays with its engine, which holds every row as it is"
	}
	return ""
}

func (p *planner) needsManager() string {
	if p.manager == nil {
		return "no packages are installed by this import"
	}
	return ""
}

func (p *planner) needsDependencies() string {
	if p.checked.asked {
		return ""
	}
	return p.whyNotAsked()
}

// whyNotAsked says why the package manager was not asked whether it could install.
func (p *planner) whyNotAsked() string {
	switch {
	case p.manager == nil:
		return p.needsManager()
	case len(p.plan.Packages.Install)+len(p.plan.Packages.Names) == 0:
		return "all packages are installed already"
	}
	return "only root can ask the package manager"
}

func (p *planner) needsInstall() string {
	if len(p.plan.Packages.Install) == 0 {
		return "no packages are installed by this import"
	}
	return ""
}
