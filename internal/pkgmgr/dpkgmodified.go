package pkgmgr

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// dpkgFile is a file of a package as the database has it.
type dpkgFile struct {
	path   string // on the host
	digest string // MD5 in hexadecimal digits, "" where the database has none
	config bool
}

// modified compares the files of the packages that wanted accepts, those that
// were removed but for their configuration files excepted, as dpkg -V does:
// whether each is there, and is a file of the digest the package had, which for
// a configuration file is that of the version the administrator was last asked
// about. Modes and owners are in no database of dpkg but for those in
// statoverride, which dpkg -V does not look at. Unlike it, this compares the
// content of files that were diverted, too.
func (db *dpkgDB) modified(c *comparer, wanted func(name string) bool) ([]Difference, error) {
	var all []Difference
	err := db.each(c.ctx, func(p dpkgPackage) error {
		if p.state == "config-files" || !wanted(p.Name) {
			return nil
		}
		return db.eachFile(p, func(f dpkgFile) error {
			if err := c.ctx.Err(); err != nil {
				return err
			}
			what, err := c.differsDpkg(f)
			if err != nil {
				return fmt.Errorf("file %s: %w", f.path, err)
			}
			if what != noDifference {
				all = append(all, Difference{Package: p.NEVRA(), Path: f.path, What: what, Config: f.config})
			}
			return nil
		})
	})
	return all, err
}

// eachFile calls fn with each file of p and its digest: of those its package
// brought, and of those of its configuration files (deb-md5sums(5), and
// Conffiles in the status file).
func (db *dpkgDB) eachFile(p dpkgPackage, fn func(dpkgFile) error) error {
	digests, err := db.digests(p)
	if err != nil {
		return err
	}
	conffiles, err := p.conffileDigests()
	if err != nil {
		return err
	}
	return db.eachPath(p, func(file string) error {
		f := dpkgFile{path: db.place(p, file), digest: digests[file]}
		if digest, ok := conffiles[file]; ok {
			f.config = true
			f.digest = cmp.Or(f.digest, digest)
		}
		return fn(f)
	})
}

// md5Digits is how long an MD5 is, in hexadecimal digits.
const md5Digits = 32

// digests reads the lines "MD5  path". A package without any has no file that
// is not a configuration file.
func (db *dpkgDB) digests(p dpkgPackage) (map[string]string, error) {
	all := map[string]string{}
	err := db.eachInfo(p, "md5sums", func(line string) error {
		digest, name, ok := strings.Cut(line, "  ")
		if !ok || len(digest) != md5Digits {
			return fmt.Errorf("%w: line %.200q", errDamaged, line)
		}
		file, err := dpkgPath(name)
		all[file] = digest
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return all, err
}

// conffileDigests reads the lines " path MD5", with words after it: "obsolete"
// for one that newer versions of the package do not bring. A path may hold
// blanks.
func (p dpkgPackage) conffileDigests() (map[string]string, error) {
	all := map[string]string{}
	for _, line := range p.conffiles {
		words := strings.Split(strings.TrimLeft(line, " \t"), " ")
		for n := len(words); n > 2 && slices.Contains([]string{"obsolete", "remove-on-upgrade"}, words[n-1]); n-- {
			words = words[:n-1]
		}
		if len(words) < 2 {
			return nil, fmt.Errorf("%w: configuration file %.200q", errDamaged, line)
		}
		file, err := dpkgPath(strings.Join(words[:len(words)-1], " "))
		if err != nil {
			return nil, fmt.Errorf("configuration file: %w", err)
		}
		all[file] = words[len(words)-1]
		if len(all[file]) != md5Digits {
			all[file] = "" // "newconffile", "-": not configured yet
		}
	}
	return all, nil
}

// differsDpkg compares one file, as verify_file in dpkg's src/main/verify.c:
// what should be a file and is something else is not read.
func (c *comparer) differsDpkg(f dpkgFile) (string, error) {
	if f.path == "/" {
		return noDifference, nil
	}
	if err := c.open(path.Dir(f.path)); err != nil {
		return "", err
	}
	if c.dir == nil {
		return missingFile, nil
	}
	name := path.Base(f.path)
	st, err := c.dir.Lstat(name)
	if isNotThere(err) {
		return missingFile, nil
	}
	if err != nil || f.digest == "" {
		return noDifference, err
	}
	if !st.IsRegular() {
		return letters(differMode), nil
	}
	same, err := c.sameDigest(ownedFile{digest: f.digest}, name)
	if err != nil || same {
		return noDifference, err
	}
	return letters(differDigest), nil
}
