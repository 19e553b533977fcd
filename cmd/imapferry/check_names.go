package main

import (
	"context"
	"fmt"
	"strings"

	"imapferry/internal/backend"
	"imapferry/migrate"
)

// folderNames compares how the two servers name folders, where both can be entered.
func (k *checker) folderNames(ctx context.Context, source, target side) {
	if !source.entered {
		return
	}
	old, ok := k.probeNames(ctx, "source", k.cfg.Source)
	if !ok {
		return
	}
	if len(old.Others) > 0 && !k.cfg.Migrate.Shared {
		k.warn("source folders", "set migrate.shared to copy to each user what the user sees of them, or see to them yourself",
			"those of others and public ones are left out: names that begin with %s", quotedList(old.Others))
	}
	if !target.entered {
		return
	}
	there, ok := k.probeNames(ctx, "target", k.cfg.Target.Config)
	switch {
	case !ok:
	case old.Prefix == there.Prefix && old.Separator == there.Separator:
		k.ok("folder names", "equal: prefix %q, separator %q", old.Prefix, old.Separator)
	default:
		k.warn("folder names", nameAdvice(old), "source: prefix %q, separator %q; target: prefix %q, separator %q: a user with other folders than INBOX is copied, and held before the switch, unless migrate.allow has \"names\"",
			old.Prefix, old.Separator, there.Prefix, there.Separator)
	}
}

func (k *checker) probeNames(ctx context.Context, name string, cfg backend.Config) (n migrate.FolderNames, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, tryWithin)
	defer cancel()
	b, err := backend.New(name, cfg)
	if err == nil {
		n, err = migrate.ProbeNames(ctx, b, k.user)
	}
	if err != nil {
		k.fail("folder names", "see the server's log", "%v", err)
	}
	return n, err == nil
}

// nameAdvice says how the usual servers name folders as the source does.
func nameAdvice(source migrate.FolderNames) string {
	advice := fmt.Sprintf("configure the target so that names stay equal. Dovecot: prefix = %s and separator = %s in the namespace that has inbox = yes, the separator in all others too", source.Prefix, source.Separator)
	if source.Prefix == "" || source.Prefix == "INBOX"+source.Separator {
		yes := map[bool]string{true: "yes", false: "no"}
		advice += fmt.Sprintf(". Cyrus: altnamespace: %s, unixhierarchysep: %s", yes[source.Prefix == ""], yes[source.Separator == "/"])
	}
	return advice
}

func quotedList(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, ", ")
}
