package plugin

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/data"
)

// TestBackup has backups be written on a schedule, of which the last ones are kept, and one fail.
func TestBackup(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backups")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{unfinishedPrefix + "1", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		m, l := newMemory(t), new(logged)
		s := start(t, m, []Config{{Plugin: "backup", Settings: map[string]string{"dir": dir, "every": "1m", "keep": "2"}}}, l.option())
		for range 5 {
			do(t, m, "incr n")
			time.Sleep(time.Minute) // of the bubble
			synctest.Wait()
		}
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(names) != 3 || filepath.Base(names[2]) != "other" {
			t.Fatalf("there are %q, %v, want two backups and another file", names, err)
		}
		f, err := os.Open(names[1])
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		restored, err := data.Restore(context.Background(), f)
		if err != nil {
			t.Fatal(err)
		}
		defer restored.Close()
		if n, _, err := restored.GetString(context.Background(), "n"); n != "5" || err != nil {
			t.Errorf("the last backup has n = %s, %v, want 5", n, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := s.Stats()[0].Failed; got != 1 {
			t.Errorf("%d backups have failed, want 1: %s", got, l)
		}
	})
}

// A process that is restarted more often than backups are due writes them all the same, and one whose clock was set back does not wait for
// longer than it always does.
func TestBackupOfAProcessThatIsRestarted(t *testing.T) {
	const every = time.Hour
	run := func(t *testing.T, dir string) (stop func()) {
		s := start(t, newMemory(t), []Config{{Plugin: "backup", Settings: map[string]string{"dir": dir, "every": every.String()}}})
		synctest.Wait()
		return s.Close
	}
	times := func(t *testing.T, dir string) []time.Time {
		list, err := (&backup{dir: dir}).times()
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	synctest.Test(t, func(t *testing.T) {
		dir, began := t.TempDir(), time.Now()
		for range 6 {
			stop := run(t, dir)
			time.Sleep(25 * time.Minute) // of the bubble
			synctest.Wait()
			stop()
		}
		var got []time.Duration
		for _, at := range times(t, dir) {
			got = append(got, at.Sub(began))
		}
		if want := []time.Duration{0, every, 2 * every}; !slices.Equal(got, want) {
			t.Errorf("backups after %v, want %v", got, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		future := (&backup{dir: dir}).file(time.Now().Add(1000 * every))
		if err := os.WriteFile(future, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		defer run(t, dir)()
		time.Sleep(every) // of the bubble
		synctest.Wait()
		if got := times(t, dir); len(got) != 2 {
			t.Errorf("backups of %v, want another one within %v", got, every)
		}
	})
}
