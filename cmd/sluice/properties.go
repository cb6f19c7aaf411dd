package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// withProperties gives cmd Java's -Dkey=value.
func withProperties(cmd *cobra.Command, to *[]string) {
	cmd.Flags().StringArrayVarP(to, "define", "D", nil, "a system property, key=value, for ${sys:key} and flume.monitoring.*")
}

// parseProperties reads key=value pairs; a key alone is true to Java's form,
// which gives it an empty value.
func parseProperties(pairs []string) (map[string]string, error) {
	m := map[string]string{}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		if k == "" {
			return nil, &usageError{fmt.Errorf("-D%s: want -Dkey=value", p)}
		}
		m[k] = v
	}
	return m, nil
}
