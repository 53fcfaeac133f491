package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgres measures the server over PostgreSQL on the same machine, beside a
// program that runs the same statements through pgx and does nothing else. Server,
// driver, floor and PostgreSQL share all cores.
func (b *bench) postgres() error {
	if err := pinDriver(false); err != nil {
		return err
	}
	db, err := b.startPostgres()
	if err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	defer db.stop()
	data := filepath.Join(b.dir, "on-postgres")
	if out, err := exec.Command(b.binary, "init", "--data", data, "--database", db.url).CombinedOutput(); err != nil {
		return fmt.Errorf("init: %w: %s", err, out)
	}
	s, err := b.startServer(data, setting{name: "Strongroom on PostgreSQL", shared: true, yaml: "database: " + db.url + "\n"})
	if err != nil {
		return err
	}
	defer s.stop()
	if err := s.each(b.secrets, createRequest); err != nil {
		return err
	}
	if err := s.each(b.secrets, readRequest); err != nil {
		return err
	}
	if err := db.settle(); err != nil {
		return err
	}
	for _, p := range []struct {
		plan
		floor func(*pgFloor) error
	}{
		{plan{operation: read, request: getRequest(b.secrets)}, (*pgFloor).get},
		{plan{operation: put, request: putRequest(b.secrets)}, (*pgFloor).put},
	} {
		for _, p.connections = range b.connections {
			floor, got, err := b.besidePgx(db, s, p.plan, p.floor)
			if err != nil {
				return fmt.Errorf("%s at %d connections: %w", p.operation, p.connections, err)
			}
			b.rows("postgres", []result{floor, got})
			b.least(fmt.Sprintf("%s on PostgreSQL at %d connections, of pgx alone", p.operation, p.connections), 100*ratioOf(got, floor), 60, "%")
		}
	}
	return nil
}

// besidePgx lets the server and the floor take turns. The processor time of a row is
// that of the database and of its client together, without the driver's.
func (b *bench) besidePgx(db *database, s *target, p plan, run func(*pgFloor) error) (floor, served result, err error) {
	var clients []*client
	var floors []*pgFloor
	for range p.connections {
		c, err := s.dial()
		if err != nil {
			return floor, served, err
		}
		defer c.conn.Close()
		clients = append(clients, c)
		f, err := newPgFloor(db.url, b.secrets)
		if err != nil {
			return floor, served, err
		}
		defer f.conn.Close(context.Background())
		floors = append(floors, f)
	}
	var all [2][]result
	for n := range b.rounds + 1 {
		before := db.cpu() + ownCPU()
		f, err := pgRound(floors, b.length, run)
		if err != nil {
			return floor, served, fmt.Errorf("floor: %w", err)
		}
		f.CPU, f.Server = (db.cpu()+ownCPU()-before).Seconds()*1e6/float64(f.answered), "pgx alone"
		before = db.cpu() + s.cpu()
		g, err := round(clients, b.length, p.request)
		if err != nil {
			return floor, served, err
		}
		g.CPU, g.Server = (db.cpu()+s.cpu()-before).Seconds()*1e6/float64(g.answered), s.name
		if n == 0 {
			continue // warm-up
		}
		for i, r := range []result{f, g} {
			r.Operation, r.Connections = p.operation, p.connections
			all[i] = append(all[i], r)
		}
	}
	return middle(all[0]), middle(all[1]), nil
}

// database is a PostgreSQL server of this run, which flushes as in production.
type database struct {
	url string
	cmd *exec.Cmd
}

// startPostgres runs one in a directory of its own, from the programs in the
// folder that STRONGROOM_POSTGRES names.
func (b *bench) startPostgres() (*database, error) {
	bin := os.Getenv("STRONGROOM_POSTGRES")
	if bin == "" {
		return nil, errors.New("STRONGROOM_POSTGRES does not name the folder of its programs: see tools/deps/postgresql")
	}
	dir, err := os.MkdirTemp("", "srbench-postgres")
	if err != nil {
		return nil, err
	}
	as := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() == 0 { // which PostgreSQL refuses to be
		nobody, err := user.Lookup("nobody")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(nobody.Uid)
		gid, _ := strconv.Atoi(nobody.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata", filepath.Join(dir, "data"), "--username", "bench", "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = &syscall.SysProcAttr{Credential: as.Credential}, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	port := address[len("127.0.0.1:"):]
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d := &database{url: "postgres://bench@" + address + "/postgres?sslmode=disable"}
	d.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", filepath.Join(dir, "data"),
		"-c", "listen_addresses=127.0.0.1", "-c", "port="+port, "-c", "unix_socket_directories=", "-c", "max_connections=200",
		"-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB")
	d.cmd.SysProcAttr, d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = as, dir, log, log
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		var conn *pgx.Conn
		if conn, err = pgx.Connect(context.Background(), d.url); err == nil {
			return d, conn.Close(context.Background())
		}
		time.Sleep(50 * time.Millisecond)
	}
	said, _ := os.ReadFile(log.Name())
	d.stop()
	return nil, fmt.Errorf("no answer: %w: %s", err, said)
}

func (d *database) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGINT)
	_ = d.cmd.Wait()
	_ = os.RemoveAll(d.cmd.Dir)
}

// settle lets the planner know the tables and the disk have them, so that neither
// happens while something is measured.
func (d *database) settle() error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, statement := range []string{"VACUUM ANALYZE", "CHECKPOINT"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// cpu is the processor time of the server and of its processes that have not ended.
func (d *database) cpu() (used time.Duration) {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	for _, path := range all {
		if b, err := os.ReadFile(path); err == nil && parentOf(b) == d.cmd.Process.Pid {
			used += cpuIn(b)
		}
	}
	return used
}

// parentOf reads the fourth field, counted behind the name in brackets.
func parentOf(stat []byte) int {
	parent, _ := strconv.Atoi(strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))[1])
	return parent
}

// ownCPU is the processor time of this program.
func ownCPU() time.Duration {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0
	}
	return cpuIn(b)
}
