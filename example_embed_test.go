package peercache_test

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/peercache/peercache"
)

// What a program does to embed the cache: listen, serve, Set, and Ready before it takes users.
func Example() {
	ctx := context.Background()
	load := func(ctx context.Context, key string) ([]byte, error) { return []byte("value of " + key), nil }

	pool, err := peercache.NewHTTPPool("http://10.0.0.1:8001", // this process, as its peers reach it
		peercache.WithSecrets(os.Getenv("PEERCACHE_SECRET")), // one secret for all: openssl rand -base64 32
		peercache.WithPoolLogger(slog.Default()))
	if err != nil {
		log.Fatal(err)
	}
	scores, err := peercache.NewGroup("scores", 64<<20, peercache.GetterFunc(load), peercache.WithPeers(pool))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", ":8001")
	if err != nil {
		log.Fatal(err)
	}
	server := pool.Server()
	go server.Serve(listener) // before Set: the peers ask as soon as they know of this process
	if err := pool.Set("http://10.0.0.1:8001", "http://10.0.0.2:8001", "http://10.0.0.3:8001"); err != nil {
		log.Fatal(err)
	}
	if err := pool.Ready(ctx); err != nil { // returns when the process is warm, or ctx ends
		log.Fatal(err)
	}
	view, err := scores.Get(ctx, "Tom")

	log.Print(view, err)
}

// database stands for the origin.
type database struct{}

func (database) Score(ctx context.Context, key string) ([]byte, error) { return nil, sql.ErrNoRows }

// Start the server of a pool, and stop it: the pool first, because peers that ask it or get
// values from it need its server.
func ExampleHTTPPool_Shutdown() {
	ctx, db := context.Background(), database{}

	pool, err := peercache.NewHTTPPool("http://10.0.0.1:8001", // this process, as its peers reach it
		peercache.WithSecrets(os.Getenv("PEERCACHE_SECRET")), // one secret for all: openssl rand -base64 32
		peercache.WithPoolLogger(slog.Default()))
	if err != nil {
		log.Fatal(err)
	}
	scores, err := peercache.NewGroup("scores", 64<<20, peercache.GetterFunc(
		func(ctx context.Context, key string) ([]byte, error) {
			score, err := db.Score(ctx, key)
			if errors.Is(err, sql.ErrNoRows) {
				return nil, peercache.ErrNotFound
			}
			return score, err
		}), peercache.WithPeers(pool))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", ":8001")
	if err != nil {
		log.Fatal(err)
	}
	server := pool.Server() // with the limits that it needs
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) { // as after Shutdown
			log.Fatal(err)
		}
	}()
	// Set after the server listens: the peers ask as soon as they know of this process.
	if err := pool.Set("http://10.0.0.1:8001", "http://10.0.0.2:8001", "http://10.0.0.3:8001"); err != nil {
		log.Fatal(err)
	}
	warm, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := pool.Ready(warm); err != nil {
		log.Print(err) // says what is missing
	}

	view, err := scores.Get(ctx, "Tom")

	log.Print(view, err)

	ctx, cancel = context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := pool.Shutdown(ctx); err != nil { // while the server still answers the peers
		log.Print(err)
	}
	if err := server.Shutdown(ctx); err != nil {
		log.Print(err)
	}
}
