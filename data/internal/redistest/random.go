package redistest

import (
	"math/rand"
	"strconv"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/resp/codec"
)

// Options change what Random does.
type Options struct {
	// Every is after how many commands all keys are compared. 0: 200.
	Every int
	// Encodings has OBJECT ENCODING of all keys compared too.
	Encodings bool
}

// Random runs n commands that gen makes on both sides, and fails the test at the first difference. A quarter of them is run before in a
// transaction that is rolled back, in the engine alone. All keys are compared after every some commands; at the end also those
// of an engine that replays the log, and of one that loads a snapshot; and when all keys are gone, so has to be the memory
// that is counted.
//
// Replies are of version 2 of RESP if seed is even, else of version 3. Expiries should be far away, or past.
func (p *Pair) Random(t testing.TB, seed int64, n int, gen func(r *rand.Rand) []string, opts Options) {
	t.Helper()
	if opts.Every == 0 {
		opts.Every = 200
	}
	p.Reset(2 + int(seed&1))
	r, dice := rand.New(rand.NewSource(seed)), rand.New(rand.NewSource(^seed))
	for i := range n {
		args := gen(r)
		if dice.Intn(4) == 0 {
			p.ours.undone(args...)
		}
		diff := p.Do(args...)
		if diff == "" && (i%opts.Every == opts.Every-1 || i == n-1) {
			diff = p.keyspace(opts.Encodings)
		}
		if diff != "" {
			t.Fatalf("seed %d, command %d: %s\nafter:\n\t%s", seed, i, diff, strings.Join(p.last, "\n\t"))
		}
	}
	p.checkStored(t, seed)
	p.checkMemory(t, seed)
}

// checkStored compares the keys of the engine with those that come from its log, and from a snapshot.
func (p *Pair) checkStored(t testing.TB, seed int64) {
	t.Helper()
	for name, e := range map[string]*engine.Engine{"log": p.ours.replayed(), "snapshot": p.ours.restored()} {
		other := *p.ours
		other.engine = e
		if diff := difference(p.ours.do, other.do, false); diff != "" {
			t.Fatalf("seed %d, from the %s: %s", seed, name, strings.NewReplacer("ours:", "stored:", "Redis:", "was:").Replace(diff))
		}
	}
}

// checkMemory removes all keys, and compares what is counted with nothing.
func (p *Pair) checkMemory(t testing.TB, seed int64) {
	t.Helper()
	for _, key := range p.ours.do("KEYS", "*").List {
		p.ours.do("DEL", key.Text)
	}
	if used := p.Used(); used != 0 {
		t.Fatalf("seed %d: %d bytes are counted for no keys", seed, used)
	}
}

// Keyspace compares all keys, and returns how they differ, or "".
func (p *Pair) Keyspace() (diff string) {
	p.t.Helper()
	return p.keyspace(false)
}

func (p *Pair) keyspace(encodings bool) string {
	return difference(p.redis.do, p.ours.do, encodings)
}

// difference compares all keys of two sides.
func difference(want, got func(args ...string) codec.Reply, encodings bool) string {
	compare := func(args ...string) (codec.Reply, string) {
		reply := want(args...)
		return reply, differ(args, reply, got(args...))
	}
	keys, diff := compare("KEYS", "*")
	for _, key := range keys.List {
		var kind codec.Reply
		if diff == "" {
			kind, diff = compare("TYPE", key.Text)
		}
		if dump := dumps[kind.Text]; diff == "" && dump != nil {
			_, diff = compare(dump(key.Text)...)
		}
		if diff == "" {
			_, diff = compare("PTTL", key.Text)
		}
		if diff == "" && encodings {
			_, diff = compare("OBJECT", "ENCODING", key.Text)
		}
	}
	return diff
}

// dumps has, by the types of keys, what replies all of a key.
var dumps = map[string]func(key string) []string{
	"string": func(key string) []string { return []string{"GET", key} },
	"list":   func(key string) []string { return []string{"LRANGE", key, "0", "-1"} },
	"hash":   func(key string) []string { return []string{"HGETALL", key} },
	"set":    func(key string) []string { return []string{"SMEMBERS", key} },
	"zset":   func(key string) []string { return []string{"ZRANGE", key, "0", "-1", "WITHSCORES"} },
}

// Pick returns one of choices.
func Pick(r *rand.Rand, choices ...string) string { return choices[r.Intn(len(choices))] }

// Key returns one of n keys, whose names begin with prefix.
func Key(r *rand.Rand, prefix string, n int) string { return prefix + strconv.Itoa(r.Intn(n)) }
