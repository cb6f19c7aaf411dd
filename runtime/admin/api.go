package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sluicehq/sluice/topologies"
)

// snapshot is the node's status with what is deployed.
func (s *Server) snapshot() Status {
	st := s.o.Node.Status()
	st.Deployed = s.o.Deployments.List()
	st.Addresses = s.Addresses()
	return st
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, s.snapshot())
}

func (s *Server) topologies(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, s.o.Deployments.List())
}

// Outcome is the answer to plan, deploy and reload.
type Outcome struct {
	Plan   topologies.Plan    `json:"plan"`
	Faults []topologies.Fault `json:"faults,omitempty"` // warnings and notes
}

func (s *Server) plan(w http.ResponseWriter, r *http.Request) {
	var d Definition
	if !read(w, r, &d) {
		return
	}
	plan, faults, err := s.o.Deployments.Plan(d)
	conclude(w, Outcome{plan, faults}, err)
}

func (s *Server) deploy(w http.ResponseWriter, r *http.Request) {
	var d Definition
	if !read(w, r, &d) {
		return
	}
	plan, faults, err := s.o.Deployments.Deploy(r.Context(), d, FromAPI)
	conclude(w, Outcome{plan, faults}, err)
}

// named is a request that concerns one thing.
type named struct {
	Name string `json:"name"`
}

func (s *Server) undeploy(w http.ResponseWriter, r *http.Request) {
	var n named
	if read(w, r, &n) {
		conclude(w, struct{}{}, s.o.Deployments.Undeploy(r.Context(), n.Name))
	}
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	var n named
	if !read(w, r, &n) {
		return
	}
	plan, err := s.o.Deployments.Reload(r.Context(), n.Name)
	conclude(w, Outcome{Plan: plan}, err)
}

func (s *Server) actors(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, s.o.Node.ActorTree())
}

func (s *Server) actor(w http.ResponseWriter, r *http.Request) {
	n, err := s.o.Node.InspectActor(r.URL.Query().Get("path"))
	conclude(w, n, err)
}

func (s *Server) restartActor(w http.ResponseWriter, r *http.Request) {
	s.disturb(w, r, s.o.Node.RestartActor)
}

func (s *Server) killActor(w http.ResponseWriter, r *http.Request) {
	s.disturb(w, r, s.o.Node.KillActor)
}

func (s *Server) disturb(w http.ResponseWriter, r *http.Request, do func(path string) error) {
	var n named
	if read(w, r, &n) {
		conclude(w, struct{}{}, do(n.Name))
	}
}

// read takes the request's body, exactly one JSON value of v's form.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("there is more behind the JSON value")
		}
	}
	if err == nil {
		return true
	}
	code := http.StatusBadRequest
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		code = http.StatusRequestEntityTooLarge
	}
	refuse(w, code, fmt.Errorf("request body: %w", err))
	return false
}

func answer(w http.ResponseWriter, code int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(text, '\n'))
}

// Problem is the body of every answer that is an error.
type Problem struct {
	Error string `json:"error"`
	// Kind names the errors that a client tells apart.
	Kind   string             `json:"kind,omitempty"`
	Faults []topologies.Fault `json:"faults,omitempty"`
}

// problems pairs errors with their HTTP status and their name in a Problem.
var problems = []struct {
	err  error
	kind string
	code int
}{
	{ErrNotFound, "not-found", http.StatusNotFound},
	{ErrNoChaos, "no-chaos", http.StatusForbidden},
	{ErrBadConfig, "bad-config", http.StatusUnprocessableEntity},
	{ErrDraining, "draining", http.StatusServiceUnavailable},
}

func conclude(w http.ResponseWriter, v any, err error) {
	if err == nil {
		answer(w, http.StatusOK, v)
		return
	}
	code := http.StatusInternalServerError
	for _, p := range problems {
		if errors.Is(err, p.err) {
			code = p.code
		}
	}
	refuse(w, code, err)
}

func refuse(w http.ResponseWriter, code int, err error) {
	p := Problem{Error: err.Error()}
	for _, known := range problems {
		if errors.Is(err, known.err) {
			p.Kind = known.kind
		}
	}
	var bad *ConfigError
	if errors.As(err, &bad) {
		p.Error, p.Faults = bad.Why, bad.Faults
	}
	answer(w, code, p)
}
