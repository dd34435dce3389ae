package hosttest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// accounts are the users and groups of one root, id by name.
type accounts struct {
	users, groups map[string]int
}

// readAccounts reads etc/passwd and etc/group below root. A root without them
// has no names.
func readAccounts(root string) (accounts, error) {
	users, err := readIDs(filepath.Join(root, "etc/passwd"))
	if err != nil {
		return accounts{}, err
	}
	groups, err := readIDs(filepath.Join(root, "etc/group"))
	return accounts{users: users, groups: groups}, err
}

func readIDs(file string) (map[string]int, error) {
	b, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseIDs(string(b))
}

// parseIDs reads passwd(5) or group(5): in both the id is the third field.
func parseIDs(text string) (map[string]int, error) {
	ids := map[string]int{}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 3 {
			return nil, fmt.Errorf("account line %q: too few fields", f[0])
		}
		id, err := strconv.Atoi(f[2])
		if err != nil {
			return nil, fmt.Errorf("account %q: %w", f[0], err)
		}
		ids[f[0]] = id
	}
	return ids, nil
}

// owner returns the ids of "USER:GROUP". Either may be a number, for owners
// that have no name.
func (a accounts) owner(s string) (uid, gid int, err error) {
	user, group, ok := strings.Cut(s, ":")
	if !ok {
		return 0, 0, fmt.Errorf("owner %q: not USER:GROUP", s)
	}
	if uid, err = idOf(a.users, user); err == nil {
		gid, err = idOf(a.groups, group)
	}
	return uid, gid, err
}

func idOf(ids map[string]int, name string) (int, error) {
	if id, ok := ids[name]; ok {
		return id, nil
	}
	id, err := strconv.Atoi(name)
	if err != nil {
		return 0, fmt.Errorf("account %q: not in the root's passwd or group", name)
	}
	return id, nil
}

// names inverts ids. Where an id has several names the first in alphabetical
// order wins.
func names(ids map[string]int) map[int]string {
	by := make(map[int]string, len(ids))
	for name, id := range ids {
		if old, ok := by[id]; !ok || name < old {
			by[id] = name
		}
	}
	return by
}
