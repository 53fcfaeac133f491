package ship

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
)

// The kinds of numbered objects.
const (
	kindKeys  = "keys"
	kindBase  = "base"
	kindLog   = "log"
	kindAudit = "audit"
)

// streamFile is the object that holds a stream's key.
const streamFile = "stream"

// newStreamName makes a name that sorts by time and is nobody else's.
func newStreamName(now time.Time) string {
	return now.UTC().Format("20060102T150405.000000Z") + "-" + aws.RandomString("abcdefghijklmnopqrstuvwxyz0123456789", 8)
}

var streamName = regexp.MustCompile(`^\d{8}T\d{6}\.\d{6}Z-[a-z0-9]{8}$`)

func objectName(stream, kind string, n uint64) string {
	return fmt.Sprintf("%s/%s-%012d", stream, kind, n)
}

func partName(stream string, n uint64, part int) string {
	return fmt.Sprintf("%s.%06d", objectName(stream, kindBase, n), part)
}

// parseName returns kind and number of an object of the stream, and its part or -1.
func parseName(stream, name string) (kind string, n uint64, part int, ok bool) {
	rest, ok := strings.CutPrefix(name, stream+"/")
	if !ok {
		return "", 0, 0, false
	}
	kind, rest, ok = strings.Cut(rest, "-")
	if !ok {
		return "", 0, 0, false
	}
	number, after, hasPart := strings.Cut(rest, ".")
	part = -1
	if hasPart {
		p, err := strconv.Atoi(after)
		if err != nil || p < 0 || kind != kindBase {
			return "", 0, 0, false
		}
		part = p
	}
	n, err := strconv.ParseUint(number, 10, 64)
	again := objectName(stream, kind, n)
	if hasPart {
		again = partName(stream, n, part)
	}
	return kind, n, part, err == nil && again == name
}
