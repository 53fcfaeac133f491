package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// clockStep is by how much time may go on between two looks of a deployment
	// that runs. More means that the clock was set, or that nobody ran.
	clockStep = time.Hour
	// clockWait is how long after that nothing is destroyed: time in which somebody
	// ran, so that there was somebody to notice.
	clockWait = 24 * time.Hour
	// clockLeap begins that anew: it is the shortest recovery window there is. A
	// smaller step does not, or a machine that is off at night would never get there.
	clockLeap = 7 * 24 * time.Hour
	// clockEvery is how often the look is written down.
	clockEvery = time.Minute
)

// Steady reports whether the clock may be believed by those who destroy what cannot
// be brought back because its time has come. A clock that was set ahead, by mistake
// or by somebody who wants secrets gone, would make all recovery windows end at once.
// So after every step ahead of more than an hour, destruction waits until the
// deployment has run for a day; if the clock goes back meanwhile, nothing has
// happened. AWS promises no moment for a deletion either, only that it is not early.
func (db *DB) Steady(ctx context.Context) (bool, error) {
	var wait, step time.Duration
	began := false
	err := db.Maintain(ctx, func(tx Tx) error {
		wait, step, began = 0, 0, false
		now := tx.Now()
		var seen, left int64
		err := tx.QueryRow(`SELECT seen_at, wait FROM clock WHERE id = 'clock'`).Scan(&seen, &left)
		if errors.Is(err, ErrNoRows) {
			_, err = tx.Exec(`INSERT INTO clock (id, seen_at, wait) VALUES ('clock', $1, 0)`, now.UnixMicro())
			return err
		}
		if err != nil {
			return err
		}
		step, wait = now.Sub(time.UnixMicro(seen)), time.Duration(left)*time.Microsecond
		switch {
		case step > clockStep:
			if began = wait == 0; began || step >= clockLeap {
				wait, began = clockWait, true
			}
		case step < -clockStep:
			wait = 0 // What was ahead is back. Time that has not come ends no window.
		case step < 0, step < clockEvery:
			return nil
		default:
			wait = max(0, wait-step)
		}
		_, err = tx.Exec(`UPDATE clock SET seen_at = $1, wait = $2 WHERE id = 'clock'`, now.UnixMicro(), wait.Microseconds())
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look at the clock: %w", err)
	}
	db.clockWait.Store(int64(wait))
	if began {
		db.log.Warn("the clock has moved on by more than an hour since the deployment was last seen running; until it has run for a day, nothing whose time has come is destroyed",
			slog.Duration("ahead", step), slog.String("hint", "set the clock right if it is wrong; there is nothing to do if the server was only off"))
	}
	if step < -clockStep {
		db.log.Warn("the clock has gone back", slog.Duration("by", -step))
	}
	return wait == 0, nil
}

// Distrust begins the wait of Steady anew, in the transaction that fills a store from a
// backup: all windows that have ended since that was made would end at once.
func Distrust(tx Tx) error {
	_, err := tx.Exec(`INSERT INTO clock (id, seen_at, wait) VALUES ('clock', $1, $2)
		ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, wait = excluded.wait`, tx.Now().UnixMicro(), clockWait.Microseconds())
	if err != nil {
		return fmt.Errorf("distrust the clock: %w", err)
	}
	return nil
}
