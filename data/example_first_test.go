package data_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/peercache/peercache/data"
)

// newClient makes a client of a Memory with all defaults.
func newClient() *data.Client {
	memory, err := data.NewMemory()
	if err != nil {
		log.Fatal(err)
	}
	return data.New(memory)
}

// A worker takes jobs from a queue until its context ends.
func ExampleLists_BLPop() {
	client := newClient()
	defer client.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := client.Lists().RPush(ctx, "jobs", "first", "last"); err != nil {
		log.Fatal(err)
	}
	for {
		_, job, err := client.Lists().BLPop(ctx, 0, "jobs")
		if errors.Is(err, context.Canceled) {
			fmt.Println("done")
			return
		} else if err != nil {
			log.Fatal(err)
		}
		fmt.Println(job)
		if job == "last" {
			cancel()
		}
	}
	// Output:
	// first
	// last
	// done
}

func ExampleHSetStruct() {
	client := newClient()
	defer client.Close()
	ctx := context.Background()
	type User struct {
		Name string `data:"name"`
		Age  int    `data:"age,omitempty"`
	}
	if _, err := data.HSetStruct(ctx, client, "user:7", User{Name: "Tom", Age: 41}); err != nil {
		log.Fatal(err)
	}
	if _, err := client.Hashes().HIncrBy(ctx, "user:7", "age", 1); err != nil {
		log.Fatal(err)
	}
	fmt.Println(data.HGetAllAs[User](ctx, client, "user:7"))
	// Output: {Tom 42} <nil>
}

func ExampleSortedSets_ZRangeWithScores() {
	client := newClient()
	defer client.Close()
	ctx := context.Background()
	ranking := client.SortedSets()
	if _, err := ranking.ZAdd(ctx, "ranking", data.Scored{Member: "Tom", Score: 630}, data.Scored{Member: "Ann", Score: 700}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(ranking.ZIncrBy(ctx, "ranking", 100, "Tom"))
	fmt.Println(ranking.ZRangeWithScores(ctx, "ranking", 0, 9, true)) // the first ten, the highest score first
	fmt.Println(ranking.ZRevRank(ctx, "ranking", "Ann"))              // places count from 0
	// Output:
	// 730 <nil>
	// [{Tom 730} {Ann 700}] <nil>
	// 1 <nil>
}

func ExampleKeys_Scan() {
	client := newClient()
	defer client.Close()
	ctx := context.Background()
	if err := client.Strings().MSet(ctx, map[string]string{"user:7": "Tom", "order:1": "tea"}); err != nil {
		log.Fatal(err)
	}
	for key, err := range client.Keys().Scan(ctx, data.ScanOptions{Match: "user:*"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(key)
	}
	// Output: user:7
}
