package redis_test

import (
	"log"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/origin/redis"
)

func Example() {
	users, err := redis.New(redis.Config{Addresses: []string{"localhost:6379"}, KeyPrefix: "user:", KeyTTL: true})
	if err != nil {
		log.Fatal(err)
	}
	defer users.Close()
	group, err := peercache.NewGroup("users", 64<<20, users, peercache.WithTTL(time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	_ = group // Get of "Tom" is a GET of "user:Tom" if it is not cached
}
