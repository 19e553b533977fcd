// Package acmetest tests imapferry's certificates against a real ACME server:
// pebble, run in the test process. It is a module of its own because pebble is
// under the MPL-2.0 and, like its dependencies, is no part of the product.
//
//	test ── tls.New ── certmagic ──https──► pebble's directory (httptest)
//	                       ▲                      │ asks dnsServer, then
//	                       └── http_port, alpn_port ◄── validates
package acmetest
