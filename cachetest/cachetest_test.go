package cachetest_test

import (
	"testing"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/cachetest"
)

func TestStore(t *testing.T) { cachetest.Run(t, peercache.NewStore) }

func TestLRU(t *testing.T) { cachetest.Run(t, peercache.NewLRU) }
