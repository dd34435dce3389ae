package host

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

const maxAccountFile = 64 << 20 // an /etc/passwd of a large site, with room

// User is a line of passwd(5), without the password.
type User struct {
	Name        string
	UID, GID    int
	Home, Shell string
}

// Accounts are the users and groups of a host by its own passwd and group
// files. The name service is not asked: it is not there when a disk is read.
type Accounts struct {
	users      map[string]User
	groups     map[string]int
	userNames  map[int]string
	groupNames map[int]string
}

// ReadAccounts reads the accounts of root. Files that do not exist count as
// empty, lines that are not accounts (NIS entries, comments) are passed over.
func ReadAccounts(r *Root) (*Accounts, error) {
	a := &Accounts{
		users: map[string]User{}, groups: map[string]int{},
		userNames: map[int]string{}, groupNames: map[int]string{},
	}
	err := eachAccount(r, "/etc/passwd", 7, func(f []string) {
		uid, err1 := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		if err1 != nil || err2 != nil {
			return
		}
		a.AddUser(User{Name: f[0], UID: uid, GID: gid, Home: f[5], Shell: f[6]})
	})
	if err != nil {
		return nil, err
	}
	err = eachAccount(r, "/etc/group", 4, func(f []string) {
		if gid, err := strconv.Atoi(f[2]); err == nil {
			a.AddGroup(f[0], gid)
		}
	})
	return a, err
}

func eachAccount(r *Root, file string, fields int, fn func([]string)) error {
	b, err := r.ReadFile(file, maxAccountFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) == fields && f[0] != "" && !strings.HasPrefix(f[0], "#") && !strings.HasPrefix(f[0], "+") {
			fn(f)
		}
	}
	return nil
}

// AddUser adds u. Of several with one id or name the first counts, as it does
// for getpwuid(3).
func (a *Accounts) AddUser(u User) {
	if _, ok := a.users[u.Name]; !ok {
		a.users[u.Name] = u
	}
	if _, ok := a.userNames[u.UID]; !ok {
		a.userNames[u.UID] = u.Name
	}
}

// AddGroup adds a group.
func (a *Accounts) AddGroup(name string, gid int) {
	if _, ok := a.groups[name]; !ok {
		a.groups[name] = gid
	}
	if _, ok := a.groupNames[gid]; !ok {
		a.groupNames[gid] = name
	}
}

// User returns the name of uid, "" if it has none.
func (a *Accounts) User(uid int) string { return a.userNames[uid] }

// Group returns the name of gid, "" if it has none.
func (a *Accounts) Group(gid int) string { return a.groupNames[gid] }

// LookupUser returns the user called name.
func (a *Accounts) LookupUser(name string) (User, bool) {
	u, ok := a.users[name]
	return u, ok
}

// LookupGroup returns the id of the group called name.
func (a *Accounts) LookupGroup(name string) (int, bool) {
	gid, ok := a.groups[name]
	return gid, ok
}

// Users returns all users in no order.
func (a *Accounts) Users() []User {
	all := make([]User, 0, len(a.users))
	for _, u := range a.users {
		all = append(all, u)
	}
	return all
}
