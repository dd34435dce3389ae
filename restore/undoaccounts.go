package restore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// Files beside the journal about accounts: who was there when the import ended, by
// account file, and what those files hold when a rollback begins that were changed
// since, mode 0600. The second has password hashes, as the files have.
const (
	accountsAtEnd = "accounts-at-end.json"
	accountsSince = "accounts-since.json"
)

// accountFiles are those that name an account at the beginning of each line. The last
// makes an account known.
func accountFiles() []string {
	return []string{"/etc/gshadow", "/etc/group", "/etc/shadow", "/etc/passwd"}
}

const maxAccounts = 64 << 20

// noteAccounts writes down who is there now that the import ends.
func (a *applier) noteAccounts(state *host.Dir) error {
	all := map[string][]string{}
	for _, file := range accountFiles() {
		b, err := a.Root.ReadFile(file, maxAccounts)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		all[file] = namesIn(b)
	}
	return replaceJSON(state, accountsAtEnd, all)
}

// namesIn returns the names of the accounts in a file of them.
func namesIn(content []byte) (names []string) {
	for line := range bytes.Lines(content) {
		if name, _, ok := strings.Cut(string(line), ":"); ok {
			names = append(names, name)
		}
	}
	return names
}

// accountsNow keeps what account files hold that were changed since the import ended,
// before anything is put back: who came since must not go with the import, nor a
// password that was changed.
func (u *undoer) accountsNow() error {
	if u.changes == nil {
		return nil
	}
	err := readJSON(u.state, accountsSince, &u.accounts)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err // of a rollback that was interrupted
	}
	u.accounts = map[string][]byte{}
	for _, file := range accountFiles() {
		st, err := u.Root.Lstat(file)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (!st.IsRegular() || !later(st, u.end)) {
			continue
		}
		if err != nil {
			return err
		}
		if u.accounts[file], err = u.Root.ReadFile(file, maxAccounts); err != nil {
			return err
		}
	}
	return replaceJSON(u.state, accountsSince, u.accounts)
}

// putAccounts gives account files that were changed since the import ended what they
// held then but for those accounts that the import had brought.
func (u *undoer) putAccounts() error {
	if len(u.accounts) == 0 {
		return nil
	}
	var atEnd map[string][]string
	if err := readJSON(u.state, accountsAtEnd, &atEnd); err != nil {
		return ignoreMissing(err)
	}
	for file, since := range u.accounts {
		before, err := u.Root.ReadFile(file, maxAccounts)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		content := withoutBrought(since, namesIn(before), atEnd[file])
		if err := u.replace(file, content); err != nil {
			return fmt.Errorf("%s: %w", u.Root.Path(file), err)
		}
	}
	return nil
}

// withoutBrought returns the lines of since but for those of accounts that were there
// when the import ended, and not before.
func withoutBrought(since []byte, before, atEnd []string) (kept []byte) {
	for line := range bytes.Lines(since) {
		name, _, _ := strings.Cut(string(line), ":")
		if slices.Contains(atEnd, name) && !slices.Contains(before, name) {
			continue
		}
		kept = append(kept, line...)
	}
	return kept
}

// replace makes content what file holds, which keeps its attributes but for the time.
func (u *undoer) replace(file string, content []byte) (err error) {
	d, name, err := u.Root.OpenParent(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	e, err := attributesOf(d, name, strings.TrimPrefix(file, "/"))
	if err != nil {
		return err
	}
	w, err := u.work.besideMade(file)
	if err != nil {
		return err
	}
	slot := "back-" + path.Base(file)
	if err := w.RemoveAll(slot); err != nil {
		return err
	}
	f, err := w.Create(slot)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	st, err := w.Lstat(slot)
	if err != nil {
		return err
	}
	e.Size, e.MTime = st.Size, artifact.Time{Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec}
	if err := setAttributes(w.Dir, slot, e); err != nil { // it must not get there with others
		return err
	}
	return errors.Join(w.Rename(slot, d, name), d.Sync())
}
