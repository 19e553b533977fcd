package migrate

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// dovecotAdapter sets UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ by the HTTP API of doveadm. It was tried with
// Dovecot 2.3.19.
type dovecotAdapter struct {
	url  string
	auth string
	http *http.Client
}

// Bounds of a call. The server closes the connection after each answer.
const (
	doveadmTimeout = 30 * time.Second
	doveadmAnswer  = 1 << 20
)

// Exit codes of doveadm, from sysexits.h.
const (
	exitNoUser   = 67
	exitNotFound = 68
)

func newDovecotAdapter(base string, key backend.Secret) (*dovecotAdapter, error) {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		// Not quoted: a URL may hold a password, and one that cannot be parsed shows where (I8).
		return nil, errors.New("target.doveadm_url: is not an http(s) URL; give it as http://host:8080/doveadm/v1")
	}
	if key == "" {
		return nil, errors.New("target.doveadm_api_key: missing; doveadm_url needs the doveadm_api_key of the server")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = dialLeased
	transport.DisableKeepAlives = true // a connection is one worker's
	return &dovecotAdapter{
		url:  base,
		auth: "X-Dovecot-API " + base64.StdEncoding.EncodeToString([]byte(key)),
		http: &http.Client{Timeout: doveadmTimeout, Transport: transport},
	}, nil
}

func (d *dovecotAdapter) name() string             { return "dovecot" }
func (d *dovecotAdapter) fidelity() state.Fidelity { return state.Exact }

// modSeqLead puts the target's mod-sequences above any that a client has seen at the source, so that a client that
// resynchronises by CONDSTORE or QRESYNC (RFC 7162) is told all flags once, and misses none.
const modSeqLead = 1 << 32

// prepare leaves out folders whose source has told nobody a mod-sequence.
func (d *dovecotAdapter) prepare(ctx context.Context, dst *client, user string, folders []*mailbox) error {
	var updates []update
	for _, m := range folders {
		if m.status.modSeq != 0 {
			updates = append(updates, update{dst.there(m.name), "minHighestModseq", m.status.modSeq + modSeqLead})
		}
	}
	return d.update(ctx, dst, user, updates...)
}

func (d *dovecotAdapter) skip(ctx context.Context, dst *client, user, folder string, _, to uint32) error {
	return d.update(ctx, dst, user, update{dst.there(folder), "minNextUid", uint64(to)})
}

func (d *dovecotAdapter) setUIDValidity(ctx context.Context, dst *client, user string, folders []*mailbox) error {
	var updates []update
	for _, m := range folders {
		updates = append(updates, update{dst.there(m.name), "uidValidity", uint64(m.status.uidValidity)})
	}
	return d.update(ctx, dst, user, updates...)
}

func (d *dovecotAdapter) clearInbox(ctx context.Context, dst *client, user string) error {
	return d.call(ctx, dst, []doveadmCommand{{"mailboxDelete", wire.Inbox, map[string]any{"user": user, "mailbox": []string{wire.Inbox}}}})
}

// update is one number that doveadm can set of a folder, which has its name at the target.
type update struct {
	folder, param string
	value         uint64
}

// update makes all updates by one call.
func (d *dovecotAdapter) update(ctx context.Context, dst *client, user string, updates ...update) error {
	var commands []doveadmCommand
	for _, u := range updates {
		utf8, err := wire.DecodeName(u.folder)
		if err != nil {
			return holdf("%s: doveadm cannot name the folder: %v; rename it at the source, then retry", wire.Quoted(u.folder), err)
		}
		commands = append(commands, doveadmCommand{"mailboxUpdate", u.folder, map[string]any{"user": user, "mailbox": utf8, u.param: u.value}})
	}
	if len(commands) == 0 {
		return nil
	}
	return d.call(ctx, dst, commands)
}

// doveadmCommand is one command of a call, about one folder.
type doveadmCommand struct {
	name, folder string
	params       map[string]any
}

// doveadmError is a command that the server could run and that failed.
type doveadmError struct {
	command string // with its folder
	typ     string // exitCode, unknownMethod, invalidRequest
	exit    int
}

func (e *doveadmError) Error() string {
	switch {
	case e.typ != "exitCode":
		return fmt.Sprintf("doveadm %s: %s", e.command, e.typ)
	case e.exit == exitNoUser:
		return fmt.Sprintf("doveadm %s: the target does not know the user", e.command)
	case e.exit == exitNotFound:
		return fmt.Sprintf("doveadm %s: no such folder", e.command)
	}
	return fmt.Sprintf("doveadm %s: exit code %d", e.command, e.exit)
}

// call runs commands, all of them even if one fails, under the lease of dst's worker. A server that drops the connection without an answer
// has usually crashed over a command.
func (d *dovecotAdapter) call(ctx context.Context, dst *client, commands []doveadmCommand) error {
	list := make([]any, len(commands))
	for i, c := range commands {
		list[i] = []any{c.name, c.params, "f"}
	}
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	ctx = context.WithValue(ctx, leasedKey{}, dst.leased())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", d.auth)
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.http.Do(req)
	if err != nil {
		return fmt.Errorf("doveadm: %w", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return holdf("target.doveadm_api_key: doveadm refuses it (HTTP %d); give the doveadm_api_key of the server, then retry", resp.StatusCode)
	default:
		return fmt.Errorf("doveadm: HTTP %s", resp.Status)
	}
	return readDoveadm(commands, io.LimitReader(resp.Body, doveadmAnswer))
}

// readDoveadm reads an answer to each command: ["doveadmResponse",[…],"f"] or ["error",{"type":"exitCode","exitCode":68},"f"].
func readDoveadm(commands []doveadmCommand, r io.Reader) error {
	var answers [][]json.RawMessage
	if err := json.NewDecoder(r).Decode(&answers); err != nil {
		return fmt.Errorf("doveadm: read answer: %w", err)
	}
	if len(answers) != len(commands) {
		return fmt.Errorf("doveadm: %d answers instead of %d", len(answers), len(commands))
	}
	for i, a := range answers {
		if err := commands[i].outcome(a); err != nil {
			return err
		}
	}
	return nil
}

func (c *doveadmCommand) outcome(answer []json.RawMessage) error {
	what := c.name + " " + wire.Quoted(c.folder)
	if len(answer) < 2 {
		return fmt.Errorf("doveadm %s: answer without content", what)
	}
	if string(answer[0]) == `"doveadmResponse"` {
		return nil
	}
	var failure struct {
		Type     string `json:"type"`
		ExitCode int    `json:"exitCode"`
	}
	if err := json.Unmarshal(answer[1], &failure); err != nil {
		return fmt.Errorf("doveadm %s: read answer: %w", what, err)
	}
	return &doveadmError{what, failure.Type, failure.ExitCode}
}

// probe reports whether the API answers and takes the key: a GET lists the commands.
func (d *dovecotAdapter) probe(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", d.auth)
	resp, err := d.http.Do(req)
	if err != nil {
		return fmt.Errorf("doveadm: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("doveadm: HTTP %s; is target.doveadm_api_key right?", resp.Status)
	}
	return nil
}
