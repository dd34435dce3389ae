package restore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/service"
)

// Fact is one thing of the host that a plan rests on, by name ("file /etc/hosts",
// "package xCAT", "table site"), with a digest of what was seen of it.
type Fact struct {
	Item   string        `json:"item"`
	Digest digest.Digest `json:"digest"`
}

// stateItem is the fact about all files that come: which are new, changed and same.
const stateItem = "files"

// maxNamed is how many files have a fact of their own. All others share one, so
// that a plan over a million files is no larger than one over a thousand.
const maxNamed = 1000

// facts gathers what a plan rests on.
type facts struct {
	all   []Fact
	files int       // that have a fact of their own
	rest  hash.Hash // over all others, nil for none
}

func (f *facts) add(item, format string, args ...any) {
	if !utf8.ValidString(item) { // JSON would put one letter for all others
		item = strconv.QuoteToASCII(item)
	}
	f.all = append(f.all, Fact{Item: item, Digest: digest.FromString(fmt.Sprintf(format, args...))})
}

// file notes what is at path p, which an import replaces or removes if s says so.
func (f *facts) file(p string, s state, st host.Stat) {
	if s != isChanged {
		return
	}
	says := statText(st)
	if f.files++; f.files <= maxNamed {
		f.add("file "+p, "%s", says)
		return
	}
	if f.rest == nil {
		f.rest = sha256.New()
	}
	_, _ = fmt.Fprintf(f.rest, "%q %s\n", p, says) // a hash never fails
}

// statText is what a plan rests on of a file: nobody can put a change time back, so
// an edit is seen whatever it did to size and time. A directory has other times
// whenever something in it comes or goes, which is a fact of its own.
func statText(st host.Stat) string {
	if st.IsDir() {
		return fmt.Sprintf("%o %d %d", st.Mode, st.Uid, st.Gid)
	}
	return fmt.Sprintf("%o %d %d %d %d.%d %d.%d", st.Mode, st.Uid, st.Gid, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
}

// packages notes those of have that concern the plan.
func (f *facts) packages(have []artifact.Package, concerns func(name string) bool) {
	versions := map[string][]string{}
	for _, pkg := range have {
		if concerns(pkg.Name) {
			versions[pkg.Name] = append(versions[pkg.Name], pkg.NEVRA())
		}
	}
	for name, all := range versions {
		slices.Sort(all)
		f.add("package "+name, "%s", strings.Join(all, "\n"))
	}
}

// tables notes the tables of the host but for those that stay.
func (f *facts) tables(have []artifact.Table, stays func(table string) bool) {
	for _, t := range have {
		if !stays(t.Name) {
			f.add("table "+t.Name, "%d %s", t.Rows, t.Digest)
		}
	}
}

// tableFacts notes what the database of the host has. Tables that the snapshot
// leaves out stay as they are: the stack writes its logs to some of them.
func (p *planner) tableFacts(have []artifact.Table) {
	p.checked.hostTables = map[string]int64{}
	for _, t := range have {
		p.checked.hostTables[t.Name] = t.Rows
	}
	p.facts.tables(have, func(table string) bool {
		return slices.ContainsFunc(p.snapshot.Config.Database.LeftOut, func(l artifact.TableLeftOut) bool { return l.Name == table })
	})
}

// sealFacts adds what is known once everything is planned, and makes the digest of
// all.
func (p *planner) sealFacts(ctx context.Context) error {
	f := &p.facts
	if f.rest != nil {
		f.add("other files", "%x", f.rest.Sum(nil))
	}
	states := make([]byte, len(p.plan.files.states))
	for i, s := range p.plan.files.states {
		states[i] = byte(s)
	}
	f.add(stateItem, "%s", digest.FromBytes(states))
	if err := p.goneFacts(); err != nil {
		return err
	}
	p.accountFacts()
	p.machineFacts()
	if err := p.serviceFacts(ctx); err != nil {
		return err
	}
	slices.SortFunc(f.all, func(a, b Fact) int { return strings.Compare(a.Item, b.Item) })
	sum := digest.SHA256.Digester()
	for _, fact := range f.all {
		_, _ = fmt.Fprintf(sum.Hash(), "%q %s\n", fact.Item, fact.Digest) // a hash never fails
	}
	p.plan.facts, p.plan.Host = f.all, sum.Digest()
	return nil
}

// goneFacts notes the files that go, and cfgloc where it is written anew.
func (p *planner) goneFacts() error {
	gone := slices.Clone(p.plan.Remove)
	if p.plan.Database.Cfgloc != "" {
		gone = append(gone, database.Cfgloc)
	}
	for _, at := range gone {
		st, err := p.Root.Lstat(at)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		p.facts.file(at, isChanged, st)
	}
	return nil
}

// accountFacts notes which ids the snapshot's accounts have here.
func (p *planner) accountFacts() {
	for _, a := range p.snapshot.Config.Accounts {
		id, known := 0, false
		if a.Type == "group" {
			id, known = p.owners.accounts.LookupGroup(a.Name)
		} else if u, ok := p.owners.accounts.LookupUser(a.Name); ok {
			id, known = u.UID, true
		}
		p.facts.add(a.Type+" "+a.Name, "%d %t", id, known)
	}
}

// machineFacts notes what the host is and is called, and which of the snapshot's
// addresses and interfaces it has. Others come and go.
func (p *planner) machineFacts() {
	here := p.checked.here
	p.facts.add("distro", "%s %s", here.Distro.ID, here.Distro.Version)
	p.facts.add("architecture", "%s", here.Arch)
	p.facts.add("host name", "%s %s", here.Name, here.FQDN)
	p.facts.add("version of the stack", "%s", installedVersion(p.Stack, p.Root))
	was := p.snapshot.Config.Host
	for _, a := range bareAddresses(was.Addresses) {
		p.facts.add("address "+a, "%t", slices.Contains(bareAddresses(here.Addresses), a))
	}
	for _, nic := range was.NICs {
		_, has := here.nics[nic]
		p.facts.add("interface "+nic, "%t", has)
	}
	if p.goal != nil && p.goal.to.Engine != database.EngineSQLite {
		p.facts.add("address of the database server", "%s %s", p.goal.to.Host, p.goal.to.Port)
	}
}

// serviceFacts notes the units of the stack, and the guards of the host.
func (p *planner) serviceFacts(ctx context.Context) error {
	states, err := service.States(ctx, p.Root, p.Runner, roles(slices.Concat(p.Stack.Services, p.Stack.Scripts.Guards)))
	if err != nil {
		return fmt.Errorf("services: %w", err)
	}
	for _, s := range states {
		p.facts.add("service "+s.Unit, "%s %t", s.Enabled, isActive(s))
	}
	return nil
}
