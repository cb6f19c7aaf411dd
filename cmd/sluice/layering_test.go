package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// layers is the import order of the repository, lowest first. A package imports
// from the lines above its own, and nothing else of ours. A new package gets a
// place here; choosing it is choosing what the package may know.
var layers = [][]string{
	{"persistence/record", "topologies/kinds", "topologies/configs"},
	{"persistence/segment", "topologies"},
	{"persistence", "topologies/flume"},
	{"persistence/partitionlog", "persistence/channelstate", "persistence/offsets", "topologies/load", "topologies/clientprops"},
	{"persistence/raftstate", "topologies/examples"},
	{"actors/ask", "actors/inbox", "actors/supervise"},
	{"actors/replica"},
	{"actors/partition"},
	{"actors/controller"},
	{"actors/group", "actors/txn"},
	{"actors/producer", "actors/consumer", "actors/share"},
	{"actors/channel"},
	{"actors/source/interceptor", "actors/channel/channeltest"},
	{"actors/source", "actors/sink"},
	{"actors/agent", "actors/broker", "actors/source/sourcetest", "actors/sink/sinktest", "actors"},
	{"runtime/config", "runtime/transport", "actors/broker/brokertest"},
	{"runtime/kafka", "runtime/fault"},
	{"runtime/admin"},
	{"runtime/node"},
	{"cmd/sluice"},
}

const (
	module     = "github.com/sluicehq/sluice"
	protoactor = "github.com/asynkron/protoactor-go"
)

func TestImportsGoDownTheLayers(t *testing.T) {
	level := map[string]int{}
	for i, layer := range layers {
		for _, pkg := range layer {
			level[pkg] = i
		}
	}
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkg := strings.TrimPrefix(words[0], module+"/")
		from, known := level[pkg]
		outside := strings.HasPrefix(pkg, "e2e")
		if !known && !outside {
			t.Errorf("%s is in no layer: give it a line", pkg)
			continue
		}
		seen++
		for _, path := range words[1:] {
			imported, ours := strings.CutPrefix(path, module+"/")
			switch to, ok := level[imported]; {
			case !ours || pkg == "cmd/sluice" && (imported == "e2e/check" || imported == "e2e/gen"):
			case outside && strings.HasPrefix(imported, "e2e/"):
			case outside:
				t.Errorf("%s imports %s, but what stands outside imports nothing of ours", pkg, imported)
			case !ok || to >= from:
				t.Errorf("%s imports %s, which is not below it", pkg, imported)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d packages were looked at", seen)
	}
}

// sources calls look with every Go file of the repository.
func sources(t *testing.T, look func(path string, file *ast.File, at func(ast.Node) token.Position)) {
	t.Helper()
	root, n := filepath.Join("..", ".."), 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		n++
		name, _ := filepath.Rel(root, path)
		look(filepath.ToSlash(name), file, func(n ast.Node) token.Position {
			at := files.Position(n.Pos())
			at.Filename = name
			return at
		})
		return nil
	})
	if err != nil || n < 20 {
		t.Fatalf("looked at %d files: %v", n, err)
	}
}

// importName is the name under which file uses the package at path, "" when it
// does not.
func importName(file *ast.File, path string) string {
	for _, i := range file.Imports {
		if p, _ := strconv.Unquote(i.Path.Value); p == path {
			if i.Name != nil {
				return i.Name.Name
			}
			return path[strings.LastIndexByte(path, '/')+1:]
		}
	}
	return ""
}

// selected calls found for each use of pkg.name in file.
func selected(file *ast.File, pkg string, names []string, found func(*ast.SelectorExpr)) {
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, isName := s.X.(*ast.Ident)
		for _, name := range names {
			if s.Sel.Name == name && (pkg == "" || isName && x.Name == pkg) {
				found(s)
			}
		}
		return true
	})
}

// The state of an actor belongs to it alone. Where a lock seems to be needed, a
// message is missing.
func TestNoActorHasALock(t *testing.T) {
	sources(t, func(path string, file *ast.File, at func(ast.Node) token.Position) {
		if pkg := importName(file, "sync"); pkg != "" && strings.HasPrefix(path, "actors/") && strings.HasSuffix(path, "/actor.go") {
			selected(file, pkg, []string{"Mutex", "RWMutex"}, func(s *ast.SelectorExpr) {
				t.Errorf("%s: a %s in an actor", at(s), s.Sel.Name)
			})
		}
	})
}

// Protoactor's futures race when they time out; actors/ask waits instead.
func TestNobodyUsesProtoactorsFutures(t *testing.T) {
	sources(t, func(path string, file *ast.File, at func(ast.Node) token.Position) {
		if importName(file, protoactor+"/actor") == "" {
			return
		}
		selected(file, "", []string{"RequestFuture", "NewFuture", "AwaitFuture", "ReenterAfter", "StopFuture", "PoisonFuture"}, func(s *ast.SelectorExpr) {
			t.Errorf("%s: %s is a future of protoactor; ask with actors/ask", at(s), s.Sel.Name)
		})
	})
}

// What happens before main is seen by nobody: tables are literals, and main says
// what is started.
func TestNoPackageHasAnInit(t *testing.T) {
	sources(t, func(_ string, file *ast.File, at func(ast.Node) token.Position) {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init", at(f))
			}
		}
	})
}

// A test that sleeps and hopes is slow and fails on a busy machine. Inside
// synctest.Test the clock is the test's own, and sleeping takes no time.
func TestNoTestSleepsOutsideABubble(t *testing.T) {
	sources(t, func(path string, file *ast.File, at func(ast.Node) token.Position) {
		pkg := importName(file, "time")
		if pkg == "" || !strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "e2e/") || importName(file, "testing/synctest") != "" {
			return
		}
		selected(file, pkg, []string{"Sleep"}, func(s *ast.SelectorExpr) {
			t.Errorf("%s: time.Sleep in a test; wait for what is meant, or use testing/synctest", at(s))
		})
	})
}

// Protoactor is frozen and has traps, so few packages know it.
func TestOnlyActorsKnowProtoactor(t *testing.T) {
	sources(t, func(path string, file *ast.File, at func(ast.Node) token.Position) {
		for _, may := range []string{"actors/", "runtime/transport/", "runtime/node/"} {
			if strings.HasPrefix(path, may) {
				return
			}
		}
		for _, i := range file.Imports {
			if p, _ := strconv.Unquote(i.Path.Value); strings.HasPrefix(p, protoactor) {
				t.Errorf("%s: imports %s", at(i), p)
			}
		}
	})
}
