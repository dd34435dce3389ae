// Package hosttest makes root directories for tests, demos and benchmarks and
// compares them: an xCAT management node with everything an MN collects over
// the years, a fresh distro to restore it to, and whole-tree comparison.
//
// The text of the sample lies in testdata/samplemn. Each *.txt file there is a
// text/template that renders to a list of entries, each with a heading:
//
//	-- 0644 root:root etc/hosts --        a file; the lines up to the next heading are its content
//	-- 0755 named:named var/named/ --     a directory
//	-- link etc/localtime -> ../usr/x --  a symlink
//
// Missing parents are made with mode 0755 and owner root. What text cannot say
// (binary content, hard links, holes, device nodes, odd names) is Go code here.
package hosttest
