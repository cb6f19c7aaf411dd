package source

import (
	"fmt"

	"github.com/sluicehq/sluice/topologies"
)

// makers lists every source by the name of its kind in topologies/kinds.
var makers = map[string]func(topologies.Settings, Env) (Source, error){
	"http":      newHTTP,
	"exec":      newExec,
	"kafka":     newKafka,
	"netcat":    newNetcat,
	"seq":       newSeq,
	"spooldir":  newSpooldir,
	"stress":    newStress,
	"syslogtcp": newSyslogTCP,
	"syslogudp": newSyslogUDP,
	"taildir":   newTaildir,
}

// New makes the source whose kind the settings are of.
func New(settings topologies.Settings, env Env) (Source, error) {
	kind := settings.Kind()
	if kind == nil || makers[kind.Name] == nil {
		return nil, fmt.Errorf("%s: no source of this kind", settings.Name())
	}
	return makers[kind.Name](settings, env)
}
