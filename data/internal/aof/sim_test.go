package aof

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/disk"
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/enginetest"
	"github.com/peercache/peercache/data/internal/simdisk"
)

var (
	simSeeds = flag.Int("sim.seeds", 100, "how many seeds the simulations run")
	simSeed  = flag.Uint64("sim.seed", 0, "the only seed that they run")
)

// moment is the data after a change.
type moment struct {
	data     model
	position uint64
}

// unwaited is a log for which nobody waits: the simulation looks itself how much is durable.
type unwaited struct{ *Log }

func (unwaited) Wait(context.Context, uint64) error { return nil }

// world is a machine with a disk that crashes.
type world struct {
	seed    uint64
	rng     *rand.Rand
	disk    *simdisk.Disk
	plant   func(d *simdisk.Disk) disk.Disk
	store   func(e *engine.Engine) Store
	policy  Policy
	log     *Log
	engine  *engine.Engine
	now     int64
	moments []moment
	// crashAt is at how many operations of the disk from now on the process ends.
	crashAt    int
	syncsFail  bool
	busy       bool // commands cannot run now
	recovering bool
	serial     int
	backup     []byte
	backedUp   model
	trace      []string
}

func newWorld(seed uint64) *world {
	w := &world{seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), now: 1_700_000_000_000, moments: []moment{{model{}, 1}}}
	w.disk = simdisk.New(w.rng)
	if w.rng.IntN(2) == 0 {
		w.disk.SectorSize = 4096
	}
	w.plant = func(d *simdisk.Disk) disk.Disk { return d }
	w.store = func(e *engine.Engine) Store { return e }
	w.policy = Policy(w.rng.IntN(3))
	w.syncsFail = w.rng.IntN(5) == 0
	if w.rng.IntN(4) == 0 {
		w.disk.Capacity = int64(2000 + w.rng.IntN(20_000))
	}
	return w
}

func (w *world) tell(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// before is called before each operation of the disk.
func (w *world) before(op, name string) error {
	if w.crashAt--; w.crashAt <= 0 {
		w.tell("crash at %s %s", op, name)
		w.disk.Kill()
		return simdisk.ErrCrashed
	}
	if strings.HasPrefix(op, "sync") && w.syncsFail && w.rng.IntN(40) == 0 {
		w.tell("%s %s fails", op, name)
		return syscall.EIO
	}
	if !w.busy && !w.recovering && w.rng.IntN(3) == 0 {
		w.busy = true
		for range 1 + w.rng.IntN(3) {
			w.command()
		}
		w.busy = false
	}
	return nil
}

func (w *world) words() []string {
	key, other := fmt.Sprint("k", w.rng.IntN(8)), fmt.Sprint("k", w.rng.IntN(8))
	w.serial++
	text := fmt.Sprint(w.serial, ".")
	if w.rng.IntN(8) == 0 {
		text += strings.Repeat("x", w.rng.IntN(3000))
	}
	switch w.rng.IntN(14) {
	case 0, 1, 2:
		return []string{"set", key, text}
	case 3:
		return []string{"set", key, text, "pxat", fmt.Sprint(w.now + int64(w.rng.IntN(300)) + 1)}
	case 4:
		return []string{"set", key, text, "px", fmt.Sprint(w.rng.IntN(300) + 1)}
	case 5:
		return []string{"pexpire", key, fmt.Sprint(w.rng.IntN(300) + 1)}
	case 6:
		return []string{"persist", key}
	case 7:
		return []string{"del", key}
	case 8:
		if key != other {
			return []string{"rename", key, other}
		}
	case 9:
		if w.rng.IntN(8) == 0 {
			return []string{"flushdb"}
		}
	}
	return []string{"append", key, text}
}

// command runs a command, or a transaction.
func (w *world) command() {
	w.now += int64(w.rng.IntN(20))
	n := 1
	if w.rng.IntN(4) == 0 {
		n = 2 + w.rng.IntN(3)
	}
	var queue []engine.Queued
	data := maps.Clone(w.moments[len(w.moments)-1].data)
	for range n {
		args := w.words()
		data.run(w.now, args)
		queue = append(queue, engine.Queued{Command: w.engine.Commands().Find(args[0]), Args: args})
	}
	if w.log.Err() != nil && n > 1 {
		return // single commands are refused; so are all of a transaction, with an error each
	}
	var reply enginetest.Failed
	var err error
	if n == 1 {
		err = w.engine.Run(context.Background(), queue[0].Command, queue[0].Args, &reply)
	} else {
		err = w.engine.Exec(context.Background(), queue, nil, &reply)
	}
	if err != nil || strings.HasPrefix(reply.Text, "MISCONF") {
		return
	}
	w.moments = append(w.moments, moment{data, w.log.Position()})
}

// open recovers the log, with crashes meanwhile, and checks what was recovered.
func (w *world) open() error {
	for try := 0; ; try++ {
		w.recovering = true
		w.disk.Before = w.before
		w.crashAt = 1 << 30
		if try < 3 && w.rng.IntN(3) == 0 {
			w.crashAt = 1 + w.rng.IntN(20)
		}
		err := w.tryOpen()
		w.recovering = false
		if err == nil {
			return nil
		}
		if disk.Full(err) {
			w.disk.Capacity *= 2
		} else if !errors.Is(err, simdisk.ErrCrashed) && !errors.Is(err, syscall.EIO) {
			return fmt.Errorf("recovery: %w", err)
		}
		w.next()
	}
}

func (w *world) tryOpen() (err error) {
	opts := Options{Sync: w.policy, Logger: slog.New(slog.DiscardHandler)}
	if w.log, err = New(w.plant(w.disk), opts); err != nil {
		return err
	}
	table, err := engine.NewTable(builtin.Commands()...)
	if err != nil {
		return err
	}
	w.engine, err = engine.New(engine.Config{Commands: table, Kinds: builtin.Kinds(), Now: func() int64 { return w.now }, Log: unwaited{w.log}})
	if err != nil {
		return err
	}
	_, err = w.log.Recover(w.store(w.engine))
	return err
}

// next is the disk that the next process finds.
func (w *world) next() {
	if w.rng.IntN(4) == 0 {
		w.tell("the process is started anew")
		w.disk = w.disk.Restart()
	} else {
		w.tell("the machine crashes")
		w.disk = w.disk.Crash()
	}
}

// contents returns what the engine has.
func (w *world) contents() (model, error) {
	m := model{}
	err := w.engine.Snapshot(context.Background(), func() error { return nil }, func(block []byte) error {
		return w.engine.Entries(block, func(key string, e *engine.Entry) error {
			m[key] = value{e.Str, e.Expire}
			return nil
		})
	})
	return m, err
}

// check compares what was recovered with what there was. All up to durable must be there.
func (w *world) check(durable int) error {
	got, err := w.contents()
	if err != nil {
		return err
	}
	text := got.text(w.now)
	for i := len(w.moments) - 1; i >= durable; i-- {
		if w.moments[i].data.text(w.now) == text {
			w.tell("recovered %d of %d moments, durable %d", i, len(w.moments)-1, durable)
			w.moments = append(w.moments[:0:0], moment{got, w.log.Position()})
			return nil
		}
	}
	for i := durable - 1; i >= 0; i-- {
		if w.moments[i].data.text(w.now) == text {
			return fmt.Errorf("recovered is moment %d of %d, and %d were durable", i, len(w.moments)-1, durable)
		}
	}
	return fmt.Errorf("recovered is no moment of %d, of which %d were durable:\n%s\nwant, at last\n%s", len(w.moments)-1, durable, text,
		w.moments[len(w.moments)-1].data.text(w.now))
}

// durable returns the last moment that the log says is durable.
func (w *world) durable() (n int) {
	at := w.log.Durable()
	for n < len(w.moments)-1 && w.moments[n+1].position <= at {
		n++
	}
	return n
}

// live has the process run until it ends.
func (w *world) live() {
	w.crashAt = 5 + w.rng.IntN(150)
	for w.log.lost() == nil {
		switch k := w.rng.IntN(100); {
		case k < 60:
			w.command()
		case k < 90:
			w.log.flush(w.policy == Always || w.rng.IntN(2) == 0)
			if w.log.Err() != nil && w.log.lost() == nil && w.rng.IntN(3) == 0 {
				w.tell("the disk has more room")
				w.disk.Capacity += 10_000
			}
		case k < 94:
			err := w.log.Rewrite(context.Background())
			w.tell("rewritten: %v", err)
		case k < 96:
			w.takeBackup()
		case k < 98:
			w.restore()
		case k == 98 && w.rng.IntN(3) == 0:
			w.tell("closed: %v", w.log.Close())
			return
		}
	}
	w.tell("the log has ended: %v", w.log.Err())
}

func (w *world) takeBackup() {
	var b bytes.Buffer
	s, err := NewSnapshotWriter(&b, 0)
	if err == nil {
		err = w.engine.Snapshot(context.Background(), func() error { return nil }, s.Block)
	}
	if err == nil && s.End() == nil {
		w.backup, w.backedUp = b.Bytes(), w.moments[len(w.moments)-1].data
	}
}

func (w *world) restore() {
	if w.backup == nil {
		return
	}
	stage, err := w.engine.Stage()
	if err != nil {
		return
	}
	replaced := 0
	err = w.log.Restore(context.Background(), bytes.NewReader(w.backup), stage.Load, func(begin func() error) error {
		return w.engine.Replace(stage, func() error {
			w.busy = true
			defer func() { w.busy = false }()
			// Whether a crash meanwhile finds the former data or the restored is open, as with any change.
			replaced = len(w.moments)
			w.moments = append(w.moments, moment{w.backedUp, w.log.Position() + 1})
			return begin()
		})
	})
	if err == nil {
		w.moments[replaced].position-- // it is durable
	}
	w.tell("restored: %v (moment %d)", err, replaced)
}

// simulate runs the world of a seed.
func simulate(w *world) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	for range 6 {
		durable := w.durableBefore()
		if err := w.open(); err != nil {
			return err
		}
		if err := w.check(durable); err != nil {
			return err
		}
		w.live()
		w.next()
	}
	return nil
}

func (w *world) durableBefore() int {
	if w.log == nil {
		return 0
	}
	return w.durable()
}

// seeds calls do with each seed.
func seeds(do func(seed uint64) (ok bool)) {
	if *simSeed != 0 {
		do(*simSeed)
		return
	}
	for seed := range uint64(*simSeeds) {
		if !do(seed + 1) {
			return
		}
	}
}

// What is recovered after crashes is the data of a moment, whole transactions only, and nothing that the log has called durable is missing: whatever a disk
// loses, tears and reorders that was not synced, also while the log is rewritten, restored or recovered, where syncs fail, and where the disk is full.
func TestD2D3CrashesOfASimulatedDisk(t *testing.T) {
	seeds(func(seed uint64) bool {
		w := newWorld(seed)
		if err := simulate(w); err != nil {
			t.Errorf("-sim.seed %d: %v\n%s", seed, err, strings.Join(w.trace, "\n"))
		}
		return !t.Failed()
	})
}
