// Command imapferry moves mailboxes from one IMAP server to another while their users stay logged in.
//
// This package is the command line, the configuration and the wiring; what it wires knows nothing of it.
//
//	main ─► run ─► command ─┬─ serve ──► config ─► node: certificates, store, engine, sessions, admin API
//	                        ├─ check ──► config ─► a report
//	                        ├─ state ──► config ─► store ─► a file; a file ─► store
//	                        └─ others ─► admin API of a running node
//
// # Configuration
//
// Defaults, then the file, then the environment. The keys are the toml tags of the structs that the packages take, so
// a package that has one more key needs no change here; environment variables and the files of secrets follow from
// the tags and types as well. The whole is checked before anything listens, and all errors are told at once, each
// with the place where the value was given.
//
// # Commands
//
// A command gets a call and returns an error. run alone turns errors into exit codes: misused is 2, any other 1.
// Commands for operators work on the admin API alone, so they need neither the configuration nor the host that
// serves.
package main
