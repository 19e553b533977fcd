// Package proxybench measures the program as a proxy beside other proxies; it has tests alone. `make bench-proxy` runs
// all of it and prints one table of ratios within that run, each beside its goal. Figures of two runs, or of two
// machines, cannot be compared.
//
//	this process: clients ══TLS══► one proxy after the other ──► backend
//	                               imapferry, nginx, dovecot,    this binary again: IMAP in clear text, of which
//	                               haproxy, io.Copy (this        every answer is ready beforehand
//	                               binary again)
//
// Every proxy has an ECDSA P-256 certificate, speaks TLS 1.3 with X25519 (OpenSSL 3.0 knows no hybrid key exchange,
// so all do the same work) and may use two cores. imapferry is the program as it is built for people, with the defaults
// of its configuration: its sessions are framed, watched and ready to be moved. HAProxy and io.Copy know no IMAP
// at all.
//
// The machine may have other users: proxies take turns in several short rounds, a value is the median over the
// rounds, and a ratio is the median of the rounds' ratios. CPU time is that of the proxy's processes alone.
//
// # For tuning
//
// A figure is one sub-benchmark: memory, noop, fetch, login. A list of peers bounds the run to them, and a path
// to a program is another build of imapferry, so two builds can be compared within one run:
//
//	make bench-proxy FIGURE=noop PEERS=imapferry,nginx
//	make bench-proxy FIGURE=memory PEERS=imapferry,haproxy SESSIONS=1000
//	make bench-proxy FIGURE=fetch PEERS=imapferry,/tmp/imapferry-before ROUNDS=9
package proxybench
