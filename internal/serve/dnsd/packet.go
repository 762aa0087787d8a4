package dnsd

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// ServePacket answers what comes by UDP until ctx ends.
func (s *Server) ServePacket(ctx context.Context, pc *net.UDPConn) error {
	stop := context.AfterFunc(ctx, func() { _ = pc.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	defer func() { _ = pc.Close() }()
	control, err := controlled(pc)
	if err != nil {
		return fault.As(fault.Unavailable, "dnsd.ServePacket", err)
	}
	errs := make([]error, runtime.GOMAXPROCS(0))
	var readers sync.WaitGroup
	for i := range errs {
		readers.Go(func() { errs[i] = s.readPackets(ctx, pc, control) })
	}
	readers.Wait()
	return errors.Join(errs...)
}

// readPackets is one reader of a socket.
func (s *Server) readPackets(ctx context.Context, pc *net.UDPConn, control int) error {
	in, out, oob := make([]byte, maxTCP), make([]byte, 0, 2*largest), make([]byte, control)
	for {
		n, oobn, _, from, err := pc.ReadMsgUDPAddrPort(in, oob)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fault.As(fault.Unavailable, "dnsd.readPackets", err)
		case err != nil:
			continue // of an earlier answer that did not arrive
		}
		peer := netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if reply := s.answer(ctx, peer, in[:n], true, out); reply != nil {
			_, _, _ = pc.WriteMsgUDPAddrPort(reply, source(oob[:oobn]), from)
		}
	}
}

// controlled asks the system to tell which of our addresses a question came to, where
// the socket stands for several, and says how much room that takes: the answer is to
// come from there.
func controlled(pc *net.UDPConn) (room int, err error) {
	at, ok := pc.LocalAddr().(*net.UDPAddr)
	if !ok || !at.IP.IsUnspecified() {
		return 0, nil
	}
	// One of both is refused by a socket of the other family.
	err4 := ipv4.NewPacketConn(pc).SetControlMessage(ipv4.FlagDst, true)
	err6 := ipv6.NewPacketConn(pc).SetControlMessage(ipv6.FlagDst, true)
	if err4 != nil && err6 != nil {
		return 0, err4
	}
	return max(len(ipv4.NewControlMessage(ipv4.FlagDst)), len(ipv6.NewControlMessage(ipv6.FlagDst))), nil
}

// source is the control message that has an answer leave from where the question came
// to.
func source(oob []byte) []byte {
	if len(oob) == 0 {
		return nil
	}
	var v6 ipv6.ControlMessage
	if v6.Parse(oob) == nil && v6.Dst != nil && v6.Dst.To4() == nil {
		return (&ipv6.ControlMessage{Src: v6.Dst}).Marshal()
	}
	var v4 ipv4.ControlMessage
	if v4.Parse(oob) == nil && v4.Dst != nil {
		return (&ipv4.ControlMessage{Src: v4.Dst}).Marshal()
	}
	return nil
}
