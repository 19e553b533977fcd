package main

import (
	"errors"
	"fmt"
	"time"
)

type migrateSettings struct {
	OnLogin      bool          `toml:"on_login"`
	Only         []string      `toml:"only"`
	Cutover      string        `toml:"cutover"`
	HoldBudget   time.Duration `toml:"hold_budget"`
	Workers      int           `toml:"workers"`
	VerifyBodies string        `toml:"verify_bodies"`
	Allow        []string      `toml:"allow"`
}

func defaultMigrateSettings() migrateSettings {
	return migrateSettings{OnLogin: true, Cutover: "live", HoldBudget: 3 * time.Second, Workers: 4, VerifyBodies: "sample"}
}

func (s migrateSettings) Validate() error {
	var errs []error
	if s.Cutover != "live" {
		errs = append(errs, fmt.Errorf("migrate.cutover: %q is not live", s.Cutover))
	}
	return errors.Join(errs...)
}

type targetSettings struct {
	Adapter       string   `toml:"adapter"`
	DoveadmURL    string   `toml:"doveadm_url"`
	DoveadmAPIKey stateURL `toml:"doveadm_api_key"`
	WorkerURL     string   `toml:"worker_url"`
}

func (targetSettings) Validate() error { return nil }
