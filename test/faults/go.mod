module github.com/strongroom/strongroom/test/faults

go 1.26.0

replace github.com/strongroom/strongroom => ../..
