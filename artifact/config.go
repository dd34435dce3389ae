package artifact

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// Config is the document a manifest's config descriptor points to. It says
// what was captured from where, what was left out and how to bring it back.
// It never holds a secret: names of secret files may stand here, contents not.
type Config struct {
	Format  int       `json:"format"`
	Created time.Time `json:"created"`
	Tool    string    `json:"tool"` // name and version of what wrote it
	Host    Host      `json:"host"`
	Stack   Stack     `json:"stack"`
	Kinds   []KindSum `json:"kinds"`
	// Secrets says whether secrets are sealed; nil in snapshots of before that was
	// recorded, in which nothing is.
	Secrets  *Secrets  `json:"secrets,omitempty"`
	Database Database  `json:"database"`
	Packages []Package `json:"packages"`
	// Modified are files of the stack's packages that are not as the packages
	// had them.
	Modified []Modified `json:"modified,omitempty"`
	// PackageKeys are the public keys that signed packages of the snapshot.
	PackageKeys []PackageKey `json:"package_keys,omitempty"`
	// DistroPackages belong to the distro, are installed on the host and used by
	// the stack, and no file of them was found: an import installs them by name
	// from the target's own repositories.
	DistroPackages []Package `json:"distro_packages,omitempty"`
	// MissingPackages are installed on the host, belong to the stack and were
	// found in no place, and whoever exported went on without them.
	MissingPackages []string  `json:"missing_packages,omitempty"`
	Services        []Service `json:"services"`
	LeftOut         []LeftOut `json:"left_out"`
	Links           []Link    `json:"links,omitempty"`
	Warnings        []string  `json:"warnings,omitempty"`
	// Changed names the files that still changed while they were read; empty
	// means every file was read in one piece.
	Changed []string `json:"changed_while_read,omitempty"`
	// Unreadable names what could not be read and was left out, because whoever
	// exported wanted to go on; LeftOut has the reasons.
	Unreadable []string `json:"unreadable,omitempty"`
	// IdentityTrees are directories that hold one identity and nothing else: an
	// import moves away what the host has there besides.
	IdentityTrees []string `json:"identity_trees,omitempty"`
	// Beside are files that lie beside the snapshot on a medium, as they were written:
	// they are in no layer, and are covered by a signature of the snapshot through this.
	Beside []BesideFile `json:"beside,omitempty"`
	// Accounts are the users and groups that own entries or have credentials.
	Accounts []Account `json:"accounts"`
}

// BesideFile is a file beside a layout.
type BesideFile struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
}

// Host says which machine the snapshot was taken from.
type Host struct {
	Name      string   `json:"name"`
	FQDN      string   `json:"fqdn,omitempty"`
	Distro    Distro   `json:"distro"`
	Arch      string   `json:"arch"` // as rpm names it: x86_64, ppc64le, aarch64
	Addresses []string `json:"addresses,omitempty"`
	NICs      []string `json:"nics,omitempty"`
}

// Distro is what os-release(5) says.
type Distro struct {
	ID      string `json:"id"` // "rocky"; "unknown" where the root has no os-release
	Like    string `json:"like,omitempty"`
	Version string `json:"version"` // "9.6"
	// Codename is "bookworm", "" where a distro has none.
	Codename string `json:"codename,omitempty"`
	Name     string `json:"name,omitempty"`
}

// Stack names the management software and its version.
type Stack struct {
	Name    string `json:"name"`    // "xcat"
	Version string `json:"version"` // "2.17.0", "" where it could not be told
}

// KindSum sums up one kind.
type KindSum struct {
	Kind    Kind  `json:"kind"`
	Parts   int   `json:"parts"`
	Entries int64 `json:"entries"`
	Files   int64 `json:"files"`
	// Bytes counts file contents before compression; Stored the layers' blobs.
	Bytes  int64 `json:"bytes"`
	Stored int64 `json:"stored"`
}

// Database sums up the database kind.
type Database struct {
	Engine string `json:"engine"`        // "sqlite", "postgres", "mariadb"
	Dir    string `json:"dir,omitempty"` // of the SQLite files, "/etc/xcat"
	// Server is where the database was, nil for SQLite.
	Server *DatabaseServer `json:"server,omitempty"`
	Tables []Table         `json:"tables"`
	// LeftOut are tables whose rows are not in the snapshot, on purpose.
	LeftOut []TableLeftOut `json:"left_out,omitempty"`
	// Skipped are tables that the stack's own dump would have left out, because it
	// is set up to; they are among Tables.
	Skipped []string `json:"skipped_by_own_dump,omitempty"`
}

// DatabaseServer says where a database was served. The password is in the kind
// secrets, in the stack's own file.
type DatabaseServer struct {
	Host    string `json:"host,omitempty"` // as the stack had it; "" is the local socket
	Port    string `json:"port,omitempty"`
	Name    string `json:"name"`
	User    string `json:"user"`
	Version string `json:"version,omitempty"` // as the server says: "15.20"
	// Encoding is the character set of the database as the server names it.
	Encoding string `json:"encoding,omitempty"`
	// Remote says that it was not the node itself.
	Remote bool `json:"remote,omitempty"`
	// Access lists the addresses, networks and names that the server lets in as
	// User beside the node itself: service nodes.
	Access []string `json:"access,omitempty"`
}

// TableLeftOut is a table that a snapshot does not hold.
type TableLeftOut struct {
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	Reason string `json:"reason"`
}

// Table says how many rows a table has and the digest of its rows, sorted.
type Table struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	// Digest is "" where the database is sealed: see SealedFacts.
	Digest digest.Digest `json:"digest,omitempty"`
}

// Package is one package file of the snapshot's repository.
type Package struct {
	Name    string        `json:"name"`
	Epoch   string        `json:"epoch,omitempty"` // "" is no epoch, which equals 0
	Version string        `json:"version"`
	Release string        `json:"release"`
	Arch    string        `json:"arch"`
	File    string        `json:"file"` // path within the packages layer
	Size    int64         `json:"size"`
	Digest  digest.Digest `json:"digest"`
	From    string        `json:"from,omitempty"` // where export found it
	// Install says that an import installs it; others lie in the repository
	// for service nodes and dependencies.
	Install bool `json:"install"`
	// Signature says what checking it against the host's keys found: "verified",
	// "no signature", "unknown key", "not checked". KeyID is the signing key's.
	Signature string `json:"signature,omitempty"`
	KeyID     string `json:"key_id,omitempty"`
}

// PackageKey is a public key in the packages layer.
type PackageKey struct {
	ID   string `json:"id"`             // 16 hexadecimal digits
	Name string `json:"name,omitempty"` // user id: "xCAT <xcat@example.com>"
	File string `json:"file"`           // path within the packages layer, armored
}

// NEVRA is the package's full name: name-[epoch:]version[-release].arch. A
// Debian package may have no release.
func (p Package) NEVRA() string {
	evr := p.Version
	if p.Release != "" {
		evr += "-" + p.Release
	}
	if p.Epoch != "" && p.Epoch != "0" {
		evr = p.Epoch + ":" + evr
	}
	return p.Name + "-" + evr + "." + p.Arch
}

// Service is a unit of the stack and the state it had on the source.
type Service struct {
	Unit    string `json:"unit"`
	Enabled string `json:"enabled"`          // as systemctl is-enabled says: enabled, disabled, masked
	Active  string `json:"active,omitempty"` // as systemctl is-active says; "" where it was not running to be asked
}

// Modified is a file that differs from what its package brought.
type Modified struct {
	Path    string `json:"path"`
	Package string `json:"package"` // NEVRA
	// What is "missing", or the nine letters of rpm -V (rpm(8), "VERIFY OPTIONS"):
	// of Debian packages, "5" where the content is another and "M" where it is no
	// file any more.
	What   string `json:"what"`
	Config bool   `json:"config,omitempty"` // a configuration file, says the package
}

// LeftOut is something that is not in the snapshot on purpose.
type LeftOut struct {
	Path    string `json:"path"`
	What    string `json:"what"`   // "distro media rocky9.6-x86_64"
	Reason  string `json:"reason"` // why it was left out
	Size    int64  `json:"size,omitempty"`
	Entries int64  `json:"entries,omitempty"`
	// Restore is the exact command or act that brings it back, "" where
	// nothing needs to.
	Restore string `json:"restore,omitempty"`
	// System says that it belongs to the base distro, which a snapshot does not
	// hold, rather than to the stack.
	System bool `json:"system,omitempty"`
}

// Link is a captured tree whose top directory was a symlink on the source. Its
// contents are stored below Path; the link itself is not restored.
type Link struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

// Account is a user or group of the source by name. No password hash.
type Account struct {
	Type  string `json:"type"` // "user" or "group"
	Name  string `json:"name"`
	ID    int    `json:"id"`
	Group string `json:"group,omitempty"` // a user's primary group, by name
	Home  string `json:"home,omitempty"`
	Shell string `json:"shell,omitempty"`
}

// ParseConfig reads and checks a config document. Unknown fields are allowed:
// a later minor version may add some.
func ParseConfig(b []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(b, &c); err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	return c, c.Validate()
}

// maxEntries is how many entries a kind may have: an import keeps a byte for each.
const maxEntries = 200_000_000

// Validate checks what every reader relies on.
func (c Config) Validate() error {
	switch {
	case c.Format != FormatVersion:
		return fmt.Errorf("config: format %d, this program reads %d", c.Format, FormatVersion)
	case c.Host.Distro.ID == "" || c.Host.Arch == "":
		return fmt.Errorf("config: no distro or arch")
	case c.Stack.Name == "":
		return fmt.Errorf("config: no stack")
	}
	for i, k := range c.Kinds {
		if !k.Kind.HasEntries() || k.Kind.rank() < 0 || k.Parts < 1 || slices.ContainsFunc(c.Kinds[:i], func(had KindSum) bool { return had.Kind == k.Kind }) {
			return fmt.Errorf("config: kind %q with %d parts", k.Kind, k.Parts)
		}
		if k.Entries < 0 || k.Entries > maxEntries || k.Bytes < 0 || k.Files < 0 || k.Stored < 0 {
			return fmt.Errorf("config: kind %q with %d entries, %d files, %d bytes", k.Kind, k.Entries, k.Files, k.Bytes)
		}
	}
	if err := c.Secrets.validate(); err != nil {
		return err
	}
	for _, t := range c.Database.Tables {
		if t.Digest == "" && c.IsSealed(KindDatabase) {
			continue
		}
		if err := t.Digest.Validate(); err != nil {
			return fmt.Errorf("config: table %q: %w", t.Name, err)
		}
	}
	for _, p := range c.Packages {
		if err := CheckPath(p.File); err != nil {
			return fmt.Errorf("config: package %q: %w", p.Name, err)
		}
	}
	for _, k := range c.PackageKeys {
		if err := CheckPath(k.File); err != nil {
			return fmt.Errorf("config: key %q: %w", k.ID, err)
		}
	}
	return nil
}

// Kind returns the sum of kind k, and whether the snapshot has it.
func (c Config) Kind(k Kind) (KindSum, bool) {
	for _, s := range c.Kinds {
		if s.Kind == k {
			return s, true
		}
	}
	return KindSum{}, false
}
