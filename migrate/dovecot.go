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
	return &dovecotAdapter{
		url:  base,
		auth: "X-Dovecot-API " + base64.StdEncoding.EncodeToString([]byte(key)),
		http: &http.Client{Timeout: doveadmTimeout},
	}, nil
}

func (d *dovecotAdapter) name() string             { return "dovecot" }
func (d *dovecotAdapter) fidelity() state.Fidelity { return state.Exact }

// modSeqLead puts the target's mod-sequences above any that a client has seen at the source, so that a client that
// resynchronises by CONDSTORE or QRESYNC (RFC 7162) is told all flags once, and misses none.
const modSeqLead = 1 << 32

func (d *dovecotAdapter) prepare(ctx context.Context, user, folder string, source status) error {
	return d.update(ctx, user, folder, map[string]any{"minHighestModseq": source.modSeq + modSeqLead})
}

func (d *dovecotAdapter) skip(ctx context.Context, _ *client, user, folder string, _, to uint32) error {
	return d.update(ctx, user, folder, map[string]any{"minNextUid": to})
}

func (d *dovecotAdapter) setUIDValidity(ctx context.Context, user, folder string, v uint32) error {
	return d.update(ctx, user, folder, map[string]any{"uidValidity": v})
}

func (d *dovecotAdapter) clearInbox(ctx context.Context, _ *client, user string) error {
	return d.call(ctx, "mailboxDelete", map[string]any{"user": user, "mailbox": []string{wire.Inbox}})
}

func (d *dovecotAdapter) update(ctx context.Context, user, folder string, params map[string]any) error {
	utf8, err := wire.DecodeName(folder)
	if err != nil {
		return holdf("%s: doveadm cannot name the folder: %v; rename it at the source", wire.Quoted(folder), err)
	}
	params["user"], params["mailbox"] = user, utf8
	if err := d.call(ctx, "mailboxUpdate", params); err != nil {
		return fmt.Errorf("update %s: %w", wire.Quoted(folder), err)
	}
	return nil
}

// doveadmError is a command that the server could run and that failed.
type doveadmError struct {
	command string
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

// call runs one command. A server that drops the connection without an answer has usually crashed over the command.
func (d *dovecotAdapter) call(ctx context.Context, command string, params map[string]any) error {
	body, err := json.Marshal([]any{[]any{command, params, "f"}})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", d.auth)
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.http.Do(req)
	if err != nil {
		return fmt.Errorf("doveadm %s: %w", command, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return holdf("target.doveadm_api_key: doveadm refuses it (HTTP %d)", resp.StatusCode)
	default:
		return fmt.Errorf("doveadm %s: HTTP %s", command, resp.Status)
	}
	return readDoveadm(command, io.LimitReader(resp.Body, doveadmAnswer))
}

// readDoveadm reads [["doveadmResponse",[…],"f"]] or [["error",{"type":"exitCode","exitCode":68},"f"]].
func readDoveadm(command string, r io.Reader) error {
	var answers [][]json.RawMessage
	if err := json.NewDecoder(r).Decode(&answers); err != nil {
		return fmt.Errorf("doveadm %s: read answer: %w", command, err)
	}
	if len(answers) != 1 || len(answers[0]) < 2 {
		return fmt.Errorf("doveadm %s: %d answers instead of one", command, len(answers))
	}
	if string(answers[0][0]) == `"doveadmResponse"` {
		return nil
	}
	var failure struct {
		Type     string `json:"type"`
		ExitCode int    `json:"exitCode"`
	}
	if err := json.Unmarshal(answers[0][1], &failure); err != nil {
		return fmt.Errorf("doveadm %s: read answer: %w", command, err)
	}
	return &doveadmError{command, failure.Type, failure.ExitCode}
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
