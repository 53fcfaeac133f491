package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	models := flag.String("models", "models", "folder of the service models")
	out := flag.String("out", "internal", "folder of the slices, one subfolder for each service")
	flag.Parse()
	if err := run(*models, *out); err != nil {
		fmt.Fprintln(os.Stderr, "awsgen:", err)
		os.Exit(1)
	}
}

func run(models, out string) error {
	services, err := load(os.DirFS(models))
	if err != nil {
		return err
	}
	for _, s := range services {
		src, err := generate(s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := write(filepath.Join(out, s.name), "api_gen.go", src); err != nil {
			return err
		}
	}
	rules, err := loadRules(os.DirFS(models))
	if err != nil {
		return err
	}
	src, err := generateCatalog(rules)
	if err != nil {
		return err
	}
	return write(filepath.Join(out, "catalog"), "catalog_gen.go", src)
}

func write(dir, name string, src []byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), src, 0o644)
}
