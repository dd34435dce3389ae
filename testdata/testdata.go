// Package testdata carries the text from which the sample management node is
// made, so that a built program needs no source tree beside it. Package
// internal/hosttest turns it into a root directory.
package testdata

import "embed"

// SampleMN holds the folder samplemn: schema.txt, the tables' columns;
// tables.json, their rows; and *.txt, files of the sample's root. The format of
// each is described in package internal/hosttest.
//
//go:embed samplemn
var SampleMN embed.FS
