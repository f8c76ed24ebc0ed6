package hashes

import (
	"math"
	"strconv"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/hash"
	"github.com/peercache/peercache/data/internal/number"
)

const (
	errOldNotInt   engine.Error = "ERR hash value is not an integer"
	errOldNotFloat engine.Error = "ERR hash value is not a float"
	errOverflow    engine.Error = "ERR increment or decrement would overflow"
	errInfinite    engine.Error = "ERR value is NaN or Infinity"
	errSumInfinite engine.Error = "ERR increment would produce NaN or Infinity"
)

func hincrby(c *engine.Call) error {
	by, ok := number.Int(c.Args[3])
	if !ok {
		return engine.ErrNotInt
	}
	v, there, err := value(c)
	if err != nil {
		return err
	}
	old := int64(0)
	if there {
		if old, ok = number.Int(v.View()); !ok {
			return errOldNotInt
		}
	}
	if by > 0 && old > math.MaxInt64-by || by < 0 && old < math.MinInt64-by {
		return errOverflow
	}
	if err := store(c, strconv.FormatInt(old+by, 10), "hincrby"); err != nil {
		return err
	}
	c.W.Int(old + by)
	return nil
}

func hincrbyfloat(c *engine.Call) error {
	v, there, wrong := value(c)
	old := "0"
	if there {
		old = v.View()
	}
	sum, ok := number.AddDecimals(old, c.Args[3])
	if !ok || wrong != nil {
		var err error
		if sum, err = addLong(old, c.Args[3], wrong); err != nil {
			return err
		}
	}
	if err := store(c, sum, "hincrbyfloat"); err != nil {
		return err
	}
	c.Log("HSET", c.Args[1], c.Args[2], sum)
	c.W.Bulk(sum)
	return nil
}

// addLong adds numbers of any form. wrong is why there is no old number, which Redis says after what is wrong with the increment.
func addLong(old, by string, wrong error) (sum string, err error) {
	y, ok := number.Long(by)
	switch {
	case !ok:
		return "", engine.ErrNotFloat
	case y.IsInf():
		return "", errInfinite
	case wrong != nil:
		return "", wrong
	}
	x, ok := number.Long(old)
	if !ok {
		return "", errOldNotFloat
	}
	if sum, ok = number.AddLong(x, y); !ok {
		return "", errSumInfinite
	}
	return sum, nil
}

// store gives the field that is the second argument a value.
func store(c *engine.Call, value, event string) error {
	h, err := engine.ChangeOrNew(c, c.Args[1], hash.New)
	if err != nil {
		return err
	}
	set(c, h, c.Args[2], value)
	changed(c, event)
	return nil
}
