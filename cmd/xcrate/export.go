package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/dbserver"
	"github.com/xcrate/xcrate/internal/hooks"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/service"
	"github.com/xcrate/xcrate/internal/stack"
	"github.com/xcrate/xcrate/layers"
	"github.com/xcrate/xcrate/layout"
	"github.com/xcrate/xcrate/restore"
)

type exportOptions struct {
	root     string
	packages []string
	tag      string
	json     bool

	base        string
	rehash      bool
	cache       string
	compression string
	workers     int
	mounts      []string
	unreadable  bool // gone on without
	missing     bool // packages, gone on without
	all         bool // packages, not only the installed ones

	withLogs bool   // tables that are left out by default
	dbServer string // where the database answers

	hooks    hookOptions
	media    mediaOptions
	registry registryOptions
	tool     toolOptions
	seal     sealOptions
	sign     signOptions
	stick    stickOptions
	// staged says that the layout is only on its way to another place.
	staged bool
}

func newExport(a *app) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export DEST",
		Short: "Take a snapshot of this management node",
		Long: `Take a snapshot of a management node and write it to DEST, a directory that is
or becomes an OCI image layout: a USB stick, a disk, a share. Several snapshots
live in one layout under their tags and share what they have in common.
DEST can be HOST/REPOSITORY of a registry too.

Distro media and diskless images are left out; the snapshot lists them with the
command that brings each one back.

What the snapshot before it in DEST has already is not written again, and files
that nobody touched since are not even read.`,
		Example: `  xcrate export /media/usb
  xcrate export /media/usb --tag before-upgrade
  xcrate export /backup/mn --packages /root/xcat-core --packages /root/xcat-dep
  xcrate export /backup/mn --root /mnt/old-disk
  xcrate export registry.example/mn/cluster7`,
		Args: args("DEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.stick.settle(cmd)
			return runExport(cmd.Context(), a, args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.root, "root", "/", "take the node whose disk is at `DIR`\n")
	f.StringArrayVar(&o.packages, "packages", nil, "take packages of `WHERE` (repeatable):\ndirectory, tarball, URL of a repository,\n.repo or .list file, or source of apt;\nauto: where this node has them (default);\nnone: capture no packages")
	f.BoolVar(&o.all, "all-packages", false, "take all that xCAT's own places offer,\nnot only what is installed (service nodes)")
	f.StringVar(&o.registry.caFile, "ca-file", "", "trust servers, of packages or a registry, by\nthe certificates in `FILE` (PEM)")
	f.BoolVar(&o.withLogs, "with-logs", false, "take the tables of logs and logins too:\nauditlog, eventlog, performance, token")
	f.StringVar(&o.dbServer, "db-server", "", "the database answers at `HOST`[:PORT] or on the\nsocket /PATH, not where cfgloc says")
	f.StringVar(&o.tag, "tag", "", "`NAME` of the snapshot\n(default: host name and UTC time)")
	f.BoolVar(&o.missing, "allow-missing-packages", false, "go on without installed packages that are\nfound nowhere, and list them")
	f.StringVar(&o.base, "base", "", "take unchanged parts from this snapshot `SRC`\n(default: the one before in DEST)")
	f.BoolVar(&o.rehash, "rehash", false, "read every file, whatever is known of it")
	f.StringVar(&o.cache, "cache", a.cache, "`DIR` that remembers which files were read\n(default: $XCRATE_CACHE or /var/cache/xcrate)")
	f.Lookup("cache").DefValue = ""
	f.StringVar(&o.compression, "compression", "auto", "`HOW`: auto (by content), none,\nzstd:1 (fastest) to zstd:4 (smallest)\n")
	f.IntVar(&o.workers, "workers", 0, "write `N` parts side by side\n(default: one per core)")
	f.StringArrayVar(&o.mounts, "include-mount", nil, "go on into what is mounted at `DIR` of the node\n(repeatable)")
	f.BoolVar(&o.unreadable, "ignore-unreadable", false, "go on without files that cannot be read,\nand list them")
	o.hooks.flags(f)
	o.media.flags(f)
	o.tool.flags(f)
	o.seal.flags(f)
	f.StringVar(&o.sign.file, "sign", "", "sign it with the private key in `FILE`\n(see xcrate keygen)")
	f.StringVar(&o.sign.passphraseFD, "sign-passphrase-fd", "", "read that key's passphrase from descriptor `N`")
	o.stick.flags(f)
	f.BoolVar(&o.json, "json", false, "print the result as JSON")
	o.registry.flags(cmd)
	return cmd
}

func runExport(ctx context.Context, a *app, dest string, o exportOptions) (err error) {
	to, err := o.destination(dest)
	if err != nil {
		return err
	}
	if o.tag != "" {
		if err := layout.CheckTag(o.tag); err != nil {
			return usage(err, "choose another name: --tag NAME")
		}
	}
	if slices.Contains(o.packages, "none") && (len(o.packages) > 1 || o.all) {
		return usage(errors.New("--packages none: with other packages"), "see: xcrate export --help")
	}
	compression, err := layers.ParseCompression(o.compression)
	if err != nil || o.workers < 0 {
		return usage(cmp.Or(err, fmt.Errorf("%d workers: at least 1", o.workers)), "see: xcrate export --help")
	}
	if err := cmp.Or(o.hooks.check("export"), o.registry.check(), o.tool.check()); err != nil {
		return err
	}
	root, err := openRoot(o.root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if root.IsLive() && os.Geteuid() != 0 {
		return hint(errors.New("not root: keys and database of this machine can be read by root only"), "run it with sudo, or give another root: --root DIR")
	}
	if err := stack.XCAT().CheckMarkers(root.Exists); err != nil {
		return hint(fmt.Errorf("root %s: %w", root.Dir(), err), "run it on the management node, or give its disk: --root DIR")
	}
	if o.seal.without && o.withLogs {
		return usage(errors.New("--without-secrets with --with-logs"), "command lines in logs have passwords in them: leave one out")
	}
	if err := o.seal.decide(ctx, a); err != nil {
		return err
	}
	if err := o.sign.read(ctx, a); err != nil {
		return err
	}
	return a.exportAround(ctx, root, to, o, compression)
}

// exportAround exports between the hooks of the machine.
func (a *app) exportAround(ctx context.Context, root *host.Root, to place, o exportOptions, compression layers.Compression) error {
	where, err := to.absolute()
	if err != nil {
		return err
	}
	h := &around{app: a, options: o.hooks, pre: hooks.PreExport, post: hooks.PostExport}
	about := hooks.Document{Root: root.Dir(), Dest: where}
	before := about
	if o.tag != "" {
		before.Tags = []string{o.tag}
	}
	var s *exported
	if err = h.before(ctx, before); err == nil {
		s, err = a.write(ctx, root, to, o, compression)
	}
	if err == nil {
		about.Snapshot, about.Tags, about.Kinds = s.Digest, s.Tags, s.Snapshot.Kinds
	}
	warn := h.after(ctx, about, err)
	if err != nil {
		if o.json && len(h.done) > 0 {
			err = errors.Join(err, a.printJSON(struct {
				Hooks []hooks.Result `json:"hooks"`
			}{h.done}))
		}
		return err
	}
	s.Hooks = append([]hooks.Result{}, h.done...)
	return errors.Join(a.exported(s, o), warn)
}

// write exports to a place, by way of a directory if it is none.
func (a *app) write(ctx context.Context, root *host.Root, to place, o exportOptions, compression layers.Compression) (*exported, error) {
	if to.remote != nil || o.media.packed(to) {
		return a.writeStaged(ctx, root, to, o, compression)
	}
	s, err := a.writeLayout(ctx, root, to.Path, layout.Options{}, o, compression)
	if err == nil {
		err = o.stick.check(ctx, a, layout.Reference{Path: to.Path, Digest: s.desc.Digest})
	}
	return s, err
}

// writeLayout makes the layout at dest, if there is none, and exports into it.
func (a *app) writeLayout(ctx context.Context, root *host.Root, dest string, how layout.Options, o exportOptions, compression layers.Compression) (*exported, error) {
	w, err := layout.Create(dest, how)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint(err, "make the directory it goes into first, or mount the stick")
	}
	if err != nil {
		return nil, err
	}
	s, err := a.export(ctx, w, root, dest, o, compression)
	if err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	if !o.staged {
		err = a.placeBeside(ctx, w, dest, s.desc, s.Tags)
	}
	return s, errors.Join(err, w.Close())
}

func (a *app) export(ctx context.Context, w *layout.Writer, root *host.Root, dest string, o exportOptions, compression layers.Compression) (_ *exported, err error) {
	temp, remove, err := host.TempDir()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	inode, err := inodeOf(dest)
	if err != nil {
		return nil, err
	}
	p := a.progress()
	defer p.Done()
	none, auto := slices.Contains(o.packages, "none"), slices.Contains(o.packages, "auto")
	o.packages = slices.DeleteFunc(slices.Clone(o.packages), func(where string) bool { return where == "none" || where == "auto" })
	known := a.known(root, o)
	base, closeBase, err := a.base(ctx, dest, known, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeBase()) }()
	sealing, err := a.sealing(root, o)
	if err != nil {
		return nil, err
	}
	before := a.resumed(o.cache, root.Dir(), dest)
	captured, err := layers.Capture(ctx, w, layers.Options{
		Root: root, Stack: stack.XCAT(), Packages: o.packages, Auto: auto, NoPackages: none,
		AllowMissing: o.missing, AllPackages: o.all, Repository: restore.RepositoryDir,
		CAFile: o.registry.caFile, Proxy: http.ProxyFromEnvironment,
		XCATCFG: a.xcatcfg(root), DatabaseServer: o.dbServer, WithLogs: o.withLogs,
		Access: func(ctx context.Context, root *host.Root, l database.Location) (entries, warnings []string, err error) {
			return dbserver.Access(ctx, root, a.runner, l.Engine, l.Name, l.User)
		},
		Skip: map[host.Inode]bool{inode: true}, Mounts: cleaned(o.mounts), IgnoreUnreadable: o.unreadable, TempDir: temp,
		Runner: a.runner, Tool: "xcrate " + version, Now: a.now(), Progress: p,
		Services: a.serviceStates, Compression: compression, Seal: sealing.how, WithoutSecrets: o.seal.without, Base: base, Settle: settle, Workers: o.workers,
		Like: before.like, Written: before.written,
		Room: func(need int64, blobs int) error { return o.stick.estimated(a, w, dest, need, blobs) },
	})
	if errors.Is(err, layers.ErrNoServer) {
		return nil, hint(err, "export on the machine itself, or start its server and say where: --db-server HOST")
	}
	if err != nil {
		return nil, databaseHint(err)
	}
	if err := sealing.apply(&captured.Config); err != nil {
		return nil, err
	}
	s, err := a.commit(ctx, w, captured, dest, o)
	if err == nil {
		a.remember(root, o, captured, known)
		sealing.remember(a)
		before.end()
	}
	return s, err
}

// xcatcfg is what the environment tells xCAT about its database. Of another root
// it says nothing.
func (a *app) xcatcfg(root *host.Root) string {
	if !root.IsLive() {
		return ""
	}
	return a.env("XCATCFG")
}

// databaseHint adds what to do about a database server that does not answer.
func databaseHint(err error) error {
	switch {
	case errors.Is(err, database.ErrUnreachable):
		return hint(err, "start the database server, see: systemctl status postgresql mariadb")
	case errors.Is(err, database.ErrDenied):
		return hint(err, "user and password are those of /etc/xcat/cfgloc: does xCAT itself still get in? tabdump site")
	case errors.Is(err, database.ErrNoDatabase):
		return hint(err, "its name is that of /etc/xcat/cfgloc: does xCAT itself find it? tabdump site")
	}
	return err
}

func (a *app) serviceStates(ctx context.Context, root *host.Root, roles []stack.Service) ([]artifact.Service, error) {
	var units [][]string
	for _, r := range roles {
		units = append(units, r.Units)
	}
	return service.States(ctx, root, a.runner, units)
}

func inodeOf(dir string) (host.Inode, error) {
	var st host.Stat
	if err := unix.Stat(dir, &st.Stat_t); err != nil {
		return host.Inode{}, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	return st.Inode(), nil
}

func openRoot(dir string) (*host.Root, error) {
	root, err := host.OpenRoot(dir)
	if err != nil {
		return nil, hint(err, "give the directory where the machine's / lies: --root DIR")
	}
	return root, nil
}

func (a *app) exported(s *exported, o exportOptions) error {
	if o.json {
		if err := a.printJSON(s); err != nil {
			return err
		}
	} else if err := a.print(func(p *printer) { p.exported(s) }); err != nil {
		return err
	}
	if len(s.Snapshot.Warnings) > 0 || len(s.Snapshot.Changed) > 0 || len(s.Snapshot.Unreadable) > 0 || len(s.Snapshot.MissingPackages) > 0 {
		return exit(exitWarnings)
	}
	return nil
}
