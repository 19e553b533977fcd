package memimap

import (
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

const (
	inbox   = "INBOX"
	scratch = "memimap scratch" // exists only while the account is locked
	atOnce  = 64                // messages that are fetched while others wait for the folder
)

// session is one connection. It belongs to the connection's goroutine.
type session struct {
	*imapmemserver.UserSession // nil before the login
	server                     *Server
	account                    *account
	selected                   string
}

var _ imapserver.SessionIMAP4rev2 = (*session)(nil)

func (s *session) Close() error {
	defer s.server.sessions.Done()
	return s.UserSession.Close()
}

func (s *session) Login(name, password string) error {
	a := s.server.accounts[name]
	if a == nil {
		return imapserver.ErrAuthFailed
	}
	if err := a.user.Login(name, password); err != nil {
		return err
	}
	s.account, s.UserSession = a, imapmemserver.NewUserSession(a.user)
	return nil
}

func (s *session) Select(name string, options *imap.SelectOptions) (*imap.SelectData, error) {
	data, err := s.UserSession.Select(name, options)
	if err == nil {
		s.selected = name
	}
	return data, err
}

func (s *session) Unselect() error {
	s.selected = ""
	return s.UserSession.Unselect()
}

func (s *session) List(w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions) error {
	s.account.folders.RLock()
	defer s.account.folders.RUnlock()
	return s.UserSession.List(w, ref, patterns, options)
}

func (s *session) Rename(from, to string, options *imap.RenameOptions) error {
	if err := s.UserSession.Rename(from, to, options); err != nil || from != inbox {
		return err
	}
	return s.Create(inbox, nil)
}

// Copy goes by way of another folder where both are the same, which the library refuses.
func (s *session) Copy(set imap.NumSet, dest string) (*imap.CopyData, error) {
	if dest != s.selected {
		return s.UserSession.Copy(set, dest)
	}
	s.account.folders.Lock()
	defer s.account.folders.Unlock()
	if err := s.Create(scratch, nil); err != nil {
		return nil, err
	}
	defer s.Delete(scratch)
	there, err := s.UserSession.Copy(set, scratch)
	if err != nil {
		return nil, err
	}
	second := imapmemserver.NewUserSession(s.account.user)
	defer second.Close()
	if _, err := second.Select(scratch, nil); err != nil {
		return nil, err
	}
	back, err := second.Copy(imap.UIDSet{{Start: 1}}, dest)
	if err != nil {
		return nil, err
	}
	back.SourceUIDs = there.SourceUIDs
	return back, nil
}

// Fetch takes the folder for a few messages at a time, because it stays locked while they are written to a client
// that may be slow.
func (s *session) Fetch(w *imapserver.FetchWriter, set imap.NumSet, options *imap.FetchOptions) error {
	set, err := s.announced(set)
	if err != nil {
		return err
	}
	seqs := set.(imap.SeqSet)
	nums, ok := seqs.Nums()
	if !ok { // with a "*"
		return s.UserSession.Fetch(w, set, options)
	}
	for part := range slices.Chunk(nums, atOnce) {
		if err := s.UserSession.Fetch(w, imap.SeqSetNum(part...), options); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) Store(w *imapserver.FetchWriter, set imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions) error {
	set, err := s.announced(set)
	if err != nil {
		return err
	}
	return s.UserSession.Store(w, set, flags, options)
}

// announced returns the sequence numbers of a set of UIDs. A message that came since the last command has none yet,
// and would be shown with the number 0.
func (s *session) announced(set imap.NumSet) (imap.NumSet, error) {
	uids, ok := set.(imap.UIDSet)
	if !ok {
		return set, nil
	}
	found, err := s.Search(imapserver.NumKindSeq, &imap.SearchCriteria{UID: []imap.UIDSet{uids}}, &imap.SearchOptions{ReturnAll: true})
	if err != nil {
		return nil, err
	}
	return found.All, nil
}
