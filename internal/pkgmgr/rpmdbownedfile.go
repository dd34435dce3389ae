package pkgmgr

import "fmt"

// States of a file (RPMFILE_STATE_* of rpm's rpmfiles.h).
const (
	stateReplaced     = 1 // by another package's
	stateNotInstalled = 2
	stateNetShared    = 3
	stateWrongColor   = 4 // another architecture's was taken
)

// ownedFile is what a header says of one of its files.
type ownedFile struct {
	path, user, group, link, digest, caps          string
	mode, flags, verify, size, time, device, state int64
	algorithm                                      int64
}

// ownedFiles reads all files of a header.
func ownedFiles(s section) ([]ownedFile, error) {
	paths, err := headers{main: s}.paths()
	if err != nil || len(paths) == 0 {
		return nil, err
	}
	algorithm, err := s.number(tagFileAlgo)
	if err != nil {
		return nil, err
	}
	all := make([]ownedFile, len(paths))
	for i, p := range paths {
		// Everything of a file is compared unless the package says otherwise.
		all[i] = ownedFile{path: p, algorithm: algorithm, verify: -1}
	}
	sizes := uint32(tagFileSizes)
	if s.has(tagLongFileSizes) {
		sizes = tagLongFileSizes
	}
	for tag, to := range map[uint32]func(f *ownedFile) *int64{
		tagFileModes:   func(f *ownedFile) *int64 { return &f.mode },
		tagFileFlags:   func(f *ownedFile) *int64 { return &f.flags },
		tagFileVerify:  func(f *ownedFile) *int64 { return &f.verify },
		sizes:          func(f *ownedFile) *int64 { return &f.size },
		tagFileTimes:   func(f *ownedFile) *int64 { return &f.time },
		tagFileDevices: func(f *ownedFile) *int64 { return &f.device },
		tagFileStates:  func(f *ownedFile) *int64 { return &f.state },
	} {
		values, err := s.numbers(tag)
		if err := setValues(all, tag, values, err, to); err != nil {
			return nil, err
		}
	}
	for tag, to := range map[uint32]func(f *ownedFile) *string{
		tagFileUsers:   func(f *ownedFile) *string { return &f.user },
		tagFileGroups:  func(f *ownedFile) *string { return &f.group },
		tagFileLinks:   func(f *ownedFile) *string { return &f.link },
		tagFileDigests: func(f *ownedFile) *string { return &f.digest },
		tagFileCaps:    func(f *ownedFile) *string { return &f.caps },
	} {
		values, err := s.strings(tag)
		if err := setValues(all, tag, values, err, to); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// setValues puts the values of a tag into the files. Those of a tag that is not
// there stay as they are.
func setValues[T any](all []ownedFile, tag uint32, values []T, err error, to func(*ownedFile) *T) error {
	if err != nil {
		return err
	}
	optional := tag == tagFileStates || tag == tagFileVerify || tag == tagFileCaps
	if len(values) == 0 && optional {
		return nil
	}
	if len(values) != len(all) {
		return fmt.Errorf("%w: %d files, %d values of tag %d", errDamaged, len(all), len(values), tag)
	}
	for i := range all {
		*to(&all[i]) = values[i]
	}
	return nil
}
