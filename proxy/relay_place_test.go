package proxy

import (
	"testing"

	"imapferry/internal/wire"
)

// TestCountsMessages: a search by UID that holds sequence numbers means others to a client that has not heard of removals.
func TestCountsMessages(t *testing.T) {
	for search, want := range map[string]bool{
		"a UID SEARCH ALL":                                 false,
		"7 UID SEARCH UID 1:5 UNSEEN":                      false,
		"a UID SEARCH RETURN (ALL) SINCE 1-Jan-2020":       false,
		"a UID SEARCH (OR LARGER 100 SMALLER 5) KEYWORD x": false,
		"a UID SEARCH MODSEQ 12":                           false,
		"a UID SEARCH 1:5":                                 true,
		"a UID SEARCH (NOT *)":                             true,
		"a UID SEARCH UNSEEN 3":                            true,
		"a UID SEARCH SUBJECT {3+}":                        true,
		"a UID SEARCH SUBJECT \"3 mails\"":                 false,
		"a UID SEARCH SUBJECT \"mails 3\"":                 true, // needlessly
		"a UID SORT (DATE) UTF-8 2":                        true,
	} {
		if got := countsMessages(wire.Upper([]byte(search + "\r\n"))); got != want {
			t.Errorf("countsMessages(%q) = %v; want %v", search, got, want)
		}
	}
}
