package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/twmb/franz-go/pkg/kfake"
)

// serve runs one of the baselines at addr until the process is killed.
func serve(what, addr, dir string, sync bool) error {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	switch what {
	case "raw-file":
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		return serveRawFile(l, dir, sync)
	case "kfake", "kfake-disk":
		options := []kfake.Opt{kfake.Ports(port), kfake.NumBrokers(1)}
		if what == "kfake-disk" {
			options = append(options, kfake.DataDir(dir))
			if sync {
				options = append(options, kfake.SyncWrites())
			}
		}
		if _, err := kfake.NewCluster(options...); err != nil {
			return err
		}
	case "jetstream":
		s, err := server.NewServer(&server.Options{Host: host, Port: port, JetStream: true, StoreDir: dir, SyncAlways: sync, NoSigs: true})
		if err != nil {
			return err
		}
		go s.Start()
		if !s.ReadyForConnections(10 * time.Second) {
			return errors.New("jetstream is not ready after 10 s")
		}
	default:
		return fmt.Errorf("serve %q: want raw-file, kfake, kfake-disk or jetstream", what)
	}
	select {}
}

func fdatasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
