package stack

import "path"

// Scripts says what the scripts of the stack's packages do to a host beyond the
// files of the packages, so that an import can take it back.
type Scripts struct {
	// Change are trees whose files they change. Without the trees nothing else on
	// the host tells what was there before.
	Change []string
	// Make are paths they make: an undo removes those that were not there before.
	Make []string
	// Settings are files below Change, as patterns of path.Match, that belong to
	// the host and not to the stack: they stay as the host had them.
	Settings []string
	// Guards are units that they switch off and that stay as the host had them.
	Guards []Service
}

// IsSetting reports whether p, a host path, is a file that stays as the host had it.
func (s Scripts) IsSetting(p string) bool {
	if matchAny(s.Settings, p) {
		return true
	}
	for _, g := range s.Guards {
		for _, unit := range g.Units {
			// What systemctl enable makes: links below TARGET.wants and the like, and
			// aliases beside them.
			if path.Base(p) == unit+".service" && unitLinks(path.Dir(p)) {
				return true
			}
		}
	}
	return false
}

func unitLinks(dir string) bool {
	const units = "/etc/systemd/system"
	return dir == units || path.Dir(dir) == units
}
