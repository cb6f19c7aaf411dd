package actors_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/actors/supervise"
)

// The lines of a message's comment that say who talks to whom.
var (
	fromLine = regexp.MustCompile(`(?m)^From ([a-z, ]+)\. (?:Answered by (\w+)|Not answered)\.$`)
	toLine   = regexp.MustCompile(`(?m)^To ([a-z, ]+)\. Not answered\.$`)
)

// message is a line of the conversation table.
type message struct{ from, to, name, answer string }

// spoken reads the protocol.go of every actor, and tells of every message that
// its receiver has no case for and of every answer that is not declared there.
func spoken(t *testing.T) []message {
	t.Helper()
	files, err := filepath.Glob("*/protocol.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d protocols: %v", len(files), err)
	}
	var list []message
	handled := map[string]map[string]bool{}
	for _, file := range files {
		handled[filepath.Dir(file)] = cases(t, filepath.Join(filepath.Dir(file), "actor.go"))
	}
	for _, file := range files {
		pkg := filepath.Dir(file)
		types := declared(t, file)
		for _, name := range slices.Sorted(maps.Keys(types)) {
			comment := types[name]
			if m := fromLine.FindStringSubmatch(comment); m != nil {
				if !handled[pkg][name] {
					t.Errorf("%s.%s has no case in Receive", pkg, name)
				}
				if _, known := types[m[2]]; m[2] != "" && !known {
					t.Errorf("%s.%s is answered by %s, which %s does not declare", pkg, name, m[2], file)
				}
				for _, from := range strings.Split(m[1], ", ") {
					list = append(list, message{from, pkg, name, m[2]})
				}
			}
			if m := toLine.FindStringSubmatch(comment); m != nil {
				for _, to := range strings.Split(m[1], ", ") {
					if !handled[to][pkg+"."+name] {
						t.Errorf("%s.%s has no case in Receive of %s", pkg, name, to)
					}
					list = append(list, message{pkg, to, pkg + "." + name, ""})
				}
			}
		}
	}
	return list
}

// declared are the exported types of a file with their comments.
func declared(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
			for _, s := range g.Specs {
				if name := s.(*ast.TypeSpec).Name; name.IsExported() {
					types[name.Name] = g.Doc.Text()
				}
			}
		}
	}
	return types
}

// cases are the types that the Receive of an actor.go handles, with or without
// a star.
func cases(t *testing.T, file string) map[string]bool {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]bool{}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Name.Name != "Receive" {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			if c, ok := n.(*ast.CaseClause); ok {
				for _, e := range c.List {
					types[typeName(e)] = true
				}
			}
			return true
		})
	}
	return types
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// spawned is an actor that some package starts: its kind, the path below its
// parent, and whether it has no parent.
type spawned struct {
	kind, path string
	top        bool
}

// tree finds every place where an actor is started.
func tree(t *testing.T) []spawned {
	t.Helper()
	files, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var list []spawned
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "supervise/") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			var s spawned
			ast.Inspect(fn, func(n ast.Node) bool {
				if set, ok := n.(*ast.AssignStmt); ok && typeName(set.Lhs[0]) == "name" {
					s.path = literal(set.Rhs[0]) // given to SpawnNamed below
				}
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				switch sel.Sel.Name {
				case "Props":
					s.kind = literal(call.Args[0])
				case "SpawnNamed":
					if path := literal(call.Args[1]); path != "" {
						s.path = path
					}
				case "WithGuardian":
					s.top = true
				}
				return true
			})
			if s.kind != "" {
				list = append(list, s)
			}
		}
	}
	slices.SortFunc(list, func(a, b spawned) int { return strings.Compare(a.path, b.path) })
	return list
}

// literal is the string that an expression is, or begins with.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.BinaryExpr:
		return literal(e.X)
	}
	return ""
}

func table(list []message) string {
	slices.SortFunc(list, func(a, b message) int {
		return strings.Compare(a.from+" "+a.to+" "+a.name, b.from+" "+b.to+" "+b.name)
	})
	var b strings.Builder
	b.WriteString("| from | to | message | answer |\n|---|---|---|---|\n")
	for _, m := range list {
		answer := m.answer
		if answer != "" {
			answer = "`" + answer + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | `%s` | %s |\n", m.from, m.to, m.name, answer)
	}
	return b.String()
}

// ofAgents are the actors that an agent starts; the others are a broker's.
var ofAgents = []string{"channel", "sink", "source"}

// parentOf is the actor that starts the one of this kind.
func parentOf(kind string) string {
	if slices.Contains(ofAgents, kind) {
		return "agent"
	}
	return "broker"
}

// named is a path as the tree shows it: those that end in a slash go on with a
// name.
func named(path string) string {
	if strings.HasSuffix(path, "/") {
		return path + "NAME"
	}
	return path
}

// edge is what stands before line i of n.
func edge(i, n int) string {
	if i == n-1 {
		return "└─"
	}
	return "├─"
}

func drawn(list []spawned) string {
	var b strings.Builder
	b.WriteString("```\nnode\n")
	var tops []spawned
	for _, s := range list {
		if s.top {
			tops = append(tops, s)
		}
	}
	for n, top := range tops {
		fmt.Fprintf(&b, "%s %s\n", edge(n, len(tops)), named(top.path))
		var children []string
		for _, s := range list {
			if !s.top && parentOf(s.kind) == top.kind {
				children = append(children, named(s.path))
			}
		}
		side := "   "
		if n < len(tops)-1 {
			side = "│  "
		}
		for i, c := range children {
			fmt.Fprintf(&b, "%s%s %s\n", side, edge(i, len(children)), c)
		}
	}
	p := supervise.Default
	fmt.Fprintf(&b, "```\n\nA part that fails runs again after %v, then twice as long, up to %v, with up to a\nfifth more. %d failures in a row leave it FAILED; %v without one end the row.\n", p.Min, p.Max, p.GiveUp, p.Calm)
	return b.String()
}

// The table and the tree of README.md are written from the code, so they are
// true as long as this passes. UPDATE=1 writes them anew.
func TestTheReadmeTellsWhoTalksToWhomAndWhoWatchesWhom(t *testing.T) {
	old, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	want := string(old)
	for name, text := range map[string]string{"conversation": table(spoken(t)), "tree": drawn(tree(t))} {
		begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
		from, to := strings.Index(want, begin), strings.Index(want, end)
		if from < 0 || to < from {
			t.Fatalf("README.md has no place for the %s", name)
		}
		want = want[:from+len(begin)] + text + want[to:]
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(old) {
		t.Errorf("README.md does not say what the code does (UPDATE=1 writes it anew); want\n%s", want)
	}
}

// A message that says nothing of itself would be missing in the table.
func TestEveryMessageHasItsPlaceInTheTable(t *testing.T) {
	told := map[string]bool{}
	for _, m := range spoken(t) {
		told[m.to+"."+m.name], told[m.to+"."+m.answer] = true, true
		told[m.name] = true // news to another package
	}
	files, _ := filepath.Glob("*/protocol.go")
	for _, file := range files {
		pkg := filepath.Dir(file)
		for name := range cases(t, filepath.Join(pkg, "actor.go")) {
			if token.IsExported(name) && !told[pkg+"."+name] {
				t.Errorf("%s.%s is handled, and its comment does not say who sends it", pkg, name)
			}
		}
	}
}
