package migrate

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"imapferry/internal/backend"
	"imapferry/state"
)

// Verify says which bodies are compared before the cutover.
type Verify string

// The choices of verify_bodies.
const (
	VerifyAll    Verify = "all"
	VerifySample Verify = "sample"
	VerifyNone   Verify = "none"
)

// Settings is the section [migrate] of the configuration.
type Settings struct {
	OnLogin        bool          `toml:"on_login"`        // a login makes a user known to the engine
	Only           []string      `toml:"only"`            // users or patterns (* and ?) that may be migrated; empty: all
	Cutover        Policy        `toml:"cutover"`         // live, idle or manual
	CutoverWindows []string      `toml:"cutover_windows"` // times of the day in which users may be switched; empty: always
	HoldBudget     time.Duration `toml:"hold_budget"`     // how long a cutover may hold sessions
	Workers        int           `toml:"workers"`         // users at once
	VerifyBodies   Verify        `toml:"verify_bodies"`   // all, sample or none
	Allow          []string      `toml:"allow"`           // exception classes that do not block the cutover
	Stragglers     time.Duration `toml:"stragglers"`      // for how long after the switch mail that the source still gets is brought over
	Exclude        []string      `toml:"exclude"`         // folders that are left out: names or patterns (* and %), or special uses
	Shared         bool          `toml:"shared"`          // folders of other users and public ones are copied too
}

// DefaultSettings returns the defaults.
func DefaultSettings() Settings {
	return Settings{OnLogin: true, Cutover: CutoverLive, HoldBudget: 3 * time.Second, Workers: 4, VerifyBodies: VerifySample, Stragglers: 30 * 24 * time.Hour}
}

// maxHoldBudget is how long clients can be expected to wait.
const maxHoldBudget = time.Minute

// Validate returns all that is wrong, each error beginning with the key.
func (s Settings) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("migrate."+key+": "+format, args...))
	}
	for _, p := range s.Only {
		if _, err := path.Match(p, ""); err != nil {
			bad("only", "%q is not a pattern; use * and ?", p)
		}
	}
	switch s.Cutover {
	case CutoverLive, CutoverIdle:
	case CutoverManual:
		if len(s.CutoverWindows) > 0 {
			bad("cutover_windows", "has no meaning with cutover = \"manual\", where an operator chooses the time; leave it out")
		}
	default:
		bad("cutover", "%q is not one of live, idle, manual", s.Cutover)
	}
	if _, err := parseWindows(s.CutoverWindows); err != nil {
		bad("cutover_windows", "%v", err)
	}
	if s.HoldBudget < 100*time.Millisecond || s.HoldBudget > maxHoldBudget {
		bad("hold_budget", "%s is not between 100ms and 1m", s.HoldBudget)
	}
	if s.Stragglers < 0 {
		bad("stragglers", "%s is not a time to come", s.Stragglers)
	}
	if s.Workers < 1 || s.Workers > 1000 {
		bad("workers", "%d is not between 1 and 1000", s.Workers)
	}
	switch s.VerifyBodies {
	case VerifyAll, VerifySample, VerifyNone:
	default:
		bad("verify_bodies", "%q is not one of all, sample, none", s.VerifyBodies)
	}
	for _, e := range s.Exclude {
		if err := checkExclude(e); err != nil {
			bad("exclude", "%v", err)
		}
	}
	for _, a := range s.Allow {
		if !slices.Contains(allowClasses, a) {
			bad("allow", "%q is no exception class; there are %s", a, strings.Join(allowClasses, ", "))
		}
	}
	return errors.Join(errs...)
}

// admits reports whether user may be migrated.
func (s Settings) admits(user string) bool {
	if len(s.Only) == 0 {
		return true
	}
	for _, p := range s.Only {
		if ok, _ := path.Match(p, user); ok {
			return true
		}
	}
	return false
}

func (s Settings) allows(class string) bool {
	return slices.Contains(s.Allow, class)
}

// TargetSettings are the keys of [target] beside those of [source].
type TargetSettings struct {
	Adapter       string         `toml:"adapter"`         // auto, dovecot or imap
	DoveadmURL    string         `toml:"doveadm_url"`     // http://host:8080/doveadm/v1
	DoveadmAPIKey backend.Secret `toml:"doveadm_api_key"` // the server's doveadm_api_key
	WorkerURL     string         `toml:"worker_url"`      // another listener of the same target for workers; empty: target.url
}

// DefaultTargetSettings returns the defaults.
func DefaultTargetSettings() TargetSettings { return TargetSettings{Adapter: "auto"} }

// Validate returns all that is wrong, each error beginning with the key.
func (t TargetSettings) Validate() error {
	_, err := t.adapter()
	return err
}

// adapter chooses by what is configured: auto is dovecot if there is a doveadm_url.
func (t TargetSettings) adapter() (adapter, error) {
	switch t.Adapter {
	case "imap":
		return imapAdapter{}, nil
	case "dovecot":
		if t.DoveadmURL == "" {
			return nil, errors.New("target.doveadm_url: missing; adapter = \"dovecot\" needs it")
		}
	case "auto":
		if t.DoveadmURL == "" {
			return imapAdapter{}, nil
		}
	default:
		return nil, fmt.Errorf("target.adapter: %q is not one of auto, dovecot, imap", t.Adapter)
	}
	return newDovecotAdapter(t.DoveadmURL, t.DoveadmAPIKey)
}

// Probe tries the adapter and tells which it is and what fidelity results.
func (t TargetSettings) Probe(ctx context.Context) (name string, f state.Fidelity, err error) {
	a, err := t.adapter()
	if err != nil {
		return "", "", err
	}
	if d, ok := a.(*dovecotAdapter); ok {
		err = d.probe(ctx)
	}
	return a.name(), a.fidelity(), err
}
