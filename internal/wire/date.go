package wire

import (
	"net/http"
	"sync/atomic"
	"time"
)

// dateHeader is the value of Date, which is the same for all answers of a second.
type dateHeader struct{ last atomic.Pointer[dateOfSecond] }

type dateOfSecond struct {
	second int64
	value  []string // shared, not changed
}

func (d *dateHeader) at(now time.Time) []string {
	second := now.Unix()
	if last := d.last.Load(); last != nil && last.second == second {
		return last.value
	}
	fresh := &dateOfSecond{second, []string{now.UTC().Format(http.TimeFormat)}}
	d.last.Store(fresh)
	return fresh.value
}
