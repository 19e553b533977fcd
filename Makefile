# `make test` is what the continuous integration runs.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build demo test lint deps bench bench-migrate

build:
	go build -trimpath -o imapferry ./cmd/imapferry

demo:
	go run ./cmd/imapferry demo $(DEMO_FLAGS)

# The nested module holds tests that need a whole ACME server, whose dependencies the product must not have.
test: deps lint
	cd tls/acmetest && go vet ./... && go test -race ./...
	go test -race ./...

lint:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

# Real servers, which tests start on loopback.
deps:
	@.ci/deps

bench:
	go test -run '^$$' -bench . ./...

# One table: the engine beside doveadm backup, mbsync and a bare pipe, on real servers.
bench-migrate: deps
	go test -run '^$$' -bench Migrate -benchtime 1x ./migrate
