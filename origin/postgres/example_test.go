package postgres_test

import (
	"log"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/origin/postgres"
)

func Example() {
	users, err := postgres.New(postgres.Config{
		DSN:   "postgres://reader@db.example/app?sslmode=verify-full",
		Query: "SELECT id, profile FROM users WHERE id = ANY($1)",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer users.Close()
	group, err := peercache.NewGroup("users", 64<<20, users, peercache.WithTTL(time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	_ = group // a GetMulti of 1,000 users is one run of the statement
}
