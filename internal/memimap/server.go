// Package memimap is a whole mail server in memory, on loopback, for the demo and for tests that must run where no
// mail server is installed.
//
//	Start ──► imapserver (go-imap) ──► session ──► imapmemserver (go-imap)
//
// go-imap's in-memory server is a plain IMAP4rev1 server with UIDPLUS and without CONDSTORE or MULTIAPPEND, as many
// old ones are. The session adds what every real server has and it lacks: COPY within one folder, an INBOX that is
// there again after it was renamed (RFC 9051, 6.3.6), and FETCH that shows only messages which the client was told
// of, and lets other sessions in between. It spells flags in lower case, which they do not depend on (RFC 9051,
// 2.3.2). Subscriptions end with their folder.
//
// A Server owns its listener and its connections. Close ends them and waits for the sessions.
package memimap

import (
	"fmt"
	"log"
	"net"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// Options say who may log in, and how the server differs from another one.
type Options struct {
	Users map[string]string // name to password

	// UIDValidity is that of each user's INBOX, at least 1. Every folder that is made later gets the next number.
	UIDValidity uint32

	Log *log.Logger // what clients did wrong; nil: the standard logger
}

// Server is a running server.
type Server struct {
	// Immutable.
	accounts map[string]*account
	imap     *imapserver.Server
	listener net.Listener

	sessions sync.WaitGroup
	served   chan error
}

// account is one user's mail.
type account struct {
	user *imapmemserver.User
	// folders is held for writing while there is a folder that nobody may see.
	folders sync.RWMutex
}

// capabilities beside those that imapserver always offers.
var capabilities = imap.CapSet{
	imap.CapIMAP4rev1: {}, imap.CapNamespace: {}, imap.CapUIDPlus: {}, imap.CapMove: {}, imap.CapESearch: {},
	imap.CapListExtended: {}, imap.CapListStatus: {}, imap.CapStatusSize: {}, imap.CapLiteralPlus: {},
}

// Start makes the accounts, each with an empty INBOX, and listens on a free port of 127.0.0.1.
func Start(opt Options) (*Server, error) {
	s := &Server{accounts: map[string]*account{}, served: make(chan error, 1)}
	for name, password := range opt.Users {
		a, err := newAccount(name, password, opt.UIDValidity)
		if err != nil {
			return nil, err
		}
		s.accounts[name] = a
	}
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start memimap: %w", err)
	}
	o := &imapserver.Options{NewSession: s.newSession, Caps: capabilities, InsecureAuth: true}
	if opt.Log != nil {
		o.Logger = opt.Log
	}
	s.imap = imapserver.New(o)
	go s.serve()
	return s, nil
}

// newAccount uses up the lower UIDVALIDITYs, since the library counts them from 1.
func newAccount(name, password string, uidValidity uint32) (*account, error) {
	a := &account{user: imapmemserver.NewUser(name, password)}
	for range max(uidValidity, 1) - 1 {
		if err := a.user.Create("used up", nil); err != nil {
			return nil, err
		}
		if err := a.user.Delete("used up"); err != nil {
			return nil, err
		}
	}
	return a, a.user.Create(inbox, nil)
}

func (s *Server) serve() { s.served <- s.imap.Serve(s.listener) }

// Addr returns host:port. The server speaks IMAP without TLS.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends all connections and the server.
func (s *Server) Close() error {
	s.listener.Close() // Serve may not have begun, and then imapserver does not know the listener
	err := <-s.served
	s.imap.Close()
	s.sessions.Wait()
	return err
}

func (s *Server) newSession(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	s.sessions.Add(1)
	return &session{server: s}, nil, nil
}
