package main

import (
	"fmt"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// secrets says what was done about the secrets of a snapshot.
func (p *printer) secrets(s *artifact.Secrets) {
	switch {
	case s == nil:
		p.line("  secrets   open: whoever has the snapshot has them")
	case s.State == artifact.SecretsOpen:
		p.line("  secrets   open, by choice: whoever has the snapshot has them")
	case s.State == artifact.SecretsSealed:
		p.line("  sealed    %s", kindList(s.Kinds))
		for _, r := range s.Recipients {
			p.line("         to %s", r)
		}
	case s.State == artifact.SecretsLeftOut:
		p.line("  secrets   left out: it is for support, and restores no node")
	}
}

// inWords is what was done about secrets, in half a line.
func inWords(s *artifact.Secrets) string {
	switch s.State {
	case artifact.SecretsSealed:
		return fmt.Sprintf("sealed to %s", count(int64(len(s.Recipients)), "recipient", "recipients"))
	case artifact.SecretsLeftOut:
		return "left out: for a support case, it restores no node"
	case artifact.SecretsOpen:
	}
	return "open: whoever has the snapshot has the cluster"
}

func kindList(all []artifact.Kind) string {
	names := make([]string, 0, len(all))
	for _, k := range all {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}
