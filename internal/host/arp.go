package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// arpWithin is how long an answer may take. RFC 5227 waits for one to two seconds
// after the last of three probes; on the wire of a cluster one is enough.
const arpWithin = time.Second

// Duplicate asks the network of interface nic whether another machine has address,
// an IPv4 address of this one, and returns that machine's hardware address, nil for
// none. It sends one ARP probe (RFC 5227, 2.1.1), which changes nobody's tables. It
// needs CAP_NET_RAW; interfaces without hardware addresses have no duplicates.
func Duplicate(ctx context.Context, nic string, address netip.Addr) (_ net.HardwareAddr, err error) {
	i, err := net.InterfaceByName(nic)
	if err != nil {
		return nil, fmt.Errorf("network interface %s: %w", nic, err)
	}
	if len(i.HardwareAddr) != arpHardware || i.Flags&net.FlagUp == 0 || !address.Is4() {
		return nil, nil //nolint:nilnil // nobody can answer
	}
	fail := func(err error) error { return fmt.Errorf("network interface %s: ARP: %w", nic, err) }
	own, err := hardwareAddresses()
	if err != nil {
		return nil, fail(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(bigEndian(unix.ETH_P_ARP)))
	if err != nil {
		return nil, fail(err)
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	to := &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ARP), Ifindex: i.Index, Halen: arpHardware}
	if err := unix.Bind(fd, to); err != nil {
		return nil, fail(err)
	}
	for n := range arpHardware {
		to.Addr[n] = 0xff // everybody
	}
	if err := unix.Sendto(fd, arpProbe(i.HardwareAddr, address), 0, to); err != nil {
		return nil, fail(err)
	}
	tick := unix.NsecToTimeval((50 * time.Millisecond).Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick); err != nil {
		return nil, fail(err)
	}
	ctx, cancel := context.WithTimeout(ctx, arpWithin)
	defer cancel()
	packet := make([]byte, 128)
	for ctx.Err() == nil {
		n, _, err := unix.Recvfrom(fd, packet, 0)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		case err != nil:
			return nil, fail(err)
		default:
			if who := arpOwner(packet[:n], own, address); who != nil {
				return who, nil
			}
		}
	}
	return nil, nil //nolint:nilnil // nobody answered
}

// The layout of ARP for Ethernet and IPv4 (RFC 826).
const (
	arpHardware = 6
	arpSize     = 28
)

// arpProbe asks who has address, and names none as the asker's.
func arpProbe(from net.HardwareAddr, address netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, arpHardware, 4, 0, 1} // Ethernet, IPv4, request
	b = append(append(b, from...), 0, 0, 0, 0)
	return append(append(b, make([]byte, arpHardware)...), address.AsSlice()...)
}

// hardwareAddresses are those of all interfaces of this machine, as text. Each answers
// for every address of the machine if it is asked (ip-sysctl, arp_ignore 0), also for
// that of another on the same network.
func hardwareAddresses() (map[string]bool, error) {
	all, err := net.Interfaces()
	own := map[string]bool{}
	for _, i := range all {
		own[i.HardwareAddr.String()] = true
	}
	return own, err
}

// arpOwner returns who says in packet that it has address, nil if nobody does, or
// this machine itself.
func arpOwner(packet []byte, own map[string]bool, address netip.Addr) net.HardwareAddr {
	if len(packet) < arpSize || binary.BigEndian.Uint16(packet[2:]) != unix.ETH_P_IP || packet[4] != arpHardware || packet[5] != 4 {
		return nil
	}
	who := net.HardwareAddr(packet[8:14])
	if is, ok := netip.AddrFromSlice(packet[14:18]); !ok || is != address || own[who.String()] {
		return nil
	}
	return append(net.HardwareAddr{}, who...)
}

// bigEndian is n as the network has it, on this machine of whatever kind.
func bigEndian(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}
