package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/service"
)

// packagesBefore lies beside the journal: what was installed before, as JSON.
const packagesBefore = "packages-before.json"

// enforceFile tells and sets whether SELinux enforces its policy (selinux(8)).
const enforceFile = "/sys/fs/selinux/enforce"

// remember writes down what the scripts of packages may change and no journal
// sees: services, settings, files of no package, what is installed.
func (a *applier) remember(ctx context.Context) (err error) {
	if a.before, err = a.serviceStates(ctx); err != nil {
		return err
	}
	a.enforced = enforcing(a.Root)
	if err := a.journal.write(record{Op: opServices, Services: a.before, Enforcing: a.enforced}); err != nil {
		return err
	}
	if !a.installs() {
		return a.journal.sync()
	}
	a.Progress.Phase("remembering", 0)
	state, err := a.work.state()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	if err := a.saveTrees(ctx, state); err != nil {
		return err
	}
	for _, p := range a.Stack.Scripts.Make {
		if err := a.noteMade(p); err != nil {
			return err
		}
	}
	if err := a.keepBefore(ctx); err != nil {
		return err
	}
	if a.installedBefore, err = a.manager.Installed(ctx); err != nil {
		return fmt.Errorf("packages: %w", err)
	}
	if err := replaceJSON(state, packagesBefore, a.installedBefore); err != nil {
		return fmt.Errorf("packages: %w", err)
	}
	return errors.Join(a.journal.write(record{Op: opPackages, Path: rawPath(a.manager.Name())}), a.journal.sync())
}

// noteMade writes down what packages will make on the way to p, and the directory
// it will be in: removing a package takes an empty one away that it did not bring.
func (a *applier) noteMade(p string) error {
	made := ""
	for ; p != "/"; p = path.Dir(p) {
		_, err := a.Root.Lstat(p)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err // an undo must not remove what could not be looked at
		}
		made = p
	}
	if made == "" {
		return nil
	}
	if p != "/" {
		e, err := a.describe(p)
		if err != nil {
			return err
		}
		if e.Type == artifact.TypeDir {
			if err := a.journal.write(record{Op: opKeep, Path: rawPath(p), Entry: &e}); err != nil {
				return err
			}
		}
	}
	return a.journal.write(record{Op: opMade, Path: rawPath(made)})
}

// saveTrees keeps the trees whose files scripts change.
func (a *applier) saveTrees(ctx context.Context, state *host.Dir) error {
	var trees []string
	var names []rawPath
	for _, p := range a.Stack.Scripts.Change {
		at, err := a.Root.Resolve(p)
		if err != nil {
			return err
		}
		st, err := a.Root.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist): // scripts may make it
		case err != nil:
			return err
		case st.IsDir():
			trees, names = append(trees, at), append(names, rawPath(at))
		}
	}
	if err := a.work.save(ctx, state, trees); err != nil {
		return err
	}
	return a.journal.write(record{Op: opSaved, Trees: names})
}

// readJSON reads into v what replaceJSON wrote.
func readJSON(d *host.Dir, name string, v any) error {
	f, err := d.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// serviceStates returns the states of the stack's units and of the guards.
func (a *applier) serviceStates(ctx context.Context) ([]artifact.Service, error) {
	states, err := service.States(ctx, a.Root, a.Runner, roles(slices.Concat(a.Stack.Services, a.Stack.Scripts.Guards)))
	if err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	return states, nil
}

// enforcing reports whether SELinux enforces its policy on the running machine.
func enforcing(root *host.Root) bool {
	if !root.IsLive() {
		return false
	}
	b, err := root.ReadFile(enforceFile, 16)
	return err == nil && strings.TrimSpace(string(b)) == "1"
}

// keepSettings puts back what scripts switched off and what is the host's own:
// firewall and SELinux.
func (a *applier) keepSettings(ctx context.Context) (err error) {
	if !a.installed() {
		return nil
	}
	state, err := a.work.state()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	if a.result.Settings, err = a.work.putBack(ctx, state, a.Stack.Scripts.IsSetting); err != nil {
		return err
	}
	if !service.Running(a.Root) {
		return nil
	}
	if err := service.Reload(ctx, a.Runner); err != nil {
		return err
	}
	return asBefore(ctx, a.Root, a.Runner, guards(a.before, a.Stack.Scripts), a.enforced)
}
