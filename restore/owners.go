package restore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
)

// owners maps the owners an entry had on the source to ids of the host: by
// name through the host's own passwd and group, by number where the source had
// no name for it.
type owners struct {
	accounts *host.Accounts
	asIs     bool // not root: owners are left to the filesystem
}

func (o *owners) of(e artifact.Entry) archive.Owner {
	own := archive.Owner{UID: e.UID, GID: e.GID, AsIs: o.asIs}
	if u, ok := o.accounts.LookupUser(e.User); ok && e.User != "" {
		own.UID = u.UID
	}
	if gid, ok := o.accounts.LookupGroup(e.Group); ok && e.Group != "" {
		own.GID = gid
	}
	return own
}

// planAccounts returns the accounts of the snapshot that the host lacks, with
// the ids they get: those of the source where they are free. It adds them to
// the mapping, so that entries are compared with the owners they will have.
func (o *owners) planAccounts(all []artifact.Account) []Account {
	missing := []Account{}
	for _, a := range all {
		if a.Type != "group" {
			continue
		}
		if _, ok := o.accounts.LookupGroup(a.Name); ok {
			continue
		}
		id := freeID(a.ID, func(id int) bool { return o.accounts.Group(id) == "" })
		missing = append(missing, Account{Account: a, ID: id, TakenBy: o.accounts.Group(a.ID)})
		o.accounts.AddGroup(a.Name, id)
	}
	for _, a := range all {
		if a.Type != "user" {
			continue
		}
		if _, ok := o.accounts.LookupUser(a.Name); ok {
			continue
		}
		id := freeID(a.ID, func(id int) bool { return o.accounts.User(id) == "" })
		gid, _ := o.accounts.LookupGroup(a.Group)
		missing = append(missing, Account{Account: a, ID: id, TakenBy: o.accounts.User(a.ID)})
		o.accounts.AddUser(host.User{Name: a.Name, UID: id, GID: gid, Home: a.Home, Shell: a.Shell})
	}
	return missing
}

// freeID returns want if it is free, else the highest free system id, as
// useradd -r would (login.defs, SYS_UID_MAX 999).
func freeID(want int, free func(int) bool) int {
	if free(want) {
		return want
	}
	for id := 999; id > 0; id-- {
		if free(id) {
			return id
		}
	}
	return want
}

// accountFiles are the files an account has a line in, with the line. Shadow
// files that the host does not have are not made.
func accountLines(a Account, gid int) map[string]string {
	switch a.Type {
	case "group":
		return map[string]string{
			"/etc/group":   fmt.Sprintf("%s:x:%d:\n", a.Name, a.ID),
			"/etc/gshadow": a.Name + ":!::\n",
		}
	default:
		return map[string]string{
			"/etc/passwd": fmt.Sprintf("%s:x:%d:%d::%s:%s\n", a.Name, a.ID, gid, field(a.Home), field(a.Shell)),
			"/etc/shadow": a.Name + ":!*:::::::\n",
		}
	}
}

// field keeps what comes from a snapshot from becoming a second field or line.
func field(s string) string {
	if strings.ContainsAny(s, ":\n\x00") {
		return ""
	}
	return s
}

// checkAccounts refuses names that are no account names.
func checkAccounts(all []artifact.Account) error {
	for _, a := range all {
		ok := a.Name != "" && len(a.Name) <= 256 && !strings.ContainsAny(a.Name, ":\n\x00/ \t,") && !strings.HasPrefix(a.Name, "-") &&
			!strings.HasPrefix(a.Name, "+") && a.ID >= 0 && slices.Contains([]string{"user", "group"}, a.Type)
		if !ok {
			return fmt.Errorf("config: account %q of type %q", a.Name, a.Type)
		}
	}
	return nil
}
