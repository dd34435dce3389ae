package layers

import (
	"maps"
	"slices"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// accountList describes the named users and groups, groups first, by name.
func accountList(a *host.Accounts, users, groups map[string]int) []artifact.Account {
	list := []artifact.Account{}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		list = append(list, artifact.Account{Type: "group", Name: name, ID: groups[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		u, ok := a.LookupUser(name)
		if !ok {
			continue // files the snapshot itself makes name root, which a bare root may lack
		}
		list = append(list, artifact.Account{
			Type: "user", Name: name, ID: u.UID, Group: a.Group(u.GID), Home: u.Home, Shell: u.Shell,
		})
	}
	return list
}
