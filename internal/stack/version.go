package stack

import "regexp"

// versionLine finds the version in the line of Version.pm that the build fills
// in. perl-xCAT/modifyUtils replaces the tag after the literal by a second one:
// 'Version '. '2.17.0' . ' (git commit ...)', or, in the short form,
// ”. '2.17.0'.
func versionLine() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^\s*\$version\s*=\s*(?:'(?:Version )?'\s*\.\s*)?'(?:Version )?([0-9][0-9A-Za-z.~+_-]*)`)
}

// Version returns the version that perl module xCAT::Version states, "2.17.0",
// or "" where it has none: the file in the source tree is a stub that the build
// completes.
func Version(versionPM []byte) string {
	if m := versionLine().FindSubmatch(versionPM); m != nil {
		return string(m[1])
	}
	return ""
}
