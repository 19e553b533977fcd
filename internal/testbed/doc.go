// Package testbed starts real mail servers and Redis on loopback, fills them
// with mail and reads them back, for tests, for the demo and for benchmarks.
//
//	bed ──► Dovecot ──► a process group, its folder, its ports, its log
//	    ├─► Cyrus, Courier, Redis (alone, with Sentinels, as a Cluster) ──► the same
//	    ├─► client ──► Forward ──► any of them, over a network as bad as wanted
//	    └─► client ──► proxy ──► Gate ──► any of them, with a command that waits for the test
//
//	Seed, Bulk, Torture ──► account on a server ──► Snapshot ──► Diff
//	                                            └─► Mbsync, OfflineIMAP, Curl, Imaplib, Pipeline
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
// Cyrus and Courier need root, and Courier the right to make a namespace, since
// its folders are built into it. Debian's packages of both conflict with that of
// Dovecot; .ci/deps installs what can be installed beside it and unpacks the
// rest below /var/cache/imapferry-testbed, from where it is run. A server that
// drops root would outlive an owner that is killed: Cyrus has a lifeline, a
// child in its group that waits for the end of a pipe, and Courier is the first
// process of a namespace, which the kernel empties with it.
//
// What these servers do otherwise than Dovecot, seen with this package:
//
//   - Courier waits two seconds in each DELETE and RENAME, refuses several
//     keywords and all dates before 1970, keeps subscriptions of deleted folders,
//     and gives an INBOX another UIDVALIDITY at each EXAMINE until somebody has
//     opened it for writing.
//   - Cyrus drops the subscription with its folder, refuses DELETE of a parent,
//     NUL bytes, bare newlines, headers without an end and more than a hundred
//     keywords in a folder, and waits three seconds after a wrong password unless
//     told not to.
//   - Dovecot 2.3 takes dates before 1970 and gives them back otherwise in a later
//     session. A Maildir's UIDNEXT must not be raised before its folder has been
//     opened once, or it changes its UIDVALIDITY at the next openings.
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
