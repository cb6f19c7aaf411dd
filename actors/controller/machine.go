package controller

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Settings are what holds for requests that do not say.
type Settings struct {
	NumPartitions int32
	Factor        int16
	// Clamp lowers a replication factor to the brokers there are, in place of
	// refusing it.
	Clamp bool
}

// Input is what a decision takes from outside, so that the same input always
// leads to the same decision.
type Input struct {
	NewID func() TopicID
}

// machine decides. head is the metadata with all that was decided and is not in
// the log yet; staged are those decisions. Nobody else sees head: what the log
// refuses is dropped and was never so.
type machine struct {
	settings Settings
	image    *Image
	head     *edit
	staged   []change
}

func newMachine(s Settings, image *Image) *machine {
	return &machine{settings: s, image: image, head: newEdit(image)}
}

// now is the metadata that the next decision builds on.
func (m *machine) now() *Image { return m.head.image }

// stage adds a decision.
func (m *machine) stage(c change) {
	m.head.apply(c)
	m.staged = append(m.staged, c)
}

// take is the batch of decisions so far; what follows belongs to the next one.
func (m *machine) take() (staged []change, head *Image) {
	staged, head = m.staged, m.head.image
	m.staged, m.head = nil, newEdit(head)
	return staged, head
}

// drop forgets all decisions that are not in the log.
func (m *machine) drop() { m.staged, m.head = nil, newEdit(m.image) }

// decide answers a request and stages what it changes.
func (m *machine) decide(request any, in Input) []Result {
	switch q := request.(type) {
	case CreateTopics:
		return m.createTopics(q, in)
	case DeleteTopics:
		return m.deleteTopics(q)
	case CreatePartitions:
		return m.createPartitions(q)
	case MoveReplicas:
		return m.moveReplicas(q)
	case AlterConfigs:
		return m.alterConfigs(q)
	case AlterQuotas:
		return m.alterQuotas(q)
	case UpdateFeatures:
		return m.updateFeatures(q)
	case AllocateProducers:
		return m.allocateProducers()
	case RegisterBroker:
		return m.registerBroker(q, in)
	case DeployTopology:
		return m.deploy(q)
	}
	panic(fmt.Sprintf("no decision on a %T", request))
}

// trial runs try on decisions that are thrown away afterwards.
func (m *machine) trial(try func()) {
	kept, staged := m.head, m.staged
	m.head, m.staged = newEdit(kept.image), nil
	try()
	m.head, m.staged = kept, staged
}

// producerBlock is how many producer ids are handed out at once.
const producerBlock = 1000

func (m *machine) allocateProducers() []Result {
	first := m.now().producers
	m.stage(change{Producers: &producersGiven{first + producerBlock}})
	return []Result{{First: first, Count: producerBlock}}
}

// featureLevels are the features and the highest level of each that is served.
var featureLevels = map[string]int16{"group.version": 1, "share.version": 1, "transaction.version": 2}

// SupportedFeatures are the features with the highest level that is served; all
// begin at 0.
func SupportedFeatures() map[string]int16 { return maps.Clone(featureLevels) }

func (m *machine) registerBroker(q RegisterBroker, in Input) []Result {
	if m.now().ClusterID == "" {
		m.stage(change{Cluster: &clusterMade{in.NewID().String()}})
		m.stage(change{Features: SupportedFeatures()})
	}
	b, known := m.now().Broker(q.Broker.Node)
	if known && q.Broker.Host == "" {
		q.Broker.Host, q.Broker.Port = b.Host, b.Port
	}
	if !known || b != q.Broker {
		m.stage(change{Broker: &q.Broker})
	}
	return []Result{{}}
}

func (m *machine) updateFeatures(q UpdateFeatures) []Result {
	results := make([]Result, len(q.Features))
	levels, good := map[string]int16{}, true
	for n, f := range q.Features {
		_, twice := levels[f.Name]
		if err := m.checkFeature(f, twice); err != nil {
			results[n].Err, good = err, false
		}
		levels[f.Name] = f.Level
	}
	if good && !q.ValidateOnly && len(levels) > 0 {
		m.stage(change{Features: levels})
	}
	return results
}

func (m *machine) checkFeature(f FeatureLevel, twice bool) error {
	highest, known := featureLevels[f.Name]
	has := m.now().features[f.Name]
	switch {
	case f.Name == "":
		return refuse(kerr.InvalidRequest, "a feature without a name")
	case twice:
		return refuse(kerr.InvalidRequest, "feature %s is named twice", f.Name)
	case !known:
		return refuse(kerr.InvalidUpdateVersion, "there is no feature %s; there are %s", f.Name, listed(slices.Sorted(maps.Keys(featureLevels))))
	case f.Level < 0 || f.Level > highest:
		return refuse(kerr.InvalidUpdateVersion, "feature %s has levels 0 to %d, not %d", f.Name, highest, f.Level)
	case f.Level < has && !f.Down:
		return refuse(kerr.InvalidUpdateVersion, "feature %s is at level %d; going down to %d must be asked for", f.Name, has, f.Level)
	case f.Level >= has && f.Down && f.Level != 0:
		return refuse(kerr.InvalidUpdateVersion, "feature %s is at level %d; %d is not below it", f.Name, has, f.Level)
	}
	return nil
}

func (m *machine) deploy(q DeployTopology) []Result {
	if m.now().deployed[q.Name] != q.Text {
		m.stage(change{Deployed: &topologyDeployed{q.Name, q.Text}})
	}
	return []Result{{}}
}

// setting is a setting of all brokers that may be changed at run time.
func (m *machine) setting(name string, otherwise int64) int64 {
	text, ok := m.now().configs[Resource{BrokerResource, ""}][name]
	if n, err := strconv.ParseInt(text, 10, 32); ok && err == nil {
		return n
	}
	return otherwise
}
