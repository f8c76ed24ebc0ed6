package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/peercache/peercache"
)

type Player struct {
	Name  string
	Score int
}

// A cache of structs: the loader returns them, and so does Get. With the option
// WithPeers they are shared with other processes.
func ExampleNewTypedGroup() {
	database := map[string]Player{"Tom": {"Tom", 630}}
	players, err := peercache.NewTypedGroup("players", 64<<20, peercache.JSON[Player](),
		func(ctx context.Context, key string) (Player, error) {
			p, ok := database[key]
			if !ok {
				return p, peercache.ErrNotFound
			}
			return p, nil
		})
	if err != nil {
		log.Fatal(err)
	}
	tom, err := players.Get(context.Background(), "Tom")
	fmt.Println(tom.Name, tom.Score, err)
	_, err = players.Get(context.Background(), "Jill")
	fmt.Println(errors.Is(err, peercache.ErrNotFound))
	// Output:
	// Tom 630 <nil>
	// true
}

// Values that live for different times.
func ExampleNewTypedGroup_ttl() {
	type session struct {
		User    string
		Expires time.Time
	}
	sessions, err := peercache.NewTypedGroup("sessions", 64<<20, peercache.Gob[session](),
		func(ctx context.Context, key string) (session, time.Duration, error) {
			s := session{"alice", time.Now().Add(20 * time.Minute)}
			return s, time.Until(s.Expires), nil
		})
	if err != nil {
		log.Fatal(err)
	}
	s, err := sessions.Get(context.Background(), "token")
	fmt.Println(s.User, err)
	// Output: alice <nil>
}

// A loader of many keys at once makes one query of a GetMulti.
func ExampleNewTypedGroup_batch() {
	lengths, err := peercache.NewTypedGroup("lengths", 64<<20, peercache.JSON[int](),
		func(ctx context.Context, keys []string) ([]int, error) {
			fmt.Println("SELECT … WHERE key IN", keys)
			values := make([]int, len(keys))
			for i, key := range keys {
				values[i] = len(key)
			}
			return values, nil
		})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range lengths.GetMulti(context.Background(), []string{"Tom", "Jack"}) {
		fmt.Println(r.Value, r.Err)
	}
	// Output:
	// SELECT … WHERE key IN [Tom Jack]
	// 3 <nil>
	// 4 <nil>
}

// A group that exists already gets a typed side; both see the same values.
func ExampleNewTyped() {
	group, err := peercache.NewGroup("players", 64<<20, peercache.GetterFunc(
		func(ctx context.Context, key string) ([]byte, error) {
			return []byte(`{"Name":"` + key + `","Score":630}`), nil // a service answers in JSON
		}))
	if err != nil {
		log.Fatal(err)
	}
	players, err := peercache.NewTyped(group, peercache.JSON[Player]())
	if err != nil {
		log.Fatal(err)
	}
	tom, err := players.Get(context.Background(), "Tom")
	fmt.Println(tom.Score, err)
	view, err := group.Get(context.Background(), "Tom")
	fmt.Println(view, err)
	// Output:
	// 630 <nil>
	// {"Name":"Tom","Score":630} <nil>
}

// Messages are pointers, in the loader and in what Get returns.
func ExampleProtobuf() {
	names, err := peercache.NewTypedGroup("names", 64<<20, peercache.Protobuf[wrapperspb.StringValue](),
		func(ctx context.Context, key string) (*wrapperspb.StringValue, error) {
			return wrapperspb.String("name of " + key), nil
		})
	if err != nil {
		log.Fatal(err)
	}
	name, err := names.Get(context.Background(), "Tom")
	fmt.Println(name.GetValue(), err)
	// Output: name of Tom <nil>
}

// playerCodec is a codec of one's own. It copies nothing to decode: the name is
// part of the cached bytes, which cannot be written to.
type playerCodec struct{}

func (playerCodec) Encode(p Player) ([]byte, error) {
	if strings.Contains(p.Name, "=") {
		return nil, fmt.Errorf("name %q: want one without =", p.Name)
	}
	return strconv.AppendInt([]byte(p.Name+"="), int64(p.Score), 10), nil
}

func (playerCodec) Decode(view peercache.ByteView) (Player, error) {
	name, score, ok := strings.Cut(view.String(), "=")
	if !ok {
		return Player{}, errors.New("want name=score")
	}
	n, err := strconv.Atoi(score)
	return Player{name, n}, err
}

func ExampleCodec() {
	players, err := peercache.NewTypedGroup("players", 64<<20, playerCodec{},
		func(ctx context.Context, key string) (Player, error) { return Player{key, 630}, nil })
	if err != nil {
		log.Fatal(err)
	}
	tom, err := players.Get(context.Background(), "Tom")
	fmt.Println(tom, err)
	// Output: {Tom 630} <nil>
}
