package config

import (
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Bucket is the bucket and the prefix that To names; ok is false for a directory.
func (s *Ship) Bucket() (name, prefix string, ok bool) {
	rest, ok := strings.CutPrefix(s.To, "s3://")
	if !ok {
		return "", "", false
	}
	name, prefix, _ = strings.Cut(rest, "/")
	return name, prefix, true
}

func (c *Config) validateShip() error {
	s := &c.Backup.Ship
	if s.To == "" {
		if len(s.Recipients) > 0 || s.Endpoint != "" {
			return mistake("backup.ship.to", "backup.ship.to is missing: a directory, or s3://bucket/prefix")
		}
		return nil
	}
	bucket, _, isBucket := s.Bucket()
	switch {
	case c.Database != "":
		return mistake("backup.ship.to", "backup.ship is for SQLite; PostgreSQL archives its own log (see the guide on backups)")
	case len(s.Recipients) == 0:
		return mistake("backup.ship.recipients", "backup.ship.recipients is missing: who may restore (age1...)")
	case !isBucket && strings.Contains(s.To, "://"):
		return mistake("backup.ship.to", "backup.ship.to %q is neither a directory nor s3://bucket/prefix", s.To)
	case !isBucket && !filepath.IsAbs(s.To):
		return mistake("backup.ship.to", "backup.ship.to %q is not an absolute path", s.To)
	case isBucket && bucket == "":
		return mistake("backup.ship.to", "backup.ship.to %q names no bucket", s.To)
	}
	if !isBucket {
		if within(s.To, c.Data) {
			return mistake("backup.ship.to", "backup.ship.to %q is in the data directory: what destroys the one destroys the other", s.To)
		}
		if s.Endpoint != "" {
			return mistake("backup.ship.endpoint", "backup.ship.endpoint is of a bucket, and backup.ship.to is a directory")
		}
	}
	if u, err := url.Parse(s.Endpoint); s.Endpoint != "" && (err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "") {
		return mistake("backup.ship.endpoint", "backup.ship.endpoint is no URL such as https://s3.example.org")
	}
	for _, d := range []struct {
		key   string
		value time.Duration
		least time.Duration
	}{{"interval", s.Interval, 100 * time.Millisecond}, {"base_every", s.BaseEvery, time.Minute}, {"retention", s.Retention, time.Minute}} {
		if d.value < d.least {
			return mistake("backup.ship."+d.key, "backup.ship.%s must be at least %s, not %s", d.key, d.least, d.value)
		}
	}
	if s.Spool < 16<<20 {
		return mistake("backup.ship.spool", "backup.ship.spool must be at least 16777216 bytes, not %d", s.Spool)
	}
	return nil
}

// within says whether a path lies in a directory.
func within(path, dir string) bool {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	rel, err := filepath.Rel(abs, filepath.Clean(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
