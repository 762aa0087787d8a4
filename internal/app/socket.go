package app

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// socketName is where the REST API listens, below the data directory. Whoever
// may open it may administer the server, so only its owner may.
const socketName = "ekiden.sock"

// maxSocketPath is what every system takes for the path of a unix socket.
const maxSocketPath = 100

// atSocket calls f with a path by which the socket of dir can be reached,
// however long dir is.
func atSocket(dir string, f func(path string) error) error {
	path := filepath.Join(dir, socketName)
	if len(path) <= maxSocketPath {
		return f(path)
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return f(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), socketName))
}

// listenSocket opens the socket. The caller holds the store's lock, so a socket
// that is there was left by a server that is gone.
func listenSocket(dir string) (net.Listener, error) {
	var ln *net.UnixListener
	err := atSocket(dir, func(path string) error {
		_ = os.Remove(path)
		var err error
		if ln, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}); err != nil {
			return err
		}
		ln.SetUnlinkOnClose(false) // the path may be good only now
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		return nil, fmt.Errorf("socket in %s: %w", dir, err)
	}
	return ln, nil
}

// DialSocket connects to the server that runs over a data directory.
func DialSocket(ctx context.Context, dir string) (net.Conn, error) {
	var conn net.Conn
	err := atSocket(dir, func(path string) error {
		var err error
		conn, err = (&net.Dialer{}).DialContext(ctx, "unix", path)
		return err
	})
	return conn, err
}
