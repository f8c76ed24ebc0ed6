package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/peercache/peercache/cmd/peercached/internal/conf"
	"github.com/peercache/peercache/door"
)

// checkDoors checks what the front doors say of groups and clients.
func (l *Loaded) checkDoors() {
	if h := l.HTTP; h != nil {
		l.checkTokens("http.tokens", h.Tokens)
		for i, name := range h.Hosts {
			if name == "" || strings.ContainsAny(name, "/: ") || strings.Contains(name, "*") && name != "*" {
				l.Fail(fmt.Sprintf("http.hosts[%d]", i), "%q: want the name of a host without its port, or *", name)
			}
		}
		if c := h.CORS; c != nil {
			l.checkCORS(c)
		}
		if r := h.Rate; r != nil {
			if !(r.PerSecond >= 0.001 && r.PerSecond <= 1e6) {
				l.Fail("http.rate.per_second", "%v: want 0.001 to 1000000", r.PerSecond)
			}
			if r.Burst < 1 || r.Burst > 1e6 {
				l.Fail("http.rate.burst", "%d: want 1 to 1000000", r.Burst)
			}
		}
	}
	if g := l.GRPC; g != nil {
		l.checkTokens("grpc.tokens", g.Tokens)
	}
	if r := l.RESP; r != nil {
		l.checkRESP(r)
	}
}

func (l *Loaded) checkCORS(c *CORS) {
	if len(c.Origins) == 0 {
		l.Fail("http.cors", "no origins: want the sites whose pages may ask, such as [https://shop.example]")
	}
	for i, o := range c.Origins {
		u, err := url.Parse(strings.Replace(o, "*", "x", 1))
		if o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || strings.Count(o, "*") > 1) {
			l.Fail(fmt.Sprintf("http.cors.origins[%d]", i), "%q: want scheme and host, such as https://shop.example or https://*.shop.example", o)
		}
	}
	if c.Credentials && slices.Contains(c.Origins, "*") {
		l.Fail("http.cors.credentials", "credentials for the pages of all sites: want credentials: false, or the sites in origins")
	}
}

// checkTokens checks the tokens of a front door.
func (l *Loaded) checkTokens(path string, tokens []Token) {
	seen := make(map[string]bool, len(tokens))
	for i, t := range tokens {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !t.Token.IsSet() {
			l.Fail(at, "no token: want a text, {file: …} or {env: …}")
		} else if secret, err := t.Token.Read(); err == nil { // else it was said
			if err := door.CheckSecret(secret); err != nil {
				l.Fail(at+".token", "%v", err)
			}
			if seen[secret] {
				l.Fail(at+".token", "the same token is there twice: want each once, with all that it allows")
			}
			seen[secret] = true
		}
		for _, name := range t.May {
			if _, err := door.ParseRight(name); err != nil {
				l.Fail(at+".may", "%v", err)
			}
		}
		for _, name := range t.Groups {
			l.checkGroupName(at+".groups", name)
		}
	}
}

// checkGroupName checks that there is a group of a name.
func (l *Loaded) checkGroupName(path, name string) {
	known := make([]string, len(l.Groups), len(l.Groups)+1)
	for i, g := range l.Groups {
		known[i] = g.Name
	}
	if l.Data != nil && strings.HasSuffix(path, ".groups") {
		known = append(known, l.Data.Name) // tokens allow it as they allow groups
	}
	if slices.Contains(known, name) {
		return
	}
	text := fmt.Sprintf("there is no group %q", name)
	if near := conf.Nearest(name, known); near != "" {
		text += ": did you mean " + near + "?"
	}
	l.Fail(path, "%s", text)
}

func (l *Loaded) checkRESP(r *RESP) {
	for prefix, name := range r.Prefixes {
		l.checkGroupName("resp.prefixes."+prefix, name)
		if prefix == "" {
			l.Fail("resp.prefixes", "an empty prefix: want resp.default_group")
		}
	}
	if r.DefaultGroup != "" {
		l.checkGroupName("resp.default_group", r.DefaultGroup)
	}
	for _, u := range r.Users {
		at := "resp.users." + u.Name
		if u.Name == "" || !u.Password.IsSet() {
			l.Fail(at, "a user without a name or a password: want both")
		}
		if u.Name == "default" && r.Password.IsSet() {
			l.Fail(at, "resp.password is that of the user default: want one of them")
		}
	}
}
