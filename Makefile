# make run     serve on loopback, with the demonstration page
# make test    run the tests; optional parts are skipped with a line that says how to get them
# make lint    style, types, content
# make bench   measure against the floor and the naive way
# make soak    half an hour of mixed load; SOAK_SECONDS=60 for a minute of it
# make golden  write fixtures/**/expected.json and fixtures/README.md anew, for review by diff
# make manual  write docs/clinical-manual.md and docs/onboarding-sheet.md anew
# make app     build the scripts of the pages from frontend/ into the package (needs npm)
# make fhir-server  install the FHIR server that integration tests read from (needs npm)
# make lock    resolve requirements/*.txt anew, with hashes

PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run test lint bench soak golden manual app fhir-server lock clean

run: .venv/run.done
	CDS_CLIENT_AUTH=$${CDS_CLIENT_AUTH-off} \
	CDS_ALLOWED_ORIGINS=$${CDS_ALLOWED_ORIGINS-https://sandbox.cds-hooks.org} $(BIN)/cds-service serve

test: .venv/dev.done
	$(BIN)/python -m pytest --cov --cov-report=term $(PYTEST_ARGS)

lint: .venv/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cds-service check-content

bench: .venv/dev.done
	$(BIN)/python benchmarks/run.py

soak: .venv/dev.done
	$(BIN)/python benchmarks/soak.py --seconds $(or $(SOAK_SECONDS),1800)

golden: .venv/dev.done
	$(BIN)/python tests/golden/write.py

manual: .venv/dev.done
	$(BIN)/cds-service manual > docs/clinical-manual.md
	$(BIN)/cds-service onboarding-sheet --url https://cds.example.org > docs/onboarding-sheet.md

app:
	cd frontend && npm ci --ignore-scripts --silent && npm run --silent build

fhir-server:
	cd tests/integration/fhir_server && npm ci --omit=dev --ignore-scripts --silent

lock:
	$(PYTHON) -m venv .venv/lock
	.venv/lock/bin/pip install --quiet uv
	.venv/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --no-strip-extras --generate-hashes \
	  --no-emit-index-url --no-header setup.cfg --output-file requirements/run.txt
	.venv/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --no-strip-extras --generate-hashes \
	  --no-emit-index-url --no-header --extra dev setup.cfg --output-file requirements/dev.txt

.venv/run.done: requirements/run.txt setup.cfg
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements/run.txt
	$(BIN)/pip install --quiet --no-deps -e .
	touch $@

.venv/dev.done: requirements/dev.txt setup.cfg
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@ .venv/run.done

clean:
	rm -rf .venv build dist *.egg-info .coverage
