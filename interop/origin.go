package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
)

// Keys that begin so are special to the origin.
const (
	brokenPrefix  = "broken:"  // loading them fails
	missingPrefix = "missing:" // they do not exist
	largePrefix   = "large:"   // their values have 64 KiB and more
)

var errMissing = errors.New("the origin has no such key")

// origin is what the getters of both kinds read. It counts its loads.
type origin struct {
	mu    sync.Mutex
	loads map[string]int
}

func (o *origin) load(key string) ([]byte, error) {
	o.mu.Lock()
	if o.loads == nil {
		o.loads = make(map[string]int)
	}
	o.loads[key]++
	o.mu.Unlock()
	switch {
	case strings.HasPrefix(key, brokenPrefix):
		return nil, fmt.Errorf("the origin is broken for %q", key)
	case strings.HasPrefix(key, missingPrefix):
		return nil, errMissing
	}
	return valueOf(key), nil
}

// valueOf returns the value of key. It tells the bytes of the key that the
// getter saw, as text and as they are.
func valueOf(key string) []byte {
	value := hex.EncodeToString([]byte(key)) + "|" + key
	if strings.HasPrefix(key, largePrefix) {
		value += strings.Repeat("\x00\xff large", 1<<13)
	}
	return []byte(value)
}

// keyOf returns the key that the getter saw when it made value.
func keyOf(value []byte) (string, error) {
	text, _, ok := strings.Cut(string(value), "|")
	if !ok {
		return "", fmt.Errorf("no value of the origin: %.100q", value)
	}
	key, err := hex.DecodeString(text)
	return string(key), err
}

// questionPath is where a node answers the questions of its user: not of peers.
const questionPath = "/node/"

// An answer is what /node/get and /node/remove answer.
type answer struct {
	Value []byte
	Err   string // empty if it went well
}

// questionsOf answers the following. Its mux may be an old one: no methods.
//
//	/node/get?key=…     an answer: what the group says
//	/node/remove?key=…  an answer
//	/node/owners?key=…  the URL of the peer that the ring names, for each key
//	/node/loads         how often the origin here has loaded what: keys in hex
func questionsOf(n node, o *origin) http.Handler {
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, value []byte, err error) {
		a := answer{Value: value}
		if err != nil {
			a.Err = err.Error()
		}
		json.NewEncoder(w).Encode(a)
	}
	mux.HandleFunc(questionPath+"get", func(w http.ResponseWriter, r *http.Request) {
		value, err := n.get(r.Context(), r.FormValue("key"))
		reply(w, value, err)
	})
	mux.HandleFunc(questionPath+"remove", func(w http.ResponseWriter, r *http.Request) {
		reply(w, nil, n.remove(r.Context(), r.FormValue("key")))
	})
	mux.HandleFunc(questionPath+"owners", func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		var urls []string
		for _, key := range r.Form["key"] {
			urls = append(urls, n.owner(key))
		}
		json.NewEncoder(w).Encode(urls)
	})
	mux.HandleFunc(questionPath+"loads", func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		loads := maps.Clone(o.loads)
		o.mu.Unlock()
		hexed := make(map[string]int, len(loads))
		for key, n := range loads {
			hexed[hex.EncodeToString([]byte(key))] = n
		}
		json.NewEncoder(w).Encode(hexed)
	})
	return mux
}
