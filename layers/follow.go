package layers

import (
	"io"
	"os"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/stack"
)

// limited reads at most n bytes of a file.
type limited struct {
	f *os.File
	n int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.n <= 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > l.n {
		p = p[:l.n]
	}
	n, err := l.f.Read(p)
	l.n -= int64(n)
	return n, err
}

const listFile = 16 << 20 // a pkglist or synclist, with room

// follow takes the files that tables and the lists they name point to outside
// the trees of the stack.
func (s *scanner) follow() error {
	refs, problems := s.c.bound.Follow(func(p string) ([]byte, error) { return s.c.o.Root.ReadFile(p, listFile) })
	for _, p := range problems {
		s.c.warn("%s", p)
	}
	for _, ref := range refs {
		if s.visited[ref.Path] {
			continue
		}
		if rule := s.c.bound.Decide(ref.Path); rule.Ref != "" && rule.Take == "" {
			continue // left out by rule: leaves lists it
		}
		paths, err := s.c.bound.Glob(ref.Path, s.names)
		if err != nil {
			return err
		}
		taken := false
		for _, p := range paths {
			taken = taken || s.c.o.Root.Exists(p)
			if err := s.start(p, s.followedRule(p)); err != nil {
				return err
			}
		}
		if !taken {
			s.c.warn("%s: %s is not there", ref.From, ref.Path)
		}
	}
	return nil
}

// followedRule takes what a column names as configuration; a file that only
// its owner may read as a secret.
func (s *scanner) followedRule(p string) stack.Rule {
	rule := stack.Rule{Path: p, Take: artifact.KindConfig, Ref: "3.6"}
	if st, err := s.c.o.Root.Stat(p); err == nil && st.IsRegular() && st.Perm()&0o077 == 0 {
		rule.Take = artifact.KindSecrets
	}
	if own := s.c.bound.Decide(p); own.Ref != "" {
		return own
	}
	return rule
}

// rel is a host's path as an entry has it.
func rel(p string) string { return strings.TrimPrefix(p, "/") }
