package accept

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/stack"
)

// known is what the host's own files say before its services are asked.
type known struct {
	open   bool // the database was read
	err    error
	engine database.Engine
	counts map[string]int64
	rows   stack.Tables        // site, policy, and those that switch a probe off
	hosts  map[string][]string // addresses by lower-case name, of /etc/hosts
	node   string              // a managed node of hosts, "" for none
}

// Tables the probes read.
const (
	tableSite   = "site"
	tablePolicy = "policy"
)

// read reads all that is needed of the database in one moment, so that xcatd waits
// for it once and shortly, and /etc/hosts.
func (t *tester) read(ctx context.Context) (k known) {
	k.hosts = t.hosts()
	if t.Open == nil {
		return k
	}
	src, err := t.Open(ctx)
	if err != nil {
		k.err = err
		return k
	}
	err = t.readDatabase(ctx, src, &k)
	k.err = errors.Join(err, src.Close())
	k.open = k.err == nil
	return k
}

func (t *tester) readDatabase(ctx context.Context, src database.Source, k *known) error {
	k.engine, k.counts, k.rows = src.Engine(), map[string]int64{}, stack.Tables{}
	have, err := src.Tables(ctx)
	if err != nil {
		return err
	}
	for _, name := range have {
		if k.counts[name], err = src.Count(ctx, name); err != nil {
			return err
		}
	}
	for _, name := range []string{tableSite, tablePolicy, t.probes().TFTP.Table} {
		if !slices.Contains(have, name) {
			continue
		}
		err := database.Records(ctx, src, name, func(row map[string]string) error {
			k.rows[name] = append(k.rows[name], row)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if slices.Contains(have, t.Stack.NodeTable) {
		k.node, err = t.aNode(ctx, src, k.hosts)
	}
	return err
}

// aNode returns the first managed node that hosts names.
func (t *tester) aNode(ctx context.Context, src database.Source, hosts map[string][]string) (node string, err error) {
	found := errors.New("found")
	err = database.Records(ctx, src, t.Stack.NodeTable, func(row map[string]string) error {
		name := strings.ToLower(row["node"])
		if len(hosts[name]) == 0 || name == shortName(strings.ToLower(t.Name)) {
			return nil
		}
		node = name
		return found
	})
	if errors.Is(err, found) {
		return node, nil
	}
	return "", err
}

// hosts reads /etc/hosts (hosts(5)). One that cannot be read names nobody.
func (t *tester) hosts() map[string][]string {
	b, err := t.Root.ReadFile("/etc/hosts", 64<<20)
	if err != nil {
		return nil
	}
	addresses := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		for i, name := range fields {
			if i > 0 {
				name = strings.ToLower(name)
				addresses[name] = append(addresses[name], fields[0])
			}
		}
	}
	return addresses
}

// shortName is name without its domain.
func shortName(name string) string {
	name, _, _ = strings.Cut(name, ".")
	return name
}

// domainName is name with the cluster's domain if it has none.
func (t *tester) domainName(name string) string {
	domains := t.known.rows.Site("domain")
	if strings.Contains(name, ".") || len(domains) == 0 || domains[0] == "" {
		return name
	}
	return name + "." + strings.Trim(domains[0], ".")
}

// tables compares the number of rows of each table with the snapshot.
func (t *tester) tables(context.Context) Probe {
	switch {
	case t.known.err != nil:
		return fail("see that the database server runs and that cfgloc names it", "the database cannot be read: %s", short(t.known.err))
	case !t.known.open:
		return skip("the database cannot be asked from here")
	case len(t.Tables) == 0:
		return skip("the snapshot has no tables")
	}
	var wrong []string
	for _, want := range t.Tables {
		rows, ok := t.known.counts[want.Name]
		switch {
		case !ok:
			wrong = append(wrong, want.Name+" is missing")
		case rows != want.Rows && !t.probes().IsVolatile(want.Name):
			wrong = append(wrong, fmt.Sprintf("%s has %d rows of %d", want.Name, rows, want.Rows))
		}
	}
	if len(wrong) > 0 {
		return fail("look at them with tabdump; roll the import back, or import again, if nobody changed them",
			"%d of %d tables are not as in the snapshot: %s", len(wrong), len(t.Tables), some(wrong))
	}
	return pass("%d tables have as many rows as in the snapshot", len(t.Tables))
}

// some is all, or the first few.
func some(all []string) string {
	const most = 5
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
}

// policy looks for the rule that has xcatd trust the management node itself.
func (t *tester) policy(context.Context) Probe {
	p := t.probes()
	cert, err := t.readCertificate(p.Certificate)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail("put it there from the snapshot", "%s is not there, so nothing tells whom to trust", p.Certificate)
	case err != nil:
		return fail("put it there from the snapshot", "%s cannot be read: %s", p.Certificate, short(err))
	case !t.known.open:
		return skip("the database cannot be asked from here")
	}
	name := cert.Subject.CommonName
	mend := fmt.Sprintf("chtab priority=1.2 policy.name=%s policy.rule=%s", name, p.Trusted)
	near := ""
	for _, row := range t.known.rows.Active(tablePolicy) {
		switch {
		case row["name"] == name && row["rule"] == p.Trusted:
			return pass("policy trusts %s, the name in the certificate", name)
		case row["rule"] == p.Trusted && shortName(strings.ToLower(row["name"])) == shortName(strings.ToLower(name)):
			near = fmt.Sprintf(", only %q, which is not the same", row["name"])
		}
	}
	return fail(mend, "no rule of table policy trusts %q, the name in the certificate%s", name, near)
}
