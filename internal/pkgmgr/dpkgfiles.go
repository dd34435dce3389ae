package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/internal/host"
)

const (
	dpkgInfo       = "/var/lib/dpkg/info"
	dpkgDiversions = "/var/lib/dpkg/diversions"
	maxDpkgFile    = 32 << 20 // ten times what the largest packages of Debian have
)

// diversion says where the files of other packages go that have one's path
// (dpkg-divert(1)).
type diversion struct {
	to string
	by string // package that keeps the path; ":" for the administrator, so for none
}

// readDiversions reads three lines for each: path, where to, package. No file
// is no diversions.
func readDiversions(root *host.Root) (map[string]diversion, error) {
	all := map[string]diversion{}
	var three []string
	err := eachDpkgLine(root, dpkgDiversions, func(line string) error {
		three = append(three, line)
		if len(three) < 3 {
			return nil
		}
		from, fromErr := dpkgPath(three[0])
		to, toErr := dpkgPath(three[1])
		all[from] = diversion{to: to, by: three[2]}
		three = three[:0]
		return errors.Join(fromErr, toErr)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && len(three) > 0 {
		err = fmt.Errorf("%s: %w: its last diversion is cut off", root.Path(dpkgDiversions), errDamaged)
	}
	return all, err
}

// eachDpkgLine calls fn with each line of a file of dpkg's, the last of which
// has an end too. Errors name the file.
func eachDpkgLine(root *host.Root, file string, fn func(line string) error) error {
	b, err := root.ReadFile(file, maxDpkgFile)
	for line := range strings.Lines(string(b)) {
		if err != nil {
			break
		}
		text, ended := strings.CutSuffix(line, "\n")
		if !ended {
			err = fmt.Errorf("%w: line %.200q has no end", errDamaged, line)
			break
		}
		err = fn(text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", root.Path(file), err)
	}
	return nil
}

// dpkgPath returns a path of the database as the host has it: "/.", "usr/bin/"
// and "./usr/bin" are among what packages write. One that climbs is damage.
func dpkgPath(s string) (string, error) {
	if s == "" || slices.Contains(strings.Split(s, "/"), "..") {
		return "", fmt.Errorf("%w: path %.200q", errDamaged, s)
	}
	return path.Clean("/" + s), nil
}

// eachInfo calls fn with each line of what dpkg keeps of p in its file of a
// sort: "list", "md5sums".
func (db *dpkgDB) eachInfo(p dpkgPackage, sort string, fn func(line string) error) error {
	if strings.Contains(p.Name+p.Arch, "/") {
		return fmt.Errorf("%w: name %.200q", errDamaged, p.Name+":"+p.Arch)
	}
	file := path.Join(dpkgInfo, p.Name+"."+sort)
	if p.same { // databases of old have it without architecture too
		if named := path.Join(dpkgInfo, p.Name+":"+p.Arch+"."+sort); db.root.Exists(named) {
			file = named
		}
	}
	return eachDpkgLine(db.root, file, fn)
}

// eachPath calls fn with everything that belongs to p, by the path its package
// has. One that is not installed need not have anything.
func (db *dpkgDB) eachPath(p dpkgPackage, fn func(file string) error) error {
	err := db.eachInfo(p, "list", func(line string) error {
		file, err := dpkgPath(line)
		if err != nil {
			return err
		}
		return fn(file)
	})
	if errors.Is(err, fs.ErrNotExist) && !p.isInstalled() {
		return nil
	}
	return err
}

// place is where a path of p's package is on the host.
func (db *dpkgDB) place(p dpkgPackage, file string) string {
	if d, ok := db.diversions[file]; ok && d.by != p.Name {
		return d.to
	}
	return file
}

// each calls fn with every package of which there are files, installed or not:
// one that was removed and not purged has its configuration files left. Errors
// name the package.
func (db *dpkgDB) each(ctx context.Context, fn func(dpkgPackage) error) error {
	return db.fail(eachDpkg(db.status, func(p dpkgPackage) error {
		if p.state == "not-installed" {
			return ctx.Err()
		}
		if err := errors.Join(ctx.Err(), fn(p)); err != nil {
			return fmt.Errorf("package %s: %w", p.NEVRA(), err)
		}
		return nil
	}))
}

// eachOwned calls fn with the place of everything that belongs to a package, as
// dpkg -S knows it.
func (db *dpkgDB) eachOwned(ctx context.Context, fn func(p string) error) error {
	return db.each(ctx, func(p dpkgPackage) error {
		return db.eachPath(p, func(file string) error { return fn(db.place(p, file)) })
	})
}
