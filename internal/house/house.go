// Package house holds the plan of the house: which packages stand on which, and in which order
// the files of the root do. Its tests check the code against the plan.
package house

// packages are those of the module, each before those that may import it. Packages of other
// modules stand on all of these.
var packages = []string{
	"pb",
	"internal/wire",
	"internal/clock",
	"internal/quote",
	"internal/failpoint",
	"internal/stripe",
	"internal/lazy",
	"internal/redisserver",
	"internal/peerurl",
	"lru",
	"internal/alloc",
	"internal/store",
	"internal/snapshot",
	"internal/simnet",
	"singleflight",
	"consistenthash",
	"discovery",
	"peertls",
	"internal/testca",
	"peer",
	"internal/durations",
	"internal/audit",
	"internal/body",
	"internal/lease",
	"internal/doorkeeper",
	"internal/breaker",
	"internal/stream",
	"internal/httppeer",
	"internal/cluster",
	".",
	"metrics",
	"cachetest",
	"peertest",
	"internal/direct",
	"internal/owners",
	"internal/simulation",
	"internal/house",
	"admin",
	"door",
	"api",
	"resp/codec",
	"resp",
	"origin",
	"origin/internal/keys",
	"origin/web",
	"origin/files",
	"origin/command",
	"example/node",
	"example",
}

// apart are packages that do not import each other, though the order would allow it.
var apart = [][2]string{
	{"internal/httppeer", "internal/cluster"},
}

const (
	// mostFiles is how many files the root has at most, and mostLines how many lines each.
	mostFiles = 34
	mostLines = 400
)

// everywhere are the types of the root whose methods stand in several files. Any file may use them,
// and their fields.
var everywhere = []string{"Group", "Pool", "HTTPPool", "GroupOption", "PoolOption", "poolOptions"}

// rootFiles are the files of the root, each before those that may use its names.
var rootFiles = []string{
	"byteview.go",
	"cache.go",
	"errors.go",
	"log.go",
	"getter.go",
	"events.go",
	"freshness.go",
	"placement.go",
	"caches.go",
	"context.go",
	"tracing.go",
	"handoff.go",
	"load.go",
	"ask.go",
	"watch.go",
	"apply.go",
	"fetch.go",
	"refresh.go",
	"invalidate.go",
	"access.go",
	"serve.go",
	"snapshot.go",
	"change.go",
	"options.go",
	"group.go",
	"multi.go",
	"stats.go",
	"httpoptions.go",
	"pooloptions.go",
	"poolhandler.go",
	"pool.go",
	"httppool.go",
	"typed.go",
	"doc.go",
}
