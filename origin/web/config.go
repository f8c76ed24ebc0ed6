package web

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/origin"
)

// The defaults of a Config.
const (
	DefaultTimeout         = 10 * time.Second
	DefaultRetries         = 2
	DefaultRetryWait       = 100 * time.Millisecond
	DefaultMaxBytes        = peercache.DefaultMaxValueBytes
	DefaultConnections     = 64
	DefaultRedirects       = 5
	DefaultRevalidateBytes = 32 << 20
)

// mostRetryWait is the longest pause between two tries, but for a Retry-After.
const mostRetryWait = 5 * time.Second

// Config is the section "http" of an origin.
type Config struct {
	// URL is where a key is, such as https://api.example/users/{key}. It is required. {key} stands for the
	// key as one segment of the path, or as a value of the query. {key...} stands for a key that is a path:
	// its slashes stay. All other bytes of a key are percent-encoded.
	URL string `yaml:"url" help:"where a key is: https://api.example/users/{key}; {key...} keeps the slashes of a key"`
	// Headers are sent with each request, such as Authorization or Accept. Host sets the name of the server
	// in the request.
	Headers map[string]string `yaml:"headers" help:"headers of each request, NAME: value"`
	// Forward names the headers of the caller's request that are sent along: see origin.WithHeaders. All who wait
	// for a key get the answer to the first one. So an answer that depends on such a header (Vary) is not
	// kept, and what chooses the answer belongs into the key.
	Forward []string `yaml:"forward" help:"names of headers of the caller's request that are sent along"`
	// ForwardCredentials allows Forward to name Authorization, Cookie and Proxy-Authorization. Callers of one key
	// at one time get the answer that was for one of them, so the key must name the user.
	ForwardCredentials bool `yaml:"forward_credentials" help:"allow forward to name Authorization and Cookie; the key must name the user then (default false)"`

	// TTL is how long an answer is fresh that does not say so. Zero means the TTL of the group, less than
	// zero that it is not kept.
	TTL time.Duration `yaml:"ttl" help:"how long an answer is fresh that does not say so; negative: it is not kept (default: the group's ttl)"`
	// MaxTTL is the longest time for which an answer is fresh, whatever it says. Zero means no limit.
	MaxTTL time.Duration `yaml:"max_ttl" help:"the longest time for which an answer is fresh, whatever it says (default: no limit)"`
	// Heuristic is the part of the age of an answer, from Last-Modified to Date, for which it is fresh if
	// it does not say so: 0.1 is usual. Zero means none: see TTL. The most is 1.
	Heuristic float64 `yaml:"heuristic" help:"part of the time since Last-Modified for which an answer is fresh that does not say so, such as 0.1 (default 0)"`
	// Private says that all callers of the group are one user. Then answers are kept that are private, s-maxage
	// and proxy-revalidate mean nothing, and answers to the caller's own credentials are as any others.
	Private bool `yaml:"private" help:"all callers of the group are one user: keep private answers too (default false)"`
	// IgnoreCacheControl says that TTL, or that of the group, holds for each answer, also for one that must not be
	// stored. Vary holds nevertheless, and so does what is said of credentials.
	IgnoreCacheControl bool `yaml:"ignore_cache_control" help:"let ttl hold whatever the answer says (default false)"`
	// RevalidateBytes is how much memory the answers take that have an ETag or a Last-Modified. They are kept besides those
	// of the group, so that a load of the same key can ask whether its answer has changed. Zero means 32 MiB, less than zero none.
	RevalidateBytes origin.Bytes `yaml:"revalidate_bytes" help:"memory for answers to be asked about with ETag or Last-Modified (default 32MiB)"`

	// Timeout is how long a load may take, with all retries. Zero means 10s. The load timeout of the group holds too.
	Timeout time.Duration `yaml:"timeout" help:"how long a load may take, with all retries (default 10s)"`
	// TryTimeout is how long one try may take. Zero means Timeout.
	TryTimeout time.Duration `yaml:"try_timeout" help:"how long one try may take (default: timeout)"`
	// Retries is how often a request is repeated that failed, or that was answered with status 429, 500, 502, 503 or 504.
	// Zero means 2, less than zero none.
	Retries int `yaml:"retries" help:"how often a failed request is repeated (default 2)"`
	// RetryWait is the longest pause before the first retry. It doubles with each retry, up to 5s, and a random part of
	// it is waited for. A Retry-After of the answer holds in its place. Zero means 100ms.
	RetryWait time.Duration `yaml:"retry_wait" help:"the pause before the first retry, doubled for each one (default 100ms)"`
	// MaxBytes is the size of the largest body, after decompression. A larger one is an error. Zero means 64 MiB.
	MaxBytes origin.Bytes `yaml:"max_bytes" help:"a larger body is an error (default 64MiB)"`
	// Redirects is how many redirects are followed, to the same scheme, host and port, or to one of RedirectHosts. Zero
	// means 5, less than zero none.
	Redirects int `yaml:"redirects" help:"how many redirects are followed (default 5)"`
	// RedirectHosts are other hosts to which redirects are followed, with the port if it is not the default one. What Headers
	// and Forward name is not sent there.
	RedirectHosts []string `yaml:"redirect_hosts" help:"other hosts, with port, to which redirects are followed"`
	// Connections is how many connections there are at most. Zero means 64. HTTP/2 is used where the server
	// has it, over TLS.
	Connections int `yaml:"connections" help:"how many connections there are at most (default 64)"`
	// ProxyFromEnvironment says that HTTP_PROXY, HTTPS_PROXY and NO_PROXY hold.
	ProxyFromEnvironment bool `yaml:"proxy_from_environment" help:"use HTTP_PROXY, HTTPS_PROXY and NO_PROXY (default false)"`
	// TLS is for https.
	TLS origin.TLS `yaml:"tls" help:"how the server is verified, and this process to it"`

	// StaleWhileRevalidate and StaleIfError are what the group has as peercache.WithStaleWhileRevalidate and
	// WithStaleIfError. See the package's comment.
	StaleWhileRevalidate time.Duration `yaml:"-"`
	StaleIfError         time.Duration `yaml:"-"`
	// Transport makes the requests in place of one that is made of this Config. It must not decompress.
	Transport http.RoundTripper `yaml:"-"`
	// Log gets what is wrong with the answers of the server. Nil means that nothing is logged.
	Log *slog.Logger `yaml:"-"`
}

// notForwarded are headers that this package or the connection sets, with the reason why no one else may.
var notForwarded = map[string]string{
	"Accept-Encoding": "what the server compresses is decompressed here",
	"Range":           "a value is the whole answer", "If-Range": "a value is the whole answer",
	"If-None-Match": "it is sent for answers kept here", "If-Modified-Since": "it is sent for answers kept here",
	"If-Match": "it is for changes", "If-Unmodified-Since": "it is for changes",
	"Content-Length": "a GET has no body", "Content-Type": "a GET has no body", "Expect": "a GET has no body",
	"Connection": hopByHop, "Keep-Alive": hopByHop, "Proxy-Connection": hopByHop, "Te": hopByHop,
	"Trailer": hopByHop, "Transfer-Encoding": hopByHop, "Upgrade": hopByHop,
}

const hopByHop = "it is about the connection"

// credentials are headers that say who the caller is.
var credentials = []string{"Authorization", "Cookie", "Proxy-Authorization"}

func (c *Config) check() error {
	for name, value := range c.Headers {
		if err := origin.ValidHeader(name, value); err != nil {
			return fmt.Errorf("headers: %w", err)
		}
		if why, ok := notForwarded[http.CanonicalHeaderKey(name)]; ok {
			return fmt.Errorf("headers has %s: want others, %s", name, why)
		}
	}
	for _, name := range c.Forward {
		why, refused := notForwarded[http.CanonicalHeaderKey(name)]
		switch {
		case origin.ValidHeader(name, "") != nil:
			return fmt.Errorf("forward: %w", origin.ValidHeader(name, ""))
		case refused:
			return fmt.Errorf("forward has %s: want others, %s", name, why)
		case strings.EqualFold(name, "Host"):
			return errors.New("forward has Host: want one in headers, or none, callers must not choose the server")
		case slices.Contains(credentials, http.CanonicalHeaderKey(name)) && !c.ForwardCredentials:
			return fmt.Errorf("forward has %s: callers who ask for one key at one time get one answer, that for the first of them: "+
				"want forward_credentials: true if the key names the user, or no %[1]s", name)
		}
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"max_ttl", c.MaxTTL}, {"timeout", c.Timeout}, {"try_timeout", c.TryTimeout}, {"retry_wait", c.RetryWait},
		{"StaleWhileRevalidate", c.StaleWhileRevalidate}, {"StaleIfError", c.StaleIfError}} {
		if d.d < 0 {
			return fmt.Errorf("%s is %v: want a positive duration, such as 10s", d.name, d.d)
		}
	}
	switch {
	case !(c.Heuristic >= 0 && c.Heuristic <= 1):
		return fmt.Errorf("heuristic is %v: want a part of the answer's age, from 0 to 1, such as 0.1", c.Heuristic)
	case c.MaxBytes < 0:
		return fmt.Errorf("max_bytes is %v: want a size, such as 1MiB", c.MaxBytes)
	case c.Connections < 0:
		return fmt.Errorf("connections is %d: want a positive number", c.Connections)
	case c.IgnoreCacheControl && (c.Heuristic > 0 || c.MaxTTL > 0):
		return errors.New("ignore_cache_control excludes heuristic and max_ttl: want ttl with it")
	case c.Transport != nil && (c.TLS != origin.TLS{} || c.ProxyFromEnvironment || c.Connections > 0):
		return errors.New("a Transport excludes tls, proxy_from_environment and connections: want them set there")
	}
	for _, host := range c.RedirectHosts {
		if host == "" || strings.ContainsAny(host, "/@ ") {
			return fmt.Errorf("redirect_hosts has %q: want a host, such as files.example or files.example:8443", host)
		}
	}
	return nil
}

func (c *Config) setDefaults() {
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.TryTimeout = cmp.Or(c.TryTimeout, c.Timeout)
	c.Retries = max(cmp.Or(c.Retries, DefaultRetries), 0)
	c.RetryWait = cmp.Or(c.RetryWait, DefaultRetryWait)
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	c.Redirects = max(cmp.Or(c.Redirects, DefaultRedirects), 0)
	c.Connections = cmp.Or(c.Connections, DefaultConnections)
	c.RevalidateBytes = cmp.Or(c.RevalidateBytes, DefaultRevalidateBytes)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// transport makes the connections.
func (c *Config) transport() (http.RoundTripper, error) {
	if c.Transport != nil {
		return c.Transport, nil
	}
	config, err := c.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = config
	t.ForceAttemptHTTP2 = true // in spite of a TLSClientConfig
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost, t.MaxIdleConns = c.Connections, c.Connections, 0
	t.MaxResponseHeaderBytes = 64 << 10
	if !c.ProxyFromEnvironment {
		t.Proxy = nil
	}
	return t, nil
}
