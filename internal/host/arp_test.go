package host

import (
	"net"
	"net/netip"
	"testing"
)

func TestARPPackets(t *testing.T) {
	own, other := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	address := netip.MustParseAddr("10.0.0.1")
	probe := arpProbe(own, address)
	if want := "\x00\x01\x08\x00\x06\x04\x00\x01\x02\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x01"; string(probe) != want {
		t.Errorf("probe %q, want %q", probe, want)
	}
	reply := func(who net.HardwareAddr, has string) []byte {
		b := append([]byte{0, 1, 8, 0, 6, 4, 0, 2}, who...)
		return append(append(b, netip.MustParseAddr(has).AsSlice()...), make([]byte, 10+18)...) // padded, as frames are
	}
	for _, tt := range []struct {
		packet []byte
		want   string
	}{
		{reply(other, "10.0.0.1"), other.String()},
		{reply(own, "10.0.0.1"), ""}, // we hear ourselves
		{reply(other, "10.0.0.2"), ""},
		{reply(other, "10.0.0.1")[:27], ""},
		{arpProbe(other, address), ""}, // it asks, it does not say
		{nil, ""},
	} {
		if got := arpOwner(tt.packet, map[string]bool{own.String(): true}, address); got.String() != tt.want {
			t.Errorf("%q: %s, want %s", tt.packet, got, tt.want)
		}
	}
	if bigEndian(0x0806)>>8 == 0x08 && bigEndian(1) != 1 {
		t.Error("the order of bytes is neither the one nor the other")
	}
}
