// Package machinetest proves xcrate on whole machines: it has tests only. A
// machine is a root directory with real systemd and real services
// (internal/hosttest), xCAT on it is a stand-in with its names, paths, scripts and
// ports (internal/hosttest/xcatd), and xcrate is the program as it is shipped. The
// tests are no part of cmd/xcrate so that they run beside its tests.
package machinetest
