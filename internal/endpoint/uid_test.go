package endpoint_test

import (
	"os"
	"strconv"
)

func uid() string { return strconv.Itoa(os.Geteuid()) }
