package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/service"
)

// What an import leaves in a root that does not run, so that its first boot does the
// rest.
const (
	firstBootUnit = "/etc/systemd/system/xcrate-firstboot.service"
	firstBootLink = "/etc/systemd/system/multi-user.target.wants/xcrate-firstboot.service"
	// Where programs are: a policy of SELinux runs none from /var.
	firstBootProgram = "/usr/local/sbin/xcrate-firstboot"
	// autoRelabel has SELinux label everything at boot, before services
	// (selinux-autorelabel.service).
	autoRelabel = "/.autorelabel"
)

// leavesToBoot reports whether the root is one whose services systemd starts, later.
func (a *applier) leavesToBoot() bool {
	if service.Running(a.Root) || a.Program == "" || a.Root.IsLive() {
		return false
	}
	return a.Root.Exists("/usr/lib/systemd/systemd") || a.Root.Exists("/lib/systemd/systemd")
}

// leftToFirstBoot reports whether there is a unit that does the rest.
func (a *applier) leftToFirstBoot() bool { return !a.Root.IsLive() && a.Root.Exists(firstBootUnit) }

// placeFirstBoot has the first boot of the root run "import --resume": with services
// there to be asked.
func (a *applier) placeFirstBoot(ctx context.Context) error {
	if !a.leavesToBoot() {
		return nil
	}
	now := artifact.Time{Sec: a.Now.Unix()}
	if err := a.placeProgram(ctx, now); err != nil {
		return fmt.Errorf("program for the first boot: %w", err)
	}
	var units []string
	for _, role := range a.Stack.Services {
		for _, u := range role.Units {
			units = append(units, u+".service")
		}
	}
	text := "# Written by xcrate import. It goes once it has run.\n[Unit]\nDescription=Finish the import of a management node\n" +
		"ConditionPathExists=" + firstBootProgram + "\nWants=network-online.target\nAfter=network-online.target " + strings.Join(units, " ") +
		"\n[Service]\nType=oneshot\nTimeoutStartSec=1h\nExecStart=" + firstBootProgram + " import --resume --yes\n[Install]\nWantedBy=multi-user.target\n"
	unit := artifact.Entry{Path: strings.TrimPrefix(firstBootUnit, "/"), Type: artifact.TypeFile, Mode: 0o644, MTime: now}
	if err := a.putBytes(firstBootUnit, unit, []byte(text)); err != nil {
		return fmt.Errorf("file %s: %w", a.Root.Path(firstBootUnit), err)
	}
	link := artifact.Entry{Type: artifact.TypeSymlink, Link: firstBootUnit, Mode: 0o777, MTime: now}
	if err := a.putLink(ctx, firstBootLink, link); err != nil {
		return fmt.Errorf("file %s: %w", a.Root.Path(firstBootLink), err)
	}
	if !a.Root.Exists(selinuxConfig) || a.Root.Exists(autoRelabel) {
		return nil
	}
	return a.putBytes(autoRelabel, artifact.Entry{Path: autoRelabel[1:], Type: artifact.TypeFile, Mode: 0o644, MTime: now}, nil)
}

// placeProgram copies this program into the root.
func (a *applier) placeProgram(ctx context.Context, now artifact.Time) (err error) {
	this, err := host.OpenRoot("/")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, this.Close()) }()
	from, name, err := this.OpenParent(a.Program)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	f, st, err := from.OpenFile(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	e := artifact.Entry{Path: firstBootProgram[1:], Type: artifact.TypeFile, Mode: 0o700, Size: st.Size, MTime: now}
	d, err := a.work.beside(firstBootProgram)
	if err != nil {
		return err
	}
	c := change{entry: e, path: firstBootProgram, slot: a.work.slot()}
	if _, err := new(archive.Maker).Create(d.Dir, c.slot, e, a.owners.of(e), io.NewSectionReader(f, 0, st.Size)); err != nil {
		return err
	}
	return errors.Join(d.SyncFS(), a.commit.commit(ctx, c))
}

// waitForBoot ends an import whose rest is for the first boot.
func (a *applier) waitForBoot(ctx context.Context) error {
	a.result.Waits = true
	a.result.Report.Waits = true
	if err := a.accept(ctx); err != nil {
		a.result.Report.fail("accept", err)
	}
	return a.withState(func(state *host.Dir) error {
		return errors.Join(a.writeReport(state), a.journal.write(record{Op: opWait}), a.journal.sync())
	})
}

// dropFirstBoot removes what was left for the first boot: it has come.
func (a *applier) dropFirstBoot() error {
	for _, p := range []string{firstBootLink, firstBootUnit, firstBootProgram} {
		d, name, err := a.Root.OpenParent(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(ignoreMissing(d.Remove(name)), d.Close()); err != nil {
			return err
		}
	}
	return nil
}
