package redis

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/origin"
)

const none = "\x00none"

// brings checks what o loads for keys: one by one, and all at once.
func brings(t *testing.T, o *Origin, keys []string, want map[string]string, ttls map[string]time.Duration) {
	t.Helper()
	check := func(how, key string, item peercache.Item, err error) {
		t.Helper()
		ttl := ttls[key]
		switch want := want[key]; {
		case want == none && !errors.Is(err, peercache.ErrNotFound), want != none && (err != nil || string(item.Value) != want):
			t.Errorf("%s %q: %q, %v, want %q", how, key, item.Value, err, want)
		case item.TTL > ttl || item.TTL < ttl-time.Minute || (item.TTL == 0) != (ttl == 0):
			t.Errorf("%s %q: TTL %v, want %v", how, key, item.TTL, ttl)
		}
	}
	for _, key := range keys {
		item, err := o.Get(t.Context(), key)
		check("Get", key, item, err)
	}
	items, err := o.GetBatch(t.Context(), keys)
	errs, ok := errors.AsType[peercache.BatchError](err)
	if !ok {
		errs = make(peercache.BatchError, len(keys))
	}
	if err != nil && !ok || len(items) != len(keys) {
		t.Fatalf("GetBatch: %d items, %v", len(items), err)
	}
	for i, key := range keys {
		check("GetBatch", key, items[i], errs[i])
	}
}

func TestValues(t *testing.T) {
	s := start(t)
	values := map[string]string{"Tom": "630", "empty": "", "a b\r\n\x00\xff": "\x00\r\n\xff", "large": strings.Repeat("x", 1<<20), "Sam": none, "": none, "short": "1", "ends": "2"}
	keys := slices.Sorted(func(yield func(string) bool) {
		for key := range values {
			if !yield(key) {
				return
			}
		}
	})
	for key, value := range values {
		if value != none {
			s.do("SET", "user:"+key, value)
		}
	}
	s.do("SET", "Sam", "of another prefix")
	s.do("PEXPIRE", "user:short", "600000")
	s.do("PEXPIRE", "user:ends", "7200000")
	all := func(d time.Duration) map[string]time.Duration {
		ttls := make(map[string]time.Duration)
		for key, value := range values {
			if value != none {
				ttls[key] = d
			}
		}
		return ttls
	}
	c := Config{Addresses: []string{s.Socket}, KeyPrefix: "user:"}
	brings(t, newOrigin(t, c), keys, values, nil)
	c.TTL = time.Hour
	brings(t, newOrigin(t, c), keys, values, all(time.Hour))
	c.KeyTTL = true
	ttls := all(time.Hour)
	ttls["short"] = 10 * time.Minute
	brings(t, newOrigin(t, c), keys, values, ttls)
	c.TTL = 0
	ttls = all(0)
	ttls["short"], ttls["ends"] = 10*time.Minute, 2*time.Hour
	brings(t, newOrigin(t, c), keys, values, ttls)

	s.do("RPUSH", "user:list", "1")
	if _, err := newOrigin(t, c).Get(t.Context(), "list"); err == nil || errors.Is(err, peercache.ErrNotFound) || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("a list: %v", err)
	}
	s.do("SELECT", "1")
	s.do("SET", "user:Tom", "of database 1")
	c.DB = 1
	brings(t, newOrigin(t, c), []string{"Tom"}, map[string]string{"Tom": "of database 1"}, nil)
}

// What a key has left to live is not more than what is configured, and a value of which nothing is known is not kept.
func TestKeyTTL(t *testing.T) {
	for ms, want := range map[int64][2]time.Duration{ // without and with a TTL of a minute
		-1: {0, time.Minute}, -2: {-1, -1}, 0: {-1, -1}, 1: {time.Millisecond, time.Millisecond},
		120_000: {2 * time.Minute, time.Minute}, math.MaxInt64: {0, time.Minute},
	} {
		for i, ttl := range []time.Duration{0, time.Minute} {
			if got := (&Origin{Config: Config{TTL: ttl}}).ttlOf(ms); got != want[i] {
				t.Errorf("PTTL %d with ttl %v: %v, want %v", ms, ttl, got, want[i])
			}
		}
	}
}

// Many keys are one command, or one pipeline.
func TestBatches(t *testing.T) {
	s := start(t)
	var keys []string
	want := make(map[string]string)
	for i := range 1000 {
		key := fmt.Sprint("key", i)
		keys, want[key] = append(keys, key), none
		if i%3 != 0 {
			want[key] = fmt.Sprint(i)
			s.do("SET", key, want[key])
		}
	}
	for _, keyTTL := range []bool{false, true} {
		o := newOrigin(t, Config{Addresses: []string{s.Socket}, KeyTTL: keyTTL})
		if _, err := o.GetBatch(t.Context(), keys); err == nil {
			t.Error("no error, want one for each key that is not there")
		}
		s.do("CONFIG", "RESETSTAT")
		if _, err := o.GetBatch(t.Context(), keys[1:3]); err != nil {
			t.Error(err)
		}
		stats := s.do("INFO", "commandstats")
		if strings.Contains(stats, "cmdstat_get:calls=2") != keyTTL || strings.Contains(stats, "cmdstat_mget:calls=1") == keyTTL || strings.Contains(stats, "cmdstat_pttl:calls=2") != keyTTL {
			t.Errorf("key_ttl %v: %s", keyTTL, stats)
		}
		brings(t, o, keys, want, nil)
	}
}

// A server that is down is an error of each load, not of New, and is found when it is back.
func TestServerThatIsDown(t *testing.T) {
	s := start(t)
	s.stop()
	o := newOrigin(t, Config{Addresses: []string{s.Socket}, Timeout: 10 * time.Second})
	for range 2 {
		begin := time.Now()
		if _, err := o.Get(t.Context(), "Tom"); err == nil || errors.Is(err, peercache.ErrNotFound) || !strings.HasPrefix(err.Error(), "redis: connecting to ") {
			t.Errorf("down: %v", err)
		}
		if _, err := o.GetBatch(t.Context(), []string{"Tom", "Sam"}); err == nil {
			t.Error("down: no error of a batch")
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	}
	back := func() {
		t.Helper()
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		s.do("SET", "Tom", "630")
		brings(t, o, []string{"Tom"}, map[string]string{"Tom": "630"}, nil)
	}
	back()
	s.stop() // with connections
	begin := time.Now()
	if _, err := o.Get(t.Context(), "Tom"); err == nil || errors.Is(err, peercache.ErrNotFound) || time.Since(begin) > 5*time.Second {
		t.Errorf("down again: %v after %v, want an error before the timeout", err, time.Since(begin))
	}
	back()
	s.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	brings(t, o, []string{"Tom"}, map[string]string{"Tom": "630"}, nil)
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if _, err := o.Get(t.Context(), "Tom"); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A server that does not answer costs the timeout, or what the caller has left. All who wait make one connection.
func TestServerThatHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var mu sync.Mutex
	var conns []net.Conn
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
	}()
	o := newOrigin(t, Config{Addresses: []string{l.Addr().String()}, Timeout: 100 * time.Millisecond, ConnectTimeout: time.Second})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := o.Get(t.Context(), "Tom"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want the end of the time", err)
			}
		})
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	if len(conns) > 2 {
		t.Errorf("%d connections were made", len(conns))
	}
	for _, c := range conns {
		c.Close()
	}
}

func TestPassword(t *testing.T) {
	s := start(t)
	s.do("ACL", "SETUSER", "reader", "on", ">first", "~*", "+@all")
	s.do("SET", "Tom", "630")
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"Tom": "630"}
	c := Config{Addresses: []string{s.Socket}, Username: "reader", PasswordFile: file}
	o := newOrigin(t, c)
	brings(t, o, []string{"Tom"}, want, nil)
	brings(t, newOrigin(t, Config{Addresses: c.Addresses, Username: "reader", Password: "first"}), []string{"Tom"}, want, nil)
	wrong := newOrigin(t, Config{Addresses: c.Addresses, Username: "reader", Password: "wrong-secret"})
	if _, err := wrong.Get(t.Context(), "Tom"); err == nil || !strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("a wrong password: %v", err)
	}
	// A new password is in the file when the server wants it.
	if err := os.WriteFile(file, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.do("ACL", "SETUSER", "reader", "<first", ">second")
	s.do("CLIENT", "KILL", "USER", "reader")
	brings(t, o, []string{"Tom"}, want, nil)
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key)
	s := start(t, "--port", "0", "--tls-port", "PORT", "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert)
	s.do("SET", "Tom", "630")
	c := Config{Addresses: []string{"127.0.0.1:" + s.Port}, UseTLS: true, TLS: origin.TLS{CA: cert, Cert: cert, Key: key}}
	brings(t, newOrigin(t, c), []string{"Tom"}, map[string]string{"Tom": "630"}, nil)
	c.TLS.CA = ""
	if _, err := newOrigin(t, c).Get(t.Context(), "Tom"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
}

func TestCluster(t *testing.T) {
	s := start(t, "--port", "PORT", "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
	var slots []string
	for i := range 16384 {
		slots = append(slots, fmt.Sprint(i))
	}
	s.do(append([]string{"CLUSTER", "ADDSLOTS"}, slots...)...)
	for !strings.Contains(s.do("CLUSTER", "INFO"), "cluster_state:ok") {
		if t.Context().Err() != nil {
			t.Fatal("the cluster does not come up")
		}
	}
	keys, want := []string{"Sam"}, map[string]string{"Sam": none}
	for i := range 20 {
		key := fmt.Sprint("key", i)
		s.do("SET", key, key)
		keys, want[key] = append(keys, key), key
	}
	for _, keyTTL := range []bool{false, true} {
		brings(t, newOrigin(t, Config{Addresses: []string{"127.0.0.1:" + s.Port}, Cluster: true, KeyTTL: keyTTL}), keys, want, nil)
	}
}

func TestSentinel(t *testing.T) {
	s := start(t, "--port", "PORT")
	s.do("SET", "Tom", "630")
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	if err := os.WriteFile(config, []byte("sentinel monitor scores 127.0.0.1 "+s.Port+" 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	watcher := start(t, config, "--port", "PORT", "--sentinel")
	c := Config{Addresses: []string{"127.0.0.1:" + watcher.Port}, Sentinel: Sentinel{Master: "scores"}}
	brings(t, newOrigin(t, c), []string{"Tom", "Sam"}, map[string]string{"Tom": "630", "Sam": none}, nil)
	c.Sentinel.Master = "nobody"
	if _, err := newOrigin(t, c).Get(t.Context(), "Tom"); err == nil || errors.Is(err, peercache.ErrNotFound) {
		t.Errorf("an unknown master: %v", err)
	}
}

func writeCertificate(t *testing.T, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	one := []string{"localhost:6379"}
	for want, c := range map[string]Config{
		"addresses is missing":         {},
		"cluster excludes sentinel":    {Addresses: one, Cluster: true, Sentinel: Sentinel{Master: "a"}},
		"sentinel has no master":       {Addresses: one, Sentinel: Sentinel{Password: "a"}},
		"want one, or cluster: true":   {Addresses: []string{"a:1", "b:1"}},
		"db is -1":                     {Addresses: one, DB: -1},
		"a cluster has no other":       {Addresses: one, DB: 1, Cluster: true},
		"password excludes":            {Addresses: one, Password: "a", PasswordFile: "b"},
		"username needs":               {Addresses: one, Username: "a"},
		"password_file: open nowhere":  {Addresses: one, PasswordFile: "nowhere"},
		"password_file: /dev/null is":  {Addresses: one, PasswordFile: "/dev/null"},
		"tls needs use_tls: true":      {Addresses: one, TLS: origin.TLS{Insecure: true}},
		"tls: ca: open nowhere":        {Addresses: one, UseTLS: true, TLS: origin.TLS{CA: "nowhere"}},
		"ttl is -1s":                   {Addresses: one, TTL: -time.Second},
		`addresses has "localhost"`:    {Addresses: []string{"localhost"}},
		`addresses has ":6379"`:        {Addresses: []string{":6379"}},
		`addresses has "redis://a:1/"`: {Addresses: []string{"redis://a:1/"}},
	} {
		if _, err := New(c); err == nil || !strings.HasPrefix(err.Error(), "redis: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", c, err, want)
		}
	}
}

func TestFactory(t *testing.T) {
	var f origin.Factory = Factory
	getter, err := f(t.Context(), origin.Env{}, func(section any) error {
		section.(*Config).Addresses = []string{"127.0.0.1:1"} // nobody is there
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := getter.(*Origin).Close(); err != nil {
		t.Error(err)
	}
	wrong := errors.New("line 3: unknown key")
	if _, err := f(t.Context(), origin.Env{}, func(any) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("%v, want what decode said", err)
	}
	if getter, err := f(t.Context(), origin.Env{}, func(any) error { return nil }); err == nil || getter != nil {
		t.Errorf("%v, %v: want an error", getter, err)
	}
}
