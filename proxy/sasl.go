package proxy

import (
	"context"
	"encoding/base64"
	"strings"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// credentials are what a client claims to be and how it proves it.
type credentials struct {
	authz  string // PLAIN's authorization identity, empty in most cases
	name   string
	secret backend.Secret
}

// maxResponse bounds a line of a SASL exchange: two credentials in base64.
const maxResponse = 32 << 10

// exchange reads the client's response to one challenge (RFC 9051, 6.2.2).
type exchange func(challenge string) (string, error)

// mechanism is the server's side of a SASL mechanism. initial is nil without an initial response.
type mechanism func(initial *string, ask exchange) (credentials, error)

var mechanisms = map[string]mechanism{"PLAIN": saslPlain, "LOGIN": saslLogin}

// saslPlain is RFC 4616: [authzid] NUL authcid NUL passwd.
func saslPlain(initial *string, ask exchange) (credentials, error) {
	if initial == nil {
		response, err := ask("")
		if err != nil {
			return credentials{}, err
		}
		initial = &response
	}
	parts := strings.Split(*initial, "\x00")
	if len(parts) != 3 {
		return credentials{}, bad("malformed PLAIN response")
	}
	return credentials{parts[0], parts[1], backend.Secret(parts[2])}, nil
}

// saslLogin is the mechanism that never became a standard (draft-murchison-sasl-login): two prompts, two answers.
func saslLogin(initial *string, ask exchange) (cred credentials, err error) {
	if initial != nil {
		cred.name = *initial
	} else if cred.name, err = ask("Username:"); err != nil {
		return cred, err
	}
	secret, err := ask("Password:")
	cred.secret = backend.Secret(secret)
	return cred, err
}

func (s *session) authenticate(ctx context.Context, cmd command) (string, error) {
	d := cmd.args
	d.SP()
	name := strings.ToUpper(d.Atom())
	var initial *string
	if d.Accept(' ') {
		text := string(d.Rest())
		initial = &text
	}
	if d.End() != nil {
		return "", bad("want AUTHENTICATE mechanism [initial response]")
	}
	if err := s.mayLogIn(); err != nil {
		return "", err
	}
	mech, ok := mechanisms[name]
	if !ok {
		return "", no("", "mechanism not supported")
	}
	if initial != nil {
		response, err := decodeResponse(strings.TrimSpace(*initial), true)
		if err != nil {
			return "", err
		}
		initial = &response
	}
	cred, err := mech(initial, s.challenge)
	if err != nil {
		return "", err
	}
	return s.login(ctx, cred)
}

// challenge sends text and reads the client's response.
func (s *session) challenge(text string) (string, error) {
	if err := s.write("+ " + base64.StdEncoding.EncodeToString([]byte(text)) + "\r\n"); err != nil {
		return "", err
	}
	line, err := s.r.Line(maxResponse)
	if err != nil {
		return "", err
	}
	response := string(wire.TrimEOL(line))
	if response == "*" {
		return "", bad("AUTHENTICATE cancelled")
	}
	return decodeResponse(response, false)
}

// decodeResponse reads base64. An initial response of "=" is the empty one (RFC 4959, section 3).
func decodeResponse(text string, initial bool) (string, error) {
	if initial && text == "=" {
		return "", nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", bad("response is not base64")
	}
	return string(raw), nil
}
