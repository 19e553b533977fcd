package main

import (
	"bytes"
	"log"
	"sync"

	"imapferry/internal/backend"
	"imapferry/internal/memimap"
	"imapferry/internal/testbed"
	"imapferry/migrate"
)

// demoServers are a source and a target, both on loopback without TLS.
type demoServers struct {
	source, target     string // host:port
	sourceIs, targetIs string // for the screen
	settings           migrate.TargetSettings
	close              func() error
}

// memoryServers starts two servers in this process. A folder that is made in the target gets another UIDVALIDITY than
// it has in the source.
func memoryServers(l *tail) (*demoServers, error) {
	users := map[string]string{demoUser: demoPassword}
	source, err := memimap.Start(memimap.Options{Users: users, UIDValidity: 1700, Log: log.New(l, "source: ", 0)})
	if err != nil {
		return nil, err
	}
	target, err := memimap.Start(memimap.Options{Users: users, UIDValidity: 40, Log: log.New(l, "target: ", 0)})
	if err != nil {
		source.Close()
		return nil, err
	}
	settings := migrate.DefaultTargetSettings()
	settings.Adapter = "imap"
	return &demoServers{
		source: source.Addr(), target: target.Addr(), settings: settings,
		sourceIs: "IMAP server in memory, " + source.Addr(), targetIs: "IMAP server in memory, " + target.Addr(),
		close: func() error {
			err := source.Close()
			if e := target.Close(); err == nil {
				err = e
			}
			return err
		},
	}, nil
}

// dovecotServers starts two Dovecots, the target with the API by which UIDVALIDITYs are kept.
func dovecotServers(*tail) (*demoServers, error) {
	bed, err := testbed.New("")
	if err != nil {
		return nil, err
	}
	source, err := bed.Dovecot(testbed.DovecotOptions{Format: "maildir"})
	if err != nil {
		bed.Close()
		return nil, err
	}
	target, err := bed.Dovecot(testbed.DovecotOptions{Format: "mdbox", Doveadm: true})
	if err != nil {
		bed.Close()
		return nil, err
	}
	settings := migrate.DefaultTargetSettings()
	settings.DoveadmURL, settings.DoveadmAPIKey = target.DoveadmURL(), backend.Secret(target.APIKey)
	return &demoServers{
		source: source.IMAP(), target: target.IMAP(), settings: settings,
		sourceIs: "Dovecot with maildir, " + source.IMAP(), targetIs: "Dovecot with mdbox, " + target.IMAP(),
		close: bed.Close,
	}, nil
}

// tail keeps the end of the log, for the case that something goes wrong.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

// String returns whole lines.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := t.text
	if len(text) == tailSize {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return string(bytes.TrimSpace(text))
}
