package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/actors/agent"
)

// verdict is how a demo ended.
type verdict struct {
	Written    int          `json:"written"`
	Lost       int          `json:"lost"`
	Duplicates int          `json:"duplicates"`
	Foreign    int          `json:"foreign"` // records in the topic that nobody wrote
	Kills      int          `json:"kills"`
	Back       int          `json:"back"` // of the parts killed
	Ledger     agent.Ledger `json:"ledger"`
	Topic      topicLedger  `json:"topic"`
	Balanced   bool         `json:"balanced"`
	Good       bool         `json:"good"`
	Dir        string       `json:"dir,omitempty"` // where everything is kept
}

func (v verdict) String() string {
	word, balance, kept := "good", "the ledger balances", ""
	if !v.Good {
		word = "BAD"
	}
	if !v.Balanced {
		balance = fmt.Sprintf("the ledger does not balance: agent %+v, topic %+v", v.Ledger, v.Topic)
	}
	if v.Foreign > 0 {
		balance += fmt.Sprintf("; %d records that nobody wrote", v.Foreign)
	}
	if v.Dir != "" {
		kept = "; kept in " + v.Dir
	}
	return fmt.Sprintf("verdict: %s: written %d, stored %d, read by the group %d, lost %d duplicates %d; %s killed, %d came back; %s%s",
		word, v.Written, v.Topic.Stored, v.Topic.Committed, v.Lost, v.Duplicates, plural(v.Kills, "part"), v.Back, balance, kept)
}

// finishWait is how long the agent and the group have for what is left when the
// load ends.
const finishWait = 30 * time.Second

// finish ends the load, waits for the last line, counts every record of the
// topic, and stops the node.
func (d *demo) finish() (verdict, error) {
	written, err := d.load.finish()
	if err != nil {
		return verdict{}, d.process.fail(err)
	}
	deadline := time.After(finishWait)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
waiting:
	for d.watched != nil || d.counts().delivered < int64(written) {
		select {
		case <-deadline:
			break waiting
		case <-look.C:
			d.lookForVictim()
		}
	}
	l := d.process.node.Status().Ledger
	ctx, cancel := context.WithTimeout(context.Background(), finishWait)
	defer cancel()
	t, topic, err := d.topic.finish(ctx)
	if err != nil {
		return verdict{}, d.process.fail(err)
	}
	if err := d.process.stop(ctx); err != nil {
		return verdict{}, err
	}
	v := verdict{Written: written, Lost: t.lost(written), Duplicates: t.duplicates(), Foreign: t.foreign + max(len(t.seen)-written, 0),
		Kills: d.kills, Back: d.back, Ledger: l, Topic: topic}
	v.Balanced = l.Unaccounted == 0 && l.Held == 0 && l.Received == int64(written) && l.Delivered == int64(written) &&
		topic.Stored == int64(written) && topic.Lag == 0
	v.Good = v.Lost == 0 && v.Duplicates == 0 && v.Foreign == 0 && v.Balanced && v.Kills == v.Back
	if d.f.keep {
		v.Dir = d.dir
	}
	return v, nil
}
