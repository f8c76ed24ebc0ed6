// Package peerurl spells the base URLs of peers, and tells from where they can be reached.
package peerurl

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/peercache/peercache/internal/quote"
)

// All processes compare peers by the text of their base URLs, so there is one way to write each of
// them: scheme, host and port alone; lower case; an IP address in its shortest form, and an IPv6
// address that stands for an IPv4 address as that one; no dot at the end; the port in decimal, and
// left out if it is the default of the scheme.

// Longest bounds the base URL of a peer, in bytes. The name of a host has at most 253.
const Longest = 512

// Check returns an error if name is not the base URL of a peer, or is not spelled in the one way.
// The error says how to spell it.
func Check(name string) error {
	want, err := Spell(name)
	switch {
	case err != nil:
		return fmt.Errorf("peer %s: %w", Shown(name), err)
	case name != want:
		return fmt.Errorf("peer %s: want it spelled %s, in all processes: peers are told apart by the text", Shown(name), want)
	}
	return nil
}

var errNoBaseURL = errors.New("want a base URL such as http://10.0.0.1:8001")

// Spell returns the one way to write the base URL name. The error says why name is none.
func Spell(name string) (string, error) {
	u, err := url.Parse(name)
	if !strings.Contains(name, "://") {
		if with, err := Spell("http://" + name); err == nil {
			return "", fmt.Errorf("want a base URL, with its scheme: %s", with)
		}
	}
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // without the URL, which may have a password
		}
		return "", fmt.Errorf("%w: %w", errNoBaseURL, err)
	}
	scheme := strings.ToLower(u.Scheme)
	if scheme != "http" && scheme != "https" || u.Hostname() == "" {
		return "", errNoBaseURL
	}
	host, err := spellHost(u.Hostname())
	if err != nil {
		return "", err
	}
	port := u.Port()
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", errors.New("want a port of 1 to 65535")
		}
		port = strconv.FormatUint(n, 10)
	}
	if port == "80" && scheme == "http" || port == "443" && scheme == "https" {
		port = ""
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	return scheme + "://" + host, nil
}

// longestHost is how many bytes a name in the DNS may have.
const longestHost = 253

// spellHost returns the one way to write a host. The error says why no peer can be there.
func spellHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return spellAddr(addr)
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return "", errors.New("want a host of letters, digits, '-', '_' and '.': a name in another script has such a form, which begins with xn--")
	}
	if len(host) > longestHost {
		return "", fmt.Errorf("a host of %d bytes: want at most %d", len(host), longestHost)
	}
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return "", errors.New("want a host with 1 to 63 bytes between its dots")
		}
		last = label
	}
	if last[0] >= '0' && last[0] <= '9' && strings.Trim(last, "0123456789abcdefx") == "" { // 127.1, 0x7f000001, 10.0.0.01
		if _, err := strconv.ParseUint(last, 0, 64); err == nil || strings.Trim(last, "0123456789") == "" {
			return "", errors.New("want an IPv4 address as four decimal numbers without leading zeros")
		}
	}
	return host, nil
}

// spellAddr does what spellHost does, for an IP address.
func spellAddr(addr netip.Addr) (string, error) {
	switch addr = addr.Unmap(); {
	case addr.Zone() != "":
		return "", errors.New("an address with a zone means something else on each machine: want one without")
	case addr.IsUnspecified():
		return "", errors.New("that stands for all addresses of a machine, and can be listened on: want the one at which the peers reach this process, such as http://10.0.0.1:8001")
	case addr.IsMulticast(), addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "", errors.New("that is an address of many machines: want one of a process")
	}
	return addr.String(), nil
}

// Shown returns a URL as errors show it: in quotes, without a user and a password.
func Shown(name string) string {
	if at := strings.LastIndexByte(name, '@'); at >= 0 {
		name = "…" + name[at:]
	}
	if len(name) > Longest {
		return quote.Key(name)
	}
	return fmt.Sprintf("%q", name)
}

// Reach says from where an address can be reached.
type Reach int

const (
	Anywhere   Reach = iota // from everywhere, as far as the address tells
	OneNetwork              // a link-local address
	OneMachine              // a loopback address
)

// ReachOf returns from where the peer at a base URL can be reached.
func ReachOf(name string) Reach {
	u, err := url.Parse(name)
	if err != nil {
		return Anywhere
	}
	host := u.Hostname()
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return OneMachine
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return Anywhere
	case addr.IsLoopback():
		return OneMachine
	case addr.IsLinkLocalUnicast():
		return OneNetwork
	}
	return Anywhere
}
