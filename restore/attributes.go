package restore

import (
	"maps"
	"sync"

	"github.com/xcrate/xcrate/artifact"
)

// same compares everything but content and names.
func (o *owners) same(e, have artifact.Entry) bool {
	if e.Kind == artifact.KindPackages {
		have.Xattrs = e.Xattrs // dnf keeps digests of its own in attributes of the files
	}
	own := o.of(e)
	if !own.AsIs && (have.UID != own.UID || have.GID != own.GID) {
		return false
	}
	if have.Type != e.Type || have.Link != e.Link || have.Size != e.FileSize() ||
		have.Major != e.Major || have.Minor != e.Minor || have.MTime != e.MTime {
		return false
	}
	if e.Type != artifact.TypeSymlink && have.Mode != e.Mode {
		return false
	}
	return sameXattrs(e.Xattrs, have.Xattrs)
}

// selinuxLabel is set by the policy of the host the file is on; one that the
// snapshot does not have is no difference.
const selinuxLabel = "security.selinux"

func sameXattrs(want, have map[string]string) bool {
	if _, ok := want[selinuxLabel]; !ok && have[selinuxLabel] != "" {
		have = maps.Clone(have)
		delete(have, selinuxLabel)
	}
	return maps.Equal(want, have)
}

// losses are the extended attributes that filesystems did not take. It is safe
// for concurrent use.
type losses struct {
	mu     sync.Mutex
	byPath map[string][]string
}

func (l *losses) add(p string, attrs []string) {
	if len(attrs) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byPath == nil {
		l.byPath = map[string][]string{}
	}
	l.byPath[p] = attrs
}
