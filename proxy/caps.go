package proxy

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"imapferry/internal/backend"
	"imapferry/state"
)

// allowed are the capabilities that may be promised, as clients are told them. What is not here is not promised:
// either the relay could not pass it on, or a session that uses it could not go on at another server without the
// client noticing. A name ending in "=" allows any value.
var allowed = []string{
	"IMAP4rev1",          // RFC 3501
	"LITERAL+",           // RFC 7888; the relay makes it hold for any backend
	"LITERAL-",           // RFC 7888
	"ENABLE",             // RFC 5161
	"ID",                 // RFC 2971
	"IDLE",               // RFC 2177
	"NAMESPACE",          // RFC 2342
	"CHILDREN",           // RFC 3348
	"UIDPLUS",            // RFC 4315
	"MOVE",               // RFC 6851
	"UNSELECT",           // RFC 3691
	"MULTIAPPEND",        // RFC 3502
	"BINARY",             // RFC 3516
	"CONDSTORE",          // RFC 7162; not for translated users
	"QRESYNC",            // RFC 7162; not for translated users, who would send a UIDVALIDITY in SELECT
	"ESEARCH",            // RFC 4731
	"SEARCHRES",          // RFC 5182
	"WITHIN",             // RFC 5032
	"SEARCH=FUZZY",       // RFC 6203
	"SORT",               // RFC 5256
	"SORT=DISPLAY",       // RFC 5957
	"ESORT",              // RFC 5267; CONTEXT=* of the same RFC is not here
	"THREAD=",            // RFC 5256 and whatever algorithm servers add
	"I18NLEVEL=1",        // RFC 5255
	"LIST-EXTENDED",      // RFC 5258
	"LIST-STATUS",        // RFC 5819
	"LIST-MYRIGHTS",      // RFC 8440
	"STATUS=SIZE",        // RFC 8438
	"SPECIAL-USE",        // RFC 6154
	"CREATE-SPECIAL-USE", // RFC 6154
	"METADATA",           // RFC 5464
	"METADATA-SERVER",    // RFC 5464
	"QUOTA",              // RFC 2087
	"QUOTA=RES-",         // RFC 9208
	"ACL",                // RFC 4314
	"RIGHTS=",            // RFC 4314
	"PREVIEW",            // RFC 8970
	"UTF8=ACCEPT",        // RFC 9755
}

// baseline is what a client is promised while one server's capabilities are not known: what any server has that a
// user is moved to.
var baseline = backend.Caps{
	"IMAP4REV1", "LITERAL+", "ENABLE", "ID", "IDLE", "NAMESPACE", "CHILDREN", "UIDPLUS", "UNSELECT",
}

// preLoginCaps is what a client is told before its login.
func preLoginCaps(tlsOn, canStartTLS bool) backend.Caps {
	caps := backend.Caps{"IMAP4rev1", "ID", "SASL-IR", "LITERAL+", "ENABLE", "IDLE"}
	switch {
	case tlsOn:
		return append(caps, "AUTH=PLAIN", "AUTH=LOGIN")
	case canStartTLS:
		return append(caps, "STARTTLS", "LOGINDISABLED") // RFC 9051, 6.2.1
	}
	return append(caps, "LOGINDISABLED")
}

// promise is what a client is told after its login, in the order of the table. A user who may still be moved is
// promised what both servers can, a migrated one what the target can. Capabilities that are not known yet are nil.
func promise(phase state.Phase, fidelity state.Fidelity, source, target backend.Caps) backend.Caps {
	if target == nil {
		target = baseline
	}
	if phase.OnTarget() {
		source = target
	} else if source == nil {
		source = baseline
	}
	var out backend.Caps
	for _, name := range allowed {
		if fidelity == state.Translated && (name == "CONDSTORE" || name == "QRESYNC") {
			continue
		}
		for _, c := range source {
			if allows(name, c) && target.Has(c) {
				out = appendNew(out, spelled(name, c))
			}
		}
	}
	if limit := appendLimit(source, target); limit != "" {
		out = append(out, limit)
	}
	return out
}

func allows(name, c string) bool {
	upper := strings.ToUpper(name)
	if strings.HasSuffix(name, "=") || strings.HasSuffix(name, "=RES-") {
		return strings.HasPrefix(c, upper) && len(c) > len(upper)
	}
	return c == upper
}

// spelled returns c as the table spells it: IMAP4rev1 is not all upper case, and some clients look for that.
func spelled(name, c string) string {
	if strings.EqualFold(name, c) {
		return name
	}
	return c
}

func appendNew(caps backend.Caps, c string) backend.Caps {
	if slices.Contains(caps, c) {
		return caps
	}
	return append(caps, c)
}

// appendLimit returns the smaller of both limits (RFC 7889), without a value if neither has one for all mailboxes, or
// nothing if one of the servers does not know the extension.
func appendLimit(a, b backend.Caps) string {
	x, okX := limitOf(a)
	y, okY := limitOf(b)
	switch limit := min(x, y); {
	case !okX || !okY:
		return ""
	case limit == noLimit:
		return "APPENDLIMIT"
	default:
		return "APPENDLIMIT=" + strconv.FormatUint(limit, 10)
	}
}

// isLimit reports whether c is an APPENDLIMIT.
func isLimit(c string) bool {
	name, _, _ := strings.Cut(c, "=")
	return name == "APPENDLIMIT"
}

// noLimit stands for an APPENDLIMIT without a value.
const noLimit = math.MaxUint64

// limitOf returns the value of APPENDLIMIT; ok is false if it is not there.
func limitOf(caps backend.Caps) (limit uint64, ok bool) {
	for _, c := range caps {
		if !isLimit(c) {
			continue
		}
		_, value, _ := strings.Cut(c, "=")
		limit, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			limit = noLimit
		}
		return limit, true
	}
	return 0, false
}
