package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// Manager is a host's package manager.
type Manager interface {
	// Name is the program's, for messages: "dnf".
	Name() string
	// Format is that of the package files it installs.
	Format() Format
	// Installed lists the packages in the root's package database: name,
	// epoch, version, release and arch, sorted by them.
	Installed(ctx context.Context) ([]artifact.Package, error)
	// Definition is the file that makes repo known to the manager. Install needs
	// it there; putting it there and removing it is the caller's, whose journal
	// knows of it. It depends on repo alone, which need not be there yet.
	Definition(repo Repo) (Definition, error)
	// Check asks the manager whether it could carry out want. Of repo only the
	// metadata must be there, its definition must not. Nothing of the root
	// changes. A refusal is no error.
	Check(ctx context.Context, repo Repo, want Request) (Refusal, error)
	// Install carries out want in one transaction, with what the packages need
	// from repo or from the repositories the root has configured and that can be
	// reached. Those already installed are left as they are; if that is all,
	// nothing is run. Another version of one is replaced, a newer one too:
	// whether it may be is the caller's to decide before. What the manager says
	// goes to log. Afterwards the database is compared: a package that is
	// missing or is there in another version is an error that names it.
	Install(ctx context.Context, repo Repo, want Request, log io.Writer) error
	// Undo brings the database back to before, which Installed returned: what
	// came is removed, what went or was replaced is installed again from where
	// the root's repositories and caches have it. It needs no network for what
	// came, may be interrupted and called again, and an error names what could
	// not be brought back.
	Undo(ctx context.Context, before []artifact.Package, log io.Writer) error
}

// Format is a format of package files.
type Format string

// The formats.
const (
	RPM Format = "rpm"
	Deb Format = "deb"
)

// Repo is a repository in the root.
type Repo struct {
	// Dir is the directory that holds "repodata", as the host sees it.
	Dir string
	// Keys are the files of public keys in it, relative to Dir. With any, the
	// manager checks signatures.
	Keys []string
	// Unsigned are the names of packages in it that none of Keys signed: the
	// manager takes them all the same.
	Unsigned []string
}

// Request is what a manager is asked to install.
type Request struct {
	Packages []artifact.Package // in just these versions
	Names    []string           // in any version, from the root's own repositories
}

// Definition is a file that describes a repository to a manager.
type Definition struct {
	Path    string // on the host
	Content []byte
}

// Refusal says why a manager would not carry out a request. The zero value is
// that it would.
type Refusal struct {
	// Missing are the capabilities nothing provides, each with who needs it:
	// "perl(DBI) needed by xCAT-server-4:2.17.0-snap1.noarch".
	Missing []string
	// Says is the manager's own last words.
	Says string
}

// Refused reports whether there is a reason.
func (r Refusal) Refused() bool { return len(r.Missing) > 0 || r.Says != "" }

// RepoID is what the snapshot's repository is called. It must never be
// xcat-core or xcat-dep: go-xcat deletes the files of those, and the package
// xCAT-release owns them.
const RepoID = "xcrate-snapshot"

// ErrNone is the error of Detect when no package manager can act on the root.
var ErrNone = errors.New("no package manager")

// compare says which of want are missing in got, or there in another version.
func compare(want, got []artifact.Package) error {
	exact, other := map[string]bool{}, map[string][]string{}
	for _, p := range got {
		exact[p.NEVRA()] = true
		key := p.Name + "." + p.Arch
		other[key] = append(other[key], p.NEVRA())
	}
	var wrong []string
	for _, p := range want {
		switch have := other[p.Name+"."+p.Arch]; {
		case exact[p.NEVRA()]:
		case len(have) > 0:
			wrong = append(wrong, fmt.Sprintf("%s (installed: %s)", p.NEVRA(), strings.Join(have, ", ")))
		default:
			wrong = append(wrong, p.NEVRA()+" (not installed)")
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d of %d packages are not as in the snapshot: %s", len(wrong), len(want), strings.Join(wrong, "; "))
	}
	return nil
}

// missing returns those of want that got does not have.
func missing(want, got []artifact.Package) []artifact.Package {
	have := map[string]bool{}
	for _, p := range got {
		have[p.NEVRA()] = true
	}
	var all []artifact.Package
	for _, p := range want {
		if !have[p.NEVRA()] {
			have[p.NEVRA()] = true
			all = append(all, p)
		}
	}
	return all
}
