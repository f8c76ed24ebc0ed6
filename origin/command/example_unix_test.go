//go:build unix

package command_test

import (
	"context"
	"fmt"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/origin/command"
)

func Example() {
	greetings, err := command.New(command.Config{Run: []string{"echo", "hello,", "{key}"}, TrimNewline: true})
	if err != nil {
		panic(err)
	}
	group, err := peercache.NewGroup("greetings", 64<<20, greetings, peercache.WithTTL(time.Minute))
	if err != nil {
		panic(err)
	}
	view, err := group.Get(context.Background(), "Tom")
	fmt.Println(view, err)
	// Output: hello, Tom <nil>
}
