package snapshot_test

import (
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/peercache/peercache/internal/snapshot"
)

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "scores")

	w, err := snapshot.Create(path, snapshot.Header{Name: "scores", Written: time.Now()})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Discard()
	for _, r := range []snapshot.Record{{Key: "Tom", Value: []byte("630"), Left: time.Minute}, {Key: "Jack", Value: []byte("589")}} {
		if err := w.Add(r); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Seal(); err != nil { // all of it is on the disk
		log.Fatal(err)
	}
	if err := w.Publish(); err != nil { // and now at path
		log.Fatal(err)
	}

	taken, err := snapshot.Take(path) // nobody else finds it any more
	if err != nil || taken == nil {
		log.Fatal("no snapshot: ", err)
	}
	r, err := taken.Open() // it is whole, or this is an error
	if err != nil {
		log.Fatal(err)
	}
	for {
		record, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s, %v left\n", record.Key, record.Value, record.Left)
	}
	r.Close()
	taken.Remove()
	// Output:
	// Tom: 630, 1m0s left
	// Jack: 589, 0s left
}
