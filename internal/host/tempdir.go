package host

import "os"

// TempDirIn makes a private directory, mode 0700, in directory parent of this
// machine, "" for the system's own. remove deletes it with all in it.
func TempDirIn(parent string) (dir string, remove func() error, err error) {
	dir, err = os.MkdirTemp(parent, "xcrate-")
	return dir, func() error { return os.RemoveAll(dir) }, err
}
