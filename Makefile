# Short words for the common jobs; the build itself is CMake's (CMakePresets.json).
JOBS ?= $(shell nproc)

help:
	@echo 'make demo       install what is missing, build, and name the types of real files with a real model'
	@echo 'make test       install what is missing; lint, specs, sanitizers, fuzz targets (steps: make test STEPS="dev asan")'
	@echo 'make bench      build release and measure: calls beside Tarantool, cold start'
	@echo 'make paper      run the experiments of the paper in the simulator: build/paper/index.html, docs/paper.md (TRACE=file)'
	@echo 'make gpu-check  on a machine with a GPU: build, compare with host, measure (DRY=1: say what is missing)'
	@echo 'make gpu-carry  collect the Debian packages that make gpu-check needs elsewhere: build/gpu-carry'
	@echo 'make lint       formatting of C, luacheck of Lua'
	@echo 'make build      the release build alone: build/release/tidepool'
	@echo 'make clean      remove build/'

demo: build
	@cmake/demo.sh

build:
	@cmake/setup.sh build
	@JOBS=$(JOBS) cmake/build.sh

test:
	@cmake/setup.sh test
	@JOBS=$(JOBS) cmake/test.sh $(STEPS)

bench: build
	@cmake/setup.sh test
	@cmake/bench.sh

paper: build
	@mkdir -p build/paper docs/paper
	@build/release/tidepool paper --out build/paper $(if $(TRACE),--trace $(TRACE)) $(if $(ONLY),--only $(ONLY))
	@$(if $(ONLY),,cp build/paper/paper.md docs/paper.md && cp build/paper/*.svg docs/paper/)

gpu-check:
	@JOBS=$(JOBS) cmake/gpu_check.sh $(if $(DRY),--dry-run) $(if $(STANDIN),--standin)

gpu-carry:
	@cmake/gpu_carry.sh

lint:
	@cmake/lint.sh

clean:
	rm -rf build

.PHONY: help demo build test bench paper gpu-check gpu-carry lint clean
