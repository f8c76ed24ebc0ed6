package resp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/peercache/peercache/resp/codec"
)

func cmdClientID(c *Conn, args [][]byte) { c.Int(int64(c.id)) }

func cmdClientGetName(c *Conn, args [][]byte) {
	if name := c.getFacts().name; name != "" {
		c.Bulk(name)
	} else {
		c.Null()
	}
}

func cmdClientSetName(c *Conn, args [][]byte) {
	if !validName(args[2]) {
		c.Error("ERR Client names cannot contain spaces, newlines or special characters.")
		return
	}
	name := string(args[2])
	c.setFacts(func(f *facts) { f.name = name })
	c.OK()
}

func cmdClientSetInfo(c *Conn, args [][]byte) {
	value := string(args[3])
	switch {
	case !isWord(args[2], "lib-name") && !isWord(args[2], "lib-ver"):
		c.Error(fmt.Sprintf("ERR Unrecognized option '%s'", arg(args[2])))
	case !validName(args[3]):
		c.Error(fmt.Sprintf("ERR %s cannot contain spaces, newlines or special characters.", strings.ToLower(string(args[2]))))
	case isWord(args[2], "lib-name"):
		c.setFacts(func(f *facts) { f.lib = value })
		c.OK()
	default:
		c.setFacts(func(f *facts) { f.libVersion = value })
		c.OK()
	}
}

func cmdClientReply(c *Conn, args [][]byte) {
	switch {
	case isWord(args[2], "ON"):
		c.session.muted, c.session.skip = false, false
		c.OK()
	case isWord(args[2], "OFF"):
		c.session.muted = true
	case isWord(args[2], "SKIP"):
		c.session.skip = !c.session.muted
	default:
		c.Error("ERR syntax error")
	}
}

// cmdClientSwitch is a command that is on or off, and does nothing here.
func cmdClientSwitch(c *Conn, args [][]byte) {
	if !isWord(args[2], "ON") && !isWord(args[2], "OFF") {
		c.Error("ERR syntax error")
		return
	}
	c.OK()
}

func cmdClientCaching(c *Conn, args [][]byte) {
	f := c.track.Load()
	yes := isWord(args[2], "YES")
	switch {
	case f == nil:
		c.Error("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
	case !yes && !isWord(args[2], "NO"):
		c.Error("ERR syntax error")
	case yes && !f.optin:
		c.Error("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
	case !yes && !f.optout:
		c.Error("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
	case yes:
		c.session.caching = 1
		c.OK()
	default:
		c.session.caching = -1
		c.OK()
	}
}

func cmdClientGetRedir(c *Conn, args [][]byte) {
	if f := c.track.Load(); f != nil {
		c.Int(int64(f.redirect))
	} else {
		c.Int(-1)
	}
}

func cmdClientTrackingInfo(c *Conn, args [][]byte) {
	f := c.track.Load()
	var flags []string
	redirect := int64(-1)
	add := func(on bool, name string) {
		if on {
			flags = append(flags, name)
		}
	}
	var prefixes []string
	if add(f == nil, "off"); f != nil {
		redirect, prefixes = int64(f.redirect), f.allPrefixes()
		add(true, "on")
		add(f.bcast, "bcast")
		add(f.optin, "optin")
		add(f.optin && c.session.caching > 0, "caching-yes")
		add(f.optout, "optout")
		add(f.optout && c.session.caching < 0, "caching-no")
		add(f.noloop, "noloop")
		add(f.redirect != 0 && c.s.client(f.redirect) == nil, "broken_redirect")
	}
	c.Map(3)
	c.Bulk("flags")
	c.Set(len(flags))
	for _, flag := range flags {
		c.Bulk(flag)
	}
	c.Bulk("redirect")
	c.Int(redirect)
	c.Bulk("prefixes")
	c.Array(len(prefixes))
	for _, p := range prefixes {
		c.Bulk(p)
	}
}

// mostPrefixes is how many prefixes a client may follow, and mostPrefixBytes how long they are.
const (
	mostPrefixes    = 1024
	mostPrefixBytes = 64 << 10
)

func cmdClientTracking(c *Conn, args [][]byte) {
	on := isWord(args[2], "ON")
	if !on && !isWord(args[2], "OFF") {
		c.Error("ERR syntax error")
		return
	}
	var f following
	bytes := 0
	for i := 3; i < len(args); i++ {
		switch more := i+1 < len(args); {
		case isWord(args[i], "BCAST"):
			f.bcast = true
		case isWord(args[i], "OPTIN"):
			f.optin = true
		case isWord(args[i], "OPTOUT"):
			f.optout = true
		case isWord(args[i], "NOLOOP"):
			f.noloop = true
		case isWord(args[i], "PREFIX") && more:
			i++
			f.prefixes = append(f.prefixes, string(args[i]))
			bytes += len(args[i])
		case isWord(args[i], "REDIRECT") && more:
			i++
			if f.redirect != 0 {
				c.Error("ERR A client can only redirect to a single other client")
				return
			}
			id, ok := codec.Number(args[i])
			if !ok || id < 0 {
				c.Error("ERR value is not an integer or out of range")
				return
			}
			if f.redirect = uint64(id); id == 0 || c.s.client(f.redirect) == nil {
				c.Error("ERR The client ID you want redirect to does not exist")
				return
			}
		default:
			c.Error("ERR syntax error")
			return
		}
	}
	if !on {
		c.stopTracking()
		c.OK()
		return
	}
	if why := f.refusal(c.track.Load(), bytes); why != "" {
		c.Error(why)
		return
	}
	c.startTracking(&f)
	c.OK()
}

// refusal returns why a client may not choose that, after what it has chosen before, or "".
func (f *following) refusal(before *following, prefixBytes int) string {
	switch {
	case len(f.prefixes) > 0 && !f.bcast:
		return "ERR PREFIX option requires BCAST mode to be enabled"
	case before != nil && before.bcast != f.bcast:
		return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."
	case f.bcast && (f.optin || f.optout):
		return "ERR OPTIN and OPTOUT are not compatible with BCAST"
	case f.optin && f.optout:
		return "ERR You can't specify both OPTIN mode and OPTOUT mode"
	case before != nil && (f.optin && before.optout || f.optout && before.optin):
		return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."
	}
	var all []string
	if before != nil { // they add up
		all = before.prefixes
	}
	if len(all)+len(f.prefixes) > mostPrefixes || prefixBytes > mostPrefixBytes {
		return "ERR too many prefixes"
	}
	const overlaps = "ERR Prefix '%s' overlaps with %s prefix '%s'. Prefixes for a single client must not overlap."
	for i, p := range f.prefixes {
		if other, ok := overlap(p, all); ok && other != p {
			return fmt.Sprintf(overlaps, arg([]byte(p)), "an existing", arg([]byte(other)))
		}
		if other, ok := overlap(p, f.prefixes[i+1:]); ok {
			return fmt.Sprintf(overlaps, arg([]byte(p)), "another provided", arg([]byte(other)))
		}
	}
	all = slices.Clone(all)
	for _, p := range f.prefixes {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	f.prefixes = all
	return ""
}

// overlap returns one of prefixes that is a prefix of p, or that p is one of.
func overlap(p string, prefixes []string) (string, bool) {
	i := slices.IndexFunc(prefixes, func(other string) bool { return strings.HasPrefix(p, other) || strings.HasPrefix(other, p) })
	if i < 0 {
		return "", false
	}
	return prefixes[i], true
}

// startTracking has the client be told of changes.
func (c *Conn) startTracking(f *following) {
	if to := c.s.client(f.redirect); to != nil {
		to.pushable.Store(true)
	}
	c.expectMessages()
	c.s.tracking.follow(c, f)
}
