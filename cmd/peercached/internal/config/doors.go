package config

import (
	"time"

	"github.com/peercache/peercache/origin"
)

// HTTP is the HTTP door.
type HTTP struct {
	Listen string     `yaml:"listen" want:"HOST:PORT" help:"where clients come"`
	TLS    *ServerTLS `yaml:"tls" help:"serve by TLS" unset:"in the clear"`
	Tokens []Token    `yaml:"tokens" help:"bearer tokens, one of which a client needs" unset:"clients need none"`
	CORS   *CORS      `yaml:"cors" help:"which pages of other sites may ask" unset:"none"`
}

// SetDefaults implements conf.Defaulter.
func (h *HTTP) SetDefaults() { h.Listen = "127.0.0.1:8003" }

// CORS says which pages of other sites may ask.
type CORS struct {
	Origins     []string      `yaml:"origins" want:"origins, such as https://shop.example, in which one * may stand" help:"the sites"`
	Methods     []string      `yaml:"methods" want:"methods" help:"what they may do"`
	Headers     []string      `yaml:"headers" want:"names" help:"the headers that they may send" unset:"those that are always allowed"`
	Credentials bool          `yaml:"credentials" help:"allow cookies and credentials"`
	MaxAge      time.Duration `yaml:"max_age" help:"how long a browser remembers the answer"`
}

// SetDefaults implements conf.Defaulter.
func (c *CORS) SetDefaults() { c.Methods, c.MaxAge = []string{"GET", "HEAD"}, 10*time.Minute }

// GRPC is the gRPC door.
type GRPC struct {
	Listen string     `yaml:"listen" want:"HOST:PORT" help:"where clients come"`
	TLS    *ServerTLS `yaml:"tls" help:"serve by TLS" unset:"in the clear"`
	Tokens []Token    `yaml:"tokens" help:"bearer tokens, one of which a client needs" unset:"clients need none"`
}

// SetDefaults implements conf.Defaulter.
func (g *GRPC) SetDefaults() { g.Listen = "127.0.0.1:8004" }

// RESP is the door for Redis clients.
type RESP struct {
	Listen   string            `yaml:"listen" want:"HOST:PORT" help:"where clients come"`
	TLS      *ServerTLS        `yaml:"tls" help:"serve by TLS" unset:"in the clear"`
	Password Secret            `yaml:"password" reload:"yes" help:"what AUTH wants" unset:"clients need none"`
	Prefixes map[string]string `yaml:"prefixes" want:"GROUP: PREFIX" help:"what keys of a group begin with" unset:"its name and a colon"`
	MaxConns int               `yaml:"max_connections" help:"open connections"`
	MaxBulk  origin.Bytes      `yaml:"max_bulk_bytes" help:"the longest argument of a command"`
}

// SetDefaults implements conf.Defaulter.
func (r *RESP) SetDefaults() { r.Listen, r.MaxConns, r.MaxBulk = "127.0.0.1:6380", 10_000, 64<<20 }

// Token is what a client sends, and what it may do with it.
type Token struct {
	Token  Secret   `yaml:"token" help:"the token, at least 16 bytes"`
	May    []string `yaml:"may" want:"get, change and clear" help:"what it allows" unset:"all of them"`
	Groups []string `yaml:"groups" want:"names" help:"the groups for which it does" unset:"all"`
}
