package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// runCompare prints the medians of results, a row for each workload and tool.
func runCompare(args []string) error {
	groups := map[string][]result{}
	for _, name := range args {
		if err := readResults(name, groups); err != nil {
			return err
		}
	}
	var keys []string
	for key := range groups {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	fmt.Println("| run | n | wrong | k lines/s | MB/s | [min-max] | CPU s/GB | [min-max] | peak RSS MB | anon MB | load |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|")
	for _, key := range keys {
		fmt.Println(row(key, groups[key]))
	}
	return nil
}

func readResults(name string, groups map[string][]result) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		key := r.Workload + " " + r.Tool
		groups[key] = append(groups[key], r)
	}
	return lines.Err()
}

// row leaves wrong runs out of the figures: a fast run with a wrong output is
// no run.
func row(key string, all []result) string {
	runs := slices.DeleteFunc(slices.Clone(all), func(r result) bool { return !r.OK })
	wrong := len(all) - len(runs)
	if len(runs) == 0 {
		return fmt.Sprintf("| %s | 0 | %d | | | | | | | | |", key, wrong)
	}
	speed := figures(runs, func(r result) float64 { return float64(r.Bytes) / 1e6 / r.Seconds })
	lines := figures(runs, func(r result) float64 { return float64(r.Lines) / 1e3 / r.Seconds })
	cpu := figures(runs, func(r result) float64 { return r.CPU / (float64(r.Bytes) / 1e9) })
	rss := figures(runs, func(r result) float64 { return float64(r.PeakRSS) / 1e6 })
	anon := figures(runs, func(r result) float64 { return float64(r.PeakAnon) / 1e6 })
	load := figures(runs, func(r result) float64 { return r.Load[0] })
	return fmt.Sprintf("| %s | %d | %d | %.0f | %.1f | %.1f-%.1f | %.2f | %.2f-%.2f | %.0f | %.0f | %.1f-%.1f |",
		key, len(runs), wrong, lines.median, speed.median, speed.min, speed.max, cpu.median, cpu.min, cpu.max, rss.max, anon.max, load.min, load.max)
}

type figure struct{ min, median, max float64 }

func figures(runs []result, of func(result) float64) figure {
	var all []float64
	for _, r := range runs {
		all = append(all, of(r))
	}
	slices.Sort(all)
	middle := all[len(all)/2]
	if len(all)%2 == 0 {
		middle = (all[len(all)/2-1] + middle) / 2
	}
	return figure{all[0], middle, all[len(all)-1]}
}
