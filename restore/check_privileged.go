package restore

import (
	"fmt"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// privileged are entries with which any user of the host could do what only root may:
// device nodes, and programs that run as somebody else. Few nodes have any, so who reads
// a plan looks at each.
type privileged struct {
	n     int
	first []string // the first few
}

const showPrivileged = 5

// note remembers e, which goes to the host's path at, if it is one.
func (p *privileged) note(e artifact.Entry, at string) {
	what := ""
	switch {
	case e.Type == artifact.TypeChar || e.Type == artifact.TypeBlock:
		what = fmt.Sprintf("device %d:%d", e.Major, e.Minor)
	case e.Type == artifact.TypeFile && e.IsFirst() && e.Mode&0o4000 != 0:
		what = "runs as " + ownerOf(e.User, e.UID)
	case e.Type == artifact.TypeFile && e.IsFirst() && e.Mode&0o2000 != 0 && e.Mode&0o010 != 0:
		what = "runs as group " + ownerOf(e.Group, e.GID)
	case e.Xattrs["security.capability"] != "":
		what = "runs with capabilities"
	default:
		return
	}
	if p.n++; len(p.first) < showPrivileged {
		p.first = append(p.first, fmt.Sprintf("%q (%s)", at, what))
	}
}

func ownerOf(name string, id int) string {
	if name != "" {
		return name
	}
	return fmt.Sprint(id)
}

// checkPrivileged names them.
func (p *planner) checkPrivileged() {
	c := p.checked.privileged
	if c.n == 0 {
		return
	}
	list := strings.Join(c.first, ", ")
	if more := c.n - len(c.first); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	p.find(codePrivileged, Warn, "if you do not know why they are there: --skip their kind, and ask who took the snapshot",
		"the snapshot has device nodes, or programs that run as somebody else: %s", list)
}
