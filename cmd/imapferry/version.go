package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

const versionUsage = `usage: imapferry version

Shows the version, and the Go release and platform that it was built with and for.
`

func version(_ context.Context, c *call) error {
	if err := c.parseNone(); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "imapferry %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// buildVersion is what the Go tool has noted: a tag, or the commit that was built.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown version)"
	}
	return info.Main.Version
}
