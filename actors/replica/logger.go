package replica

import (
	"context"
	"fmt"
	"log/slog"
)

// logger passes on what raft warns of. Its everyday remarks are for nobody.
type logger struct{ log *slog.Logger }

func (logger) Debug(...any)          {}
func (logger) Debugf(string, ...any) {}
func (logger) Info(...any)           {}
func (logger) Infof(string, ...any)  {}

func (l logger) Warning(v ...any)            { l.say(slog.LevelWarn, fmt.Sprint(v...)) }
func (l logger) Warningf(f string, v ...any) { l.say(slog.LevelWarn, fmt.Sprintf(f, v...)) }
func (l logger) Error(v ...any)              { l.say(slog.LevelError, fmt.Sprint(v...)) }
func (l logger) Errorf(f string, v ...any)   { l.say(slog.LevelError, fmt.Sprintf(f, v...)) }

// What raft cannot go on from fails its owner, which starts anew from the disk.
func (logger) Fatal(v ...any)            { panic(fmt.Sprint(v...)) }
func (logger) Fatalf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
func (logger) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (logger) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }

func (l logger) say(level slog.Level, text string) {
	l.log.Log(context.Background(), level, "raft", "says", text)
}
