package node

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/peercache/peercache/cmd/peercached/internal/config"
)

// clientFlags say which node a command asks.
type clientFlags struct {
	HTTP       string        `name:"http" placeholder:"URL" env:"PEERCACHED_HTTP_URL" help:"The HTTP door of a node: http://127.0.0.1:8003, if nothing else says where it is."`
	Admin      string        `name:"admin" placeholder:"URL" env:"PEERCACHED_ADMIN_URL" help:"The listener of a node for operators: http://127.0.0.1:8002, if nothing else says where it is."`
	Token      string        `name:"token" env:"PEERCACHED_TOKEN" help:"What the door or the listener wants: better in the variable than in the list of processes."`
	CA         string        `name:"ca" placeholder:"FILE" help:"The CAs of the node, PEM. Without it, those of the system."`
	ConfigFile string        `short:"c" name:"config" placeholder:"FILE" env:"PEERCACHED_CONFIG" help:"Take addresses that are not given from the configuration of a node on this machine."`
	Timeout    time.Duration `name:"timeout" default:"30s" help:"How long to wait for an answer."`
}

// client asks one node.
type client struct {
	flags clientFlags
	http  *http.Client
}

// mostAnswer bounds what is read of an answer that is kept in memory.
const mostAnswer = 64 << 20

// client returns what asks the node that the flags name.
func (f clientFlags) client(p *program) (*client, error) {
	if f.ConfigFile != "" && (f.HTTP == "" || f.Admin == "") {
		l, err := p.load(f.ConfigFile, false)
		if err != nil {
			return nil, err
		}
		if l.HTTP != nil {
			f.HTTP = cmp.Or(f.HTTP, dialable(l.HTTP.Listen, l.HTTP.TLS))
		}
		f.Admin = cmp.Or(f.Admin, dialable(l.Config.Admin.Listen, l.Config.Admin.TLS))
	}
	var err error
	if f.HTTP, err = baseURL("--http", cmp.Or(f.HTTP, "http://127.0.0.1:8003")); err != nil {
		return nil, err
	}
	if f.Admin, err = baseURL("--admin", cmp.Or(f.Admin, "http://127.0.0.1:8002")); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, usageError(f.CA + ": no certificate in it: want the CAs in PEM")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &client{f, &http.Client{Transport: transport}}, nil
}

// baseURL returns text, as the beginning of URLs.
func baseURL(flag, text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		want := "http://127.0.0.1:8003"
		if _, _, err := net.SplitHostPort(text); err == nil {
			want = "http://" + text
		}
		return "", usageError(fmt.Sprintf("%s: %q: want a URL, such as %s", flag, text, want))
	}
	return strings.TrimRight(text, "/"), nil
}

// dialable returns the URL of a listener, on this machine if it listens everywhere.
func dialable(listen string, secure *config.ServerTLS) string {
	host, port, _ := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if secure != nil {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// errNotFound says that the origin has no such key.
var errNotFound = exitError{ExitNotFound, errors.New("the origin has no such key")}

// do sends a request, and fails unless the status is one of success. The body is to be closed.
func (c *client) do(ctx context.Context, method, address string, header http.Header, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, usageError(err.Error())
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if c.flags.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.flags.Token)
	}
	resp, err := c.http.Do(req)
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return nil, fmt.Errorf("%w (--ca names a file with the CAs of the node)", err)
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var said struct {
		Code, Detail, Error string
		Pending             []struct{ Peer, Until string }
	}
	if json.Unmarshal(text, &said) == nil && said.Code == "not_found" {
		return nil, errNotFound
	}
	why := strings.TrimSpace(said.Detail + said.Error)
	if why == "" {
		why = strings.TrimSpace(string(text))
	}
	for i, one := range said.Pending {
		why += [...]string{" Pending: ", ", "}[min(i, 1)] + one.Peer
		if one.Until != "" {
			why += " until " + one.Until
		}
	}
	if resp.StatusCode == http.StatusUnauthorized {
		why += " (--token, or PEERCACHED_TOKEN)"
	}
	return nil, fmt.Errorf("%s: %s: %s", req.URL.Host, resp.Status, why)
}

// json gets an answer of the listener for operators.
func (c *client) json(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.flags.Timeout)
	defer cancel()
	resp, err := c.do(ctx, http.MethodGet, c.flags.Admin+path, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(io.LimitReader(resp.Body, mostAnswer)).Decode(into)
}

// door returns the URL of a group, or of one of its keys, at the HTTP door.
func (c *client) door(group, rest string) string {
	return c.flags.HTTP + "/v1/" + url.PathEscape(group) + rest
}

// keyArgs are a group and a key.
type keyArgs struct {
	Group string `arg:"" help:"The group."`
	Key   string `arg:"" help:"The key."`
}

func (k keyArgs) path() string { return "/" + escapeKey(k.Key) }

// escapeKey escapes a key as one segment of a path, dots as well: "." and ".." would be taken away.
func escapeKey(key string) string {
	return strings.ReplaceAll(url.PathEscape(key), ".", "%2E")
}

type getCommand struct {
	clientFlags
	keyArgs
}

func (g *getCommand) Run(p *program) error {
	c, err := g.client(p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.ctx, g.Timeout)
	defer cancel()
	resp, err := c.do(ctx, http.MethodGet, c.door(g.Group, g.path()), http.Header{"Accept": {"application/octet-stream"}}, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(p.stdout, resp.Body)
	return err
}

type setCommand struct {
	clientFlags
	keyArgs
	Value string        `arg:"" optional:"" default:"-" help:"The value; - is the standard input."`
	TTL   time.Duration `name:"ttl" help:"How long the value may be served. Without it, the group's ttl."`
}

func (s *setCommand) Run(p *program) error {
	c, err := s.client(p)
	if err != nil {
		return err
	}
	var body io.Reader = strings.NewReader(s.Value)
	if s.Value == "-" {
		value, err := io.ReadAll(p.stdin) // whole, so that an error of it sets nothing
		if err != nil {
			return err
		}
		body = bytes.NewReader(value)
	}
	query := ""
	if s.TTL != 0 {
		query = "?ttl=" + s.TTL.String()
	}
	return c.change(p.ctx, http.MethodPut, c.door(s.Group, s.path()+query), "application/octet-stream", body)
}

// change sends a request whose answer is not printed.
func (c *client) change(ctx context.Context, method, address, kind string, body io.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, c.flags.Timeout)
	defer cancel()
	resp, err := c.do(ctx, method, address, http.Header{"Content-Type": {kind}}, body)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

type rmCommand struct {
	clientFlags
	Group string   `arg:"" help:"The group."`
	Keys  []string `arg:"" help:"The keys."`
}

func (r *rmCommand) Run(p *program) error {
	c, err := r.client(p)
	if err != nil {
		return err
	}
	if len(r.Keys) == 1 {
		return c.change(p.ctx, http.MethodDelete, c.door(r.Group, "/"+escapeKey(r.Keys[0])), "", nil)
	}
	body, err := json.Marshal(map[string]any{"keys": r.Keys})
	if err != nil {
		return err
	}
	return c.change(p.ctx, http.MethodPost, c.door(r.Group, ":remove"), "application/json", bytes.NewReader(body))
}

type clearCommand struct {
	clientFlags
	Group string `arg:"" help:"The group."`
}

func (r *clearCommand) Run(p *program) error {
	c, err := r.client(p)
	if err != nil {
		return err
	}
	return c.change(p.ctx, http.MethodPost, c.door(r.Group, ":clear"), "application/json", nil)
}
