package hosttest

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const oddDir = "install/custom/odd/"

// awkward makes, in trees that are captured, what breaks naive copies.
func (s *sample) awkward() {
	s.oddNames()
	s.oddTypes()
	s.oddOwners()
	s.oddTimes()
}

func (s *sample) oddNames() {
	for _, name := range []string{
		"a space", " leading blank", "trailing blank ", "new\nline", "tab\there", `quo"te`, "apos'trophe", "back\\slash", "-rf", "--",
		"*", "$HOME", "`id`", "a;b", "#hash", ".hidden", "...", "grüße-東京", "latin1-\xfc\xdf", "\xff\xfe", "colon:file", "a=b", "~", "percent%2f",
		strings.Repeat("n", 255), "name.xcrate-part-0001", ".wh.whiteout",
	} {
		s.file(oddDir+"names/"+name, 0o644, "root:root", []byte("odd\n"))
	}
	deep := strings.Repeat("a-directory-name-of-thirty-two/x/", 12)
	s.file(oddDir+deep+"file", 0o644, "root:root", []byte("deep\n"))
	s.dir(oddDir+"empty dir", 0o755, "root:root")
}

func (s *sample) oddTypes() {
	s.file(oddDir+"links/big", 0o644, "root:root", s.mixed("hard link", 2<<20))
	s.hardlink(oddDir+"links/big-again", oddDir+"links/big")
	s.hardlink("install/custom/other/big-elsewhere", oddDir+"links/big")
	s.file("tftpboot/firmware/fw.bin", 0o644, "root:root", s.noise("fw", 64<<10))
	s.hardlink("tftpboot/firmware/by-model/8335-GTB.bin", "tftpboot/firmware/fw.bin")
	for name, target := range map[string]string{
		"dangling": "nowhere/at/all", "absolute": "/install/postscripts/syslog", "relative": "../names/a space", "to-dir": "../names",
		"up": "../../../../../../etc/hostname", "self": "self", "raw": "latin1-\xfc", "long": strings.Repeat("d/", 1000) + "x",
	} {
		s.symlink(oddDir+"links/"+name, target)
	}

	const size = 8 << 20
	s.sparse(oddDir+"sparse", 0o644, "root:root", size, map[int64]string{0: "start", size / 2: "middle", size - 3: "end"})
	s.sparse(oddDir+"all-hole", 0o644, "root:root", 1<<20, nil)
	s.file(oddDir+"empty", 0o644, "root:root", nil)

	s.file(oddDir+"xattr", 0o644, "root:root", []byte("x\n"))
	s.xattr(oddDir+"xattr", "user.note", "value with \x00 and \xff\n")
	s.xattr(oddDir+"xattr", "user.empty", "")
	s.xattr(oddDir+"xattr", "trusted.site", "root only")
	s.xattr("install/custom", "user.owner", "integration team")
	s.file(oddDir+"cap", 0o755, "root:root", elfHeader())
	s.xattr(oddDir+"cap", "security.capability", netRaw)

	s.file(oddDir+"setuid", 0o4755, "root:root", elfHeader())
	s.file(oddDir+"setgid", 0o2755, "root:apache", elfHeader())
	s.dir(oddDir+"sticky", 0o1777, "root:root")
	s.dir(oddDir+"setgid-dir", 0o2775, "root:apache")
	s.file(oddDir+"unreadable", 0, "root:root", []byte("nobody may read this\n"))
	s.dir(oddDir+"readonly-dir", 0o755, "root:root")
	s.file(oddDir+"readonly-dir/file", 0o444, "root:root", []byte("inside\n"))
	s.dir(oddDir+"readonly-dir", 0o555, "root:root")
	s.node(oddDir+"fifo", unix.S_IFIFO, 0o640, 0, 0)
	s.node(oddDir+"socket", unix.S_IFSOCK, 0o755, 0, 0)
	s.node(oddDir+"null", unix.S_IFCHR, 0o666, 1, 3)
}

func (s *sample) oddOwners() {
	for name, owner := range map[string]string{
		"root": "root:root", "alice": "alice:wheel", "apache": "apache:apache", "named": "root:named", "nameless": "54321:54322",
		"high": "2147483646:3000000000",
	} {
		s.file(oddDir+"owners/"+name, 0o640, owner, []byte(name+"\n"))
	}
	s.chown(oddDir+"links/dangling", "alice:alice")
	s.dir(oddDir+"owners/theirs", 0o750, "alice:alice")
}

func (s *sample) oddTimes() {
	for name, t := range map[string]time.Time{
		"before-1970": time.Unix(-86400*365, 250_000_000), "second-before": time.Unix(-1, 999_999_999), "epoch": time.Unix(0, 0),
		"nanosecond": time.Unix(1_700_000_000, 1), "after-2038": time.Unix(2_200_000_000, 123_456_789),
	} {
		p := oddDir + "times/" + name
		s.fixed[p] = t
		s.file(p, 0o644, "root:root", []byte(name+"\n"))
	}
	s.fixed[oddDir+"times/old-dir"] = time.Unix(-5, 5)
	s.dir(oddDir+"times/old-dir", 0o755, "root:root")
}
