// Package sbom writes down what something consists of, as a software bill of
// materials in SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3/) in its JSON form: of
// the program, as its build information tells, and of the packages of a snapshot,
// as its config tells. Bytes out, and no file, clock or network: the same input
// makes the same bytes.
//
// What is not known is NOASSERTION, the word of SPDX for that: neither a build nor a
// package database tells licences that somebody has looked at.
package sbom
