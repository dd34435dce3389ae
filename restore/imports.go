package restore

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// Files in an import's state directory beside the journal.
const (
	importFile  = "import.json"   // an Import
	configFile  = "snapshot.json" // the config of its snapshot, which holds no secret
	planFile    = "plan.json"     // what was agreed to
	cleanedFile = "cleaned"       // there is nothing to go back to any more
)

// Import is what is kept of an import: what was put where, and how.
type Import struct {
	ID    string    `json:"id"`
	Phase Phase     `json:"phase"`
	Begun time.Time `json:"begun"`
	Ended time.Time `json:"ended,omitzero"` // when everything was in place
	// Activated is when a standby was made the management node.
	Activated time.Time     `json:"activated,omitzero"`
	Source    string        `json:"source"`
	Snapshot  digest.Digest `json:"snapshot"`
	Title     string        `json:"title"`
	Created   time.Time     `json:"created"`
	Choices   Choices       `json:"choices"`
	Allow     []string      `json:"allow,omitempty"`
	// Touched are the tops of the trees it changes.
	Touched []string `json:"touched"`
	// Size is what the originals take, with the journal, in bytes.
	Size int64 `json:"size"`
}

// ErrNoImport says that there is no import of that id, or none at all.
var ErrNoImport = errors.New("no such import")

// Imports returns the imports into root, the newest first, with what each takes.
func Imports(root *host.Root) ([]Import, error) {
	all, err := imports(root)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if err := all[i].measure(root); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// imports is Imports without the sizes, for which everything that is kept is walked.
func imports(root *host.Root) ([]Import, error) {
	ids, err := importIDs(root)
	if err != nil {
		return nil, err
	}
	all := []Import{}
	for _, id := range ids {
		one, err := readImport(root, id)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b Import) int {
		return cmp.Or(b.Begun.Compare(a.Begun), strings.Compare(b.ID, a.ID))
	})
	return all, nil
}

// importIDs lists the state directories.
func importIDs(root *host.Root) ([]string, error) {
	ids, err := root.Names(StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("imports: %w", err)
	}
	return ids, nil
}

// openImport opens the state directory of import id.
func openImport(root *host.Root, id string) (*host.Dir, error) {
	if id == "" || strings.Contains(id, "/") || id == "." || id == ".." {
		return nil, fmt.Errorf("%w: %q", ErrNoImport, id)
	}
	state, err := root.OpenDir(path.Join(StateDir, id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %q", ErrNoImport, id)
	}
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", id, err)
	}
	return state, nil
}

// readImport returns what is known of import id. One that was killed before it had
// written anything down is known by its id alone.
func readImport(root *host.Root, id string) (one Import, err error) {
	state, err := openImport(root, id)
	if err != nil {
		return one, err
	}
	defer func() { _ = state.Close() }()
	if err := readJSON(state, importFile, &one); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return one, fmt.Errorf("import %s: %w", id, err)
	}
	one.ID = id
	if one.Phase, err = phaseOf(state); err != nil {
		return one, fmt.Errorf("import %s: %w", id, err)
	}
	if one.Ended, err = ended(state); err != nil {
		return one, fmt.Errorf("import %s: %w", id, err)
	}
	return one, nil
}

// measure sums up what the import takes.
func (one *Import) measure(root *host.Root) error {
	state, err := openImport(root, one.ID)
	if err != nil {
		return err
	}
	one.Size, err = keptSize(root, state)
	if err = errors.Join(err, state.Close()); err != nil {
		return fmt.Errorf("import %s: %w", one.ID, err)
	}
	return nil
}

// Unfinished returns the import into root that was neither finished nor undone,
// because the machine stopped or the program was killed; nil if there is none. One
// that waits for the first boot of root is unfinished only where that has come.
func Unfinished(root *host.Root) (*Import, error) {
	all, err := imports(root)
	if err != nil {
		return nil, err
	}
	for i, one := range all {
		// Of several that wait for a boot the last counts.
		if one.Phase == PhaseInterrupted || one.Phase == PhaseStarting || i == 0 && one.Phase == PhaseWaiting && root.IsLive() {
			return &one, nil
		}
	}
	return nil, nil
}

// keptSize sums up what lies in the work directories of the import in state.
func keptSize(root *host.Root, state *host.Dir) (int64, error) {
	total, err := diskUsage(state)
	if err != nil {
		return 0, err
	}
	works, err := workDirs(state)
	if err != nil {
		return 0, err
	}
	for _, p := range works {
		d, err := root.OpenDir(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		n, err := diskUsage(d)
		if err = errors.Join(err, d.Close()); err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// worksFile lists the work directories on other filesystems, a JSON string a line:
// the journal of a finished import is long.
const worksFile = "works"

func workDirs(state *host.Dir) (all []string, err error) {
	f, err := state.Open(worksFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	for dec := json.NewDecoder(f); dec.More(); {
		var p rawPath
		if err := dec.Decode(&p); err != nil {
			return all, nil // cut off by a crash: the journal has it too
		}
		all = append(all, string(p))
	}
	return all, nil
}

// diskUsage sums up the sizes of the files in d and below, in bytes.
func diskUsage(d *host.Dir) (total int64, err error) {
	names, err := d.Names()
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		st, err := d.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		total += st.Blocks * 512
		if !st.IsDir() {
			continue
		}
		sub, err := d.OpenDir(name)
		if err != nil {
			return 0, err
		}
		n, err := diskUsage(sub)
		if err = errors.Join(err, sub.Close()); err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// writeImport makes what is known of an import durable, before anything changes.
func (a *applier) writeImport(ctx context.Context, state *host.Dir) error {
	s := a.snapshot
	if err := a.noteTouched(ctx); err != nil {
		return err
	}
	one := Import{
		Begun: a.Now, Source: a.Source, Snapshot: s.Descriptor.Digest, Title: s.Config.Title(), Created: s.Config.Created,
		Choices: a.Choices, Allow: allowed(a.Allow), Touched: a.touched,
	}
	return errors.Join(replaceJSON(state, importFile, one), replaceJSON(state, configFile, s.Config), replaceJSON(state, planFile, a.plan))
}

// noteTouched finds out which trees the plan changes.
func (a *applier) noteTouched(ctx context.Context) error {
	var failed error
	a.touched = touchedTops(func(yield func(string) bool) {
		more := a.goal == nil || yield(a.goal.to.Dir+"/site.sqlite")
		for _, acc := range a.plan.Accounts {
			more = more && yield("/etc/passwd") && yield(acc.Home)
		}
		failed = a.plan.files.each(ctx, func(_ int, s state, e artifact.Entry) error {
			if (s.missing() || s == isMerged) && more {
				more = yield(a.target(e))
			}
			return nil
		})
	})
	return failed
}

// replaceJSON makes file name in d of v, as replaceFile does.
func replaceJSON(d *host.Dir, name string, v any) error {
	return replaceFile(d, name, func(w io.Writer) error { return json.NewEncoder(w).Encode(v) })
}

// replaceFile makes file name in d of what write writes, durable, in place of one that
// is there. Whatever happens, name is never half written: a crash must not leave what
// a resume or a rollback fails to read.
func replaceFile(d *host.Dir, name string, write func(io.Writer) error) error {
	next := name + ".new"
	if err := ignoreMissing(d.Remove(next)); err != nil {
		return err
	}
	f, err := d.Create(next)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, d.Remove(next))
	}
	if err := d.Rename(next, d, name); err != nil {
		return err
	}
	return d.Sync()
}

// readConfig returns the config of the snapshot of the import in state.
func readConfig(state *host.Dir) (c artifact.Config, err error) {
	return c, readJSON(state, configFile, &c)
}
