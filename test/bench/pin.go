package main

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// canPin says whether server and driver can have a core each.
func canPin() bool {
	_, err := exec.LookPath("taskset")
	return err == nil && runtime.NumCPU() >= 2
}

// pinDriver gives this program core 1 alone, or with pin false all cores again.
func pinDriver(pin bool) error {
	if !canPin() {
		return nil
	}
	procs := runtime.NumCPU()
	var cores unix.CPUSet
	if pin {
		procs = 1
		cores.Set(1)
	} else {
		for i := range runtime.NumCPU() {
			cores.Set(i)
		}
	}
	runtime.GOMAXPROCS(procs)
	// Each thread has a setting of its own; new ones take that of their parent. So
	// the second time there is none left that a thread without it could make.
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, &cores); err != nil && err != unix.ESRCH {
				return err
			}
		}
	}
	return nil
}
