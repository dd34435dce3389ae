package restore

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// maxDiffering is how many accounts a finding names.
const maxDiffering = 10

// checkCollisions looks for accounts of the snapshot that are here and are others:
// owners are found by name, so files would go to somebody else. Nothing of an
// account that is here is changed.
func (p *planner) checkCollisions(all []artifact.Account) {
	var found []string
	for _, a := range all {
		u, ok := p.owners.accounts.LookupUser(a.Name)
		if a.Type != "user" || !ok {
			continue
		}
		if how := differs(a, u, p.owners.accounts.Group(u.GID)); how != "" {
			found = append(found, a.Name+" ("+how+")")
		}
	}
	if len(found) == 0 {
		return
	}
	more := ""
	if n := len(found) - maxDiffering; n > 0 {
		found, more = found[:maxDiffering], fmt.Sprintf("; and %d more", n)
	}
	p.find("accounts", Warn, "see that they are the same users: they get the files of the snapshot; usermod changes what has to be",
		"accounts of the snapshot are here already and differ: %s%s", strings.Join(found, "; "), more)
}

// differs says how user u, of primary group group, is another than a of the
// snapshot. What the snapshot does not know is no difference, nor is the number.
func differs(a artifact.Account, u host.User, group string) string {
	var how []string
	say := func(what, here, there string) {
		how = append(how, fmt.Sprintf("%s %s here, %s there", what, here, there))
	}
	if a.Home != "" && path.Clean(a.Home) != path.Clean(u.Home) {
		say("home", u.Home, a.Home)
	}
	if a.Shell != "" && logsIn(a.Shell) != logsIn(u.Shell) {
		say("shell", u.Shell, a.Shell)
	}
	if a.Group != "" && group != "" && a.Group != group {
		say("group", group, a.Group)
	}
	return strings.Join(how, ", ")
}

// logsIn reports whether a shell lets its user in. An empty one is /bin/sh
// (passwd(5)).
func logsIn(shell string) bool {
	return !slices.Contains([]string{"nologin", "false", "true", "sync", "halt", "shutdown"}, path.Base(shell))
}
