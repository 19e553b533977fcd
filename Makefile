# `make test` is what the continuous integration runs.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build demo test soak soak-engine soak-sessions soak-fleet soak-fuzz model guards lint deps bench bench-migrate bench-huge bench-proxy bench-move bench-fleet

build:
	go build -trimpath -o imapferry ./cmd/imapferry

demo:
	go run ./cmd/imapferry demo $(DEMO_FLAGS)

# The nested module holds tests that need a whole ACME server, whose dependencies the product must not have.
test: deps lint model
	cd tls/acmetest && go vet ./... && go test -race ./...
	go test -race -timeout 20m ./...

# What `make test` samples, whole. Each of the four parts takes at most half an hour on two cores, with nothing beside it.
soak: soak-engine soak-sessions soak-fleet soak-fuzz

# Every failure of every step, and SOAK seeds of accounts that change under the engine.
SOAK = 10
soak-engine: deps
	$(call soak,$(SOAK),./migrate,Every|Cut|TestRandom|TestQresync|TestTorture)
	$(call soak,$(SOAK),./cmd/imapferry,TestRandomClients|TestDeliveriesOnce)

# Clients moved at every command of theirs and in every state, and SESSIONS_SOAK seeds of 500 random sessions.
SESSIONS_SOAK = 20
soak-sessions: deps
	$(call soak,$(SESSIONS_SOAK),./cmd/imapferry ./internal/imapmodel,TestMoved|TestRandomSessions|TestRandomNoFalseAlarm)

# Three nodes and 200 users while everything fails that can, once on each kind of Redis.
FLEET_SOAK = 3
soak-fleet: deps
	$(call soak,$(FLEET_SOAK),./cmd/imapferry,TestFleet)

# Five minutes for each target.
soak-fuzz:
	.ci/fuzz 5m

# $(call soak,seeds,packages,tests) prints how each test ended, and what it counted. All of it is in soak.out.
soak = IMAPFERRY_SOAK=$(1) go test -count=1 -timeout 40m -v -run '$(3)' $(2) >soak.out; status=$$?; \
	grep -e '^--- ' -e '^ok' -e '^FAIL' -e 'all [0-9]' -e 'changes$$' -e 'deliveries,' -e 'sessions moved' -e 'moved at' -e 'seed .* users, ' -e 'by writers' -e 'by operators' soak.out; exit $$status

# The cutover and the journals as models (state/model): every state within bounds, and every guard taken out once. Some 40 seconds on
# two cores.
model:
	@.ci/deps model
	@.ci/model

# Whether tests defend the invariants: takes out each guard that .ci/guards.txt lists, one at a time, and demands that the test named with
# it fails. `.ci/guards list` prints the table. Takes some ten minutes.
guards: deps
	@.ci/guards

lint:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

# Real servers, which tests start on loopback.
deps:
	@.ci/deps

bench:
	go test -run '^$$' -bench . -skip 'BenchmarkHuge|BenchmarkMove$$|BenchmarkMillion|BenchmarkProxy' ./...

# One table: the engine beside doveadm backup, mbsync and a bare pipe, on real servers.
bench-migrate: deps
	go test -run '^$$' -bench Migrate -benchtime 1x -timeout 30m ./migrate ./cmd/imapferry

# How long a user with 200,000 messages in 2,000 folders is held, from Dovecot and from Courier. Takes some ten minutes.
bench-huge: deps
	go test -run '^$$' -bench Huge -benchtime 1x -timeout 60m ./migrate

# One table: imapferry as a proxy beside nginx, Dovecot, HAProxy and a plain copy loop. Some five minutes on a quiet machine.
# FIGURE (noop, fetch, login, memory) and PEERS bound it; see cmd/imapferry/proxybench/doc.go.
bench-proxy:
	@.ci/deps bench-proxy
	@IMAPFERRY_BENCH_PEERS=$(PEERS) IMAPFERRY_BENCH_ROUNDS=$(ROUNDS) IMAPFERRY_BENCH_SESSIONS=$(SESSIONS) \
		go test -run '^$$' -bench 'Proxy/$(FIGURE)' -benchtime 1x -timeout 30m ./cmd/imapferry/proxybench

# How long clients wait because their sessions move: a histogram over 201 moves, in multiples of what nobody can do without.
bench-move: deps
	go test -run '^$$' -bench 'Move$$' -benchtime 1x -timeout 60m ./cmd/imapferry

# Two tables: what a user costs in a store that has a million of them, beside one that has a thousand. Fails if it is more than twice
# as much. Takes some five minutes, most of which fill the stores.
bench-fleet: deps
	go test -run '^$$' -bench Million -benchtime 1x -timeout 30m ./state/...
