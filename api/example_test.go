package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/api"
	"github.com/peercache/peercache/door"
)

// A service has its cache answer over HTTP, beside what it serves itself.
func Example() {
	scores, err := peercache.NewGroup("scores", 64<<20, peercache.GetterFunc(load), peercache.WithTTL(time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	handler, err := api.New([]door.Cache{scores}, api.WithReadOnly(), api.WithRateLimit(100, 200))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/cache/", http.StripPrefix("/cache", handler))
	mux.HandleFunc("/", home)

	server := httptest.NewServer(mux) // http.ListenAndServe(":8080", mux)
	defer server.Close()
	for _, path := range []string{"/", "/cache/v1/scores/Tom", "/cache/api?key=Tom", "/cache/v1/scores/nobody"} {
		resp, err := http.Get(server.URL + path)
		if err != nil {
			log.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(resp.StatusCode, string(body))
	}
	// Output:
	// 200 the service itself
	// 200 630
	// 200 630
	// 404 {"title":"Not Found","status":404,"code":"not_found","detail":"the origin has no such key","group":"scores","key":"nobody"}
}

func home(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the service itself") }

// load stands for a query of a database.
func load(_ context.Context, key string) ([]byte, error) {
	if key != "Tom" {
		return nil, fmt.Errorf("no row: %w", peercache.ErrNotFound)
	}
	return []byte("630"), nil
}

// An authorizer lets everybody read, and those change something whom a proxy in front has named.
func ExampleWithAuthorizer() {
	authorize := func(r *http.Request, need door.Access) error {
		if need.Right == door.RightGet {
			return nil
		}
		switch user := r.Header.Get("X-User"); user {
		case "":
			return door.ErrUnauthenticated
		case "ann":
			return nil
		default:
			return errors.New(user + " may only read")
		}
	}
	scores, err := peercache.NewGroup("scores", 1<<20, peercache.GetterFunc(load))
	if err != nil {
		log.Fatal(err)
	}
	handler, err := api.New([]door.Cache{scores}, api.WithAuthorizer(authorize))
	if err != nil {
		log.Fatal(err)
	}
	for _, user := range []string{"ann", "bob", ""} {
		r := httptest.NewRequest("DELETE", "/v1/scores/Tom", nil)
		r.Header.Set("X-User", user)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 204
	// 403
	// 401
}
