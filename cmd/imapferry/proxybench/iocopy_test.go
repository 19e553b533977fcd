package proxybench

import (
	"crypto/tls"
	"io"
	"net"
)

// copyRelay is the least that a Go program can do as a proxy: it ends TLS at the first address and copies to the
// second. The other arguments are the files of certificate and key.
func copyRelay(args []string) error {
	cert, err := tls.LoadX509KeyPair(args[2], args[3])
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", args[0], &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return err
	}
	ended := make(chan error)
	go acceptAll(l, func(client net.Conn) { copyBoth(client, args[1]) }, ended)
	return <-ended
}

func copyBoth(client net.Conn, backend string) {
	defer client.Close()
	server, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	go copyOne(server, client)
	copyOne(client, server)
}

// copyOne ends both connections at its end, which ends the other direction too.
func copyOne(dst, src net.Conn) {
	_, _ = io.Copy(dst, src) // an error is an end like another
	dst.Close()
	src.Close()
}
