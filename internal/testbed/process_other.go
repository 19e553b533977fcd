//go:build unix && !linux

package testbed

import (
	"net"
	"os"
	"syscall"
)

// Elsewhere servers outlive an owner that is killed, and beds of several
// processes are kept apart by the bind test alone.

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func enclose(*syscall.SysProcAttr) {}

func lockByte(*os.File, int64) error { return nil }

func unlockByte(*os.File, int64) {}

func groupAlive(pgid int) bool { return syscall.Kill(-pgid, 0) == nil }

func groups(leader int) []int { return []int{leader} }

func acknowledging(conn net.Conn) net.Conn { return conn }
