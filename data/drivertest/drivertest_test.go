package drivertest

import (
	"testing"

	"github.com/peercache/peercache/data"
)

func TestMemory(t *testing.T) {
	Run(t, func(t *testing.T) data.Driver {
		m, err := data.NewMemory()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		return m
	})
}
