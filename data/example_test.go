package data_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/data"
)

func Example() {
	memory, err := data.NewMemory(data.WithBytes(256 << 20))
	if err != nil {
		log.Fatal(err)
	}
	client := data.New(memory)
	defer client.Close()
	ctx := context.Background()
	if err := client.Strings().SetEX(ctx, "greeting", "hello", time.Minute); err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.Strings().Get(ctx, "greeting"))
	_, err = client.Strings().Get(ctx, "nothing")
	fmt.Println(errors.Is(err, data.ErrNil))
	// Output:
	// hello <nil>
	// true
}

func ExampleClient_Tx() {
	memory, err := data.NewMemory()
	if err != nil {
		log.Fatal(err)
	}
	client := data.New(memory)
	defer client.Close()
	ctx := context.Background()
	err = client.Tx(ctx, func(tx *data.Tx) error {
		if err := tx.Strings().Set(ctx, "a", "1"); err != nil {
			return err
		}
		place := tx.Savepoint()
		if err := tx.Strings().Set(ctx, "a", "2"); err != nil {
			return err
		}
		return tx.RollbackTo(place)
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.Strings().Get(ctx, "a"))
	// Output: 1 <nil>
}

func ExampleSetAs() {
	memory, err := data.NewMemory()
	if err != nil {
		log.Fatal(err)
	}
	client := data.New(memory)
	defer client.Close()
	ctx := context.Background()
	points := peercache.JSON[map[string]int]()
	if _, err := data.SetAs(ctx, client, "points", map[string]int{"Tom": 630}, points, data.SetOptions{}); err != nil {
		log.Fatal(err)
	}
	got, err := data.GetAs(ctx, client, "points", points)
	fmt.Println(got["Tom"], err)
	// Output: 630 <nil>
}
