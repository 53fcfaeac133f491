package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/strongroom/strongroom/internal/servertest/program"
)

// Variables of the environment.
const (
	programsVariable  = "STRONGROOM_CLUSTER"           // folder of etcd and patroni, as tools/deps/cluster prints it
	postgresVariable  = "STRONGROOM_POSTGRES"          // folder of PostgreSQL's programs
	failoversVariable = "STRONGROOM_CLUSTER_FAILOVERS" // how often the primary is killed
	insideVariable    = "STRONGROOM_CLUSTER_INSIDE"    // set inside the namespaces
	whyNotVariable    = "STRONGROOM_CLUSTER_WHY_NOT"   // why there are none
)

// root is a file system in memory, seen in here only.
const root = "/run/cluster"

// enter makes the namespaces its own. Its shell is the process 1 in there: it takes in the processes whose parents were
// killed, and its end is the end of all.
const enter = `
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
mkdir ` + root + `
ip link set lo up
set +e
"$@" &
wait $!
exit $?
`

func TestMain(m *testing.M) {
	if os.Getenv(insideVariable) != "" {
		code := m.Run()
		program.Remove()
		os.Exit(code)
	}
	why := prepare()
	if why != nil {
		os.Setenv(whyNotVariable, why.Error())
		os.Exit(m.Run())
	}
	// The death signal below is sent when the thread that started the child ends.
	runtime.LockOSThread()
	cmd := exec.Command("/bin/sh", append([]string{"-c", enter, "cluster", os.Args[0]}, os.Args[1:]...)...)
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = namespaces()
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(max(exit.ExitCode(), 1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func namespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
}

// prepare finds the programs, or says what is missing.
func prepare() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return errors.New("there is no ip command; tools/deps/system iproute2 installs it")
	}
	if os.Getenv(programsVariable) == "" {
		return errors.New(programsVariable + " is not set; tools/deps/cluster prints it")
	}
	if os.Getenv(postgresVariable) == "" {
		return errors.New(postgresVariable + " is not set; tools/deps/postgresql prints it")
	}
	try := exec.Command("/bin/sh", "-c", enter, "cluster", "true")
	try.SysProcAttr = namespaces()
	if out, err := try.CombinedOutput(); err != nil {
		return fmt.Errorf("this machine gives no namespaces: %v %s", err, out)
	}
	return nil
}

// needCluster skips a test that cannot run here, and says why.
func needCluster(t *testing.T) {
	t.Helper()
	if os.Getenv(insideVariable) == "" {
		t.Skip(os.Getenv(whyNotVariable))
	}
}
