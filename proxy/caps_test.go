package proxy

import (
	"slices"
	"strings"
	"testing"

	"imapferry/internal/backend"
	"imapferry/state"
)

func TestPreLoginCaps(t *testing.T) {
	tests := []struct {
		tls, can bool
		want     string
	}{
		{true, true, "IMAP4rev1 ID SASL-IR LITERAL+ ENABLE IDLE AUTH=PLAIN AUTH=LOGIN"},
		{false, true, "IMAP4rev1 ID SASL-IR LITERAL+ ENABLE IDLE STARTTLS LOGINDISABLED"},
		{false, false, "IMAP4rev1 ID SASL-IR LITERAL+ ENABLE IDLE LOGINDISABLED"},
	}
	for _, tt := range tests {
		if got := strings.Join(preLoginCaps(tt.tls, tt.can), " "); got != tt.want {
			t.Errorf("preLoginCaps(%v, %v) = %s; want %s", tt.tls, tt.can, got, tt.want)
		}
	}
}

func TestPromise(t *testing.T) {
	tests := []struct {
		name           string
		phase          state.Phase
		fidelity       state.Fidelity
		source, target string // "-" is not known yet
		want           string
	}{
		{"both", state.Pending, "", "IMAP4rev1 MOVE SORT IDLE", "IDLE IMAP4rev1 ESEARCH SORT", "IMAP4rev1 IDLE SORT"},
		{"target unknown", state.Pending, "", "IMAP4rev1 MOVE IDLE CONDSTORE UIDPLUS", "-", "IMAP4rev1 IDLE UIDPLUS"},
		{"source unknown", state.Held, "", "-", "IMAP4rev1 MOVE IDLE", "IMAP4rev1 IDLE"},
		{"migrated", state.Migrated, state.Exact, "IMAP4rev1", "IMAP4rev1 MOVE CONDSTORE QRESYNC", "IMAP4rev1 MOVE CONDSTORE QRESYNC"},
		{"finalized", state.Finalized, state.Exact, "-", "IMAP4rev1 MOVE", "IMAP4rev1 MOVE"},
		{"translated", state.Migrated, state.Translated, "-", "IMAP4rev1 CONDSTORE QRESYNC MOVE", "IMAP4rev1 MOVE"},
		{"will be translated", state.Pending, state.Translated, "IMAP4rev1 CONDSTORE QRESYNC ENABLE", "IMAP4rev1 CONDSTORE QRESYNC ENABLE", "IMAP4rev1 ENABLE"},
		{"values", state.Tailing, "", "IMAP4rev1 THREAD=REFS THREAD=REFERENCES RIGHTS=texk QUOTA=RES-STORAGE THREAD=",
			"IMAP4rev1 RIGHTS=texk THREAD=REFERENCES QUOTA=RES-STORAGE THREAD=", "IMAP4rev1 THREAD=REFERENCES QUOTA=RES-STORAGE RIGHTS=TEXK"},
		{"append limit", state.Pending, "", "IMAP4rev1 APPENDLIMIT=500", "IMAP4rev1 APPENDLIMIT=400", "IMAP4rev1 APPENDLIMIT=400"},
		{"append limit of one", state.Pending, "", "IMAP4rev1 APPENDLIMIT=500", "IMAP4rev1 APPENDLIMIT", "IMAP4rev1 APPENDLIMIT=500"},
		{"append limit per mailbox", state.Pending, "", "IMAP4rev1 APPENDLIMIT", "IMAP4rev1 APPENDLIMIT", "IMAP4rev1 APPENDLIMIT"},
		{"append limit not shared", state.Pending, "", "IMAP4rev1 APPENDLIMIT=500", "IMAP4rev1", "IMAP4rev1"},
		{"repeated", state.Migrated, "", "-", "IMAP4rev1 IMAP4rev1 IDLE IDLE", "IMAP4rev1 IDLE"},
	}
	for _, tt := range tests {
		got := strings.Join(promise(tt.phase, tt.fidelity, known(tt.source), known(tt.target)), " ")
		if got != tt.want {
			t.Errorf("%s: promise = %s; want %s", tt.name, got, tt.want)
		}
	}
}

func known(text string) backend.Caps {
	if text == "-" {
		return nil
	}
	return backend.ParseCaps(text)
}

// TestPromiseNever names what a relay could not frame or a moved session could not keep.
func TestPromiseNever(t *testing.T) {
	never := "OBJECTID SAVEDATE URLAUTH URLAUTH=BINARY CATENATE NOTIFY CONTEXT=SEARCH CONTEXT=SORT COMPRESS=DEFLATE UNAUTHENTICATE " +
		"LOGIN-REFERRALS XAPPLEPUSHSERVICE X-GM-EXT-1 UIDONLY AUTH=PLAIN STARTTLS LOGINDISABLED SASL-IR"
	for _, p := range state.Phases {
		if got := promise(p, state.Exact, known(never), known(never)); len(got) > 0 {
			t.Errorf("%s: promised %s", p, got)
		}
	}
	for _, c := range strings.Fields(never) {
		if slices.Contains(allowed, c) {
			t.Errorf("%s is in the table", c)
		}
	}
}
