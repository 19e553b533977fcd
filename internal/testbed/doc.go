// Package testbed starts real mail servers and Redis on loopback, fills them
// with mail and reads them back, for tests, for the demo and for benchmarks.
//
//	bed ──► Dovecot ──► a process group, its folder, its ports, its log
//	    └─► Redis   ──► the same
//
//	Seed, Bulk ──► account on a server ──► Snapshot ──► Diff
//	                                   └─► Mbsync, OfflineIMAP
//
//	bed := testbed.ForTest(t)
//	d, err := bed.Dovecot(testbed.DovecotOptions{Format: "mdbox", Doveadm: true})
//	…
//	refused, err := testbed.Seed(ctx, d.IMAP(), "alice", "pass", testbed.SeedSpec{})
//	before, err := testbed.Snapshot(ctx, d.IMAPS(), "alice", "pass", testbed.WithCA(d.CertFile))
//	…
//	for _, line := range testbed.Diff(before, after, testbed.DiffOptions{}) { … }
//
// A Bed owns everything below its scratch folder. What it starts, it stops by
// process id; Close ends all servers and removes the folder. Servers are told
// to end when the process that owns the bed dies, so a test that is killed
// leaves nothing that runs. A server keeps its ports and its data for the life
// of the bed, so Kill followed by Start is a crash and a restart as clients see
// it.
//
// Everything that judges the product is written independently of it: the
// reader behind Snapshot is a small one of its own and knows nothing of the
// packages under test. It is also independent of go-imap's client, which ends
// the connection at folder names and responses that real servers send. A
// Snapshot asks for no extension that would make a server begin to track
// something; HIGHESTMODSEQ is what a plain EXAMINE tells, and Dovecot lets it
// rise only after some client has asked for CONDSTORE in that folder.
//
// Servers run as root or as an ordinary user. As root Dovecot drops to its own
// users, so every folder above the scratch folder must let others pass.
//
// The package does not import testing, because the demo is built from it.
package testbed
