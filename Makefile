# vdb_ext: `make demo` shows it, `make check` tests it, `make install` puts it into PostgreSQL.
#
# Two parts. The first drives everything; the second, entered by recursion with VDB_MODULE set and
# in a directory below build/, is an ordinary PGXS makefile that builds and installs the module.

PG_CONFIG ?= pg_config
BUILD := build
CORE := $(CURDIR)/$(BUILD)/core
TOOLS := test/tools
SOURCES = $(shell find src test -name '*.h' -o -name '*.cpp')

ifndef VDB_MODULE

MODULE = mkdir -p $(BUILD)/module && $(1) $(MAKE) --no-print-directory $(PARALLEL) \
	-C $(BUILD)/module -f $(CURDIR)/Makefile VDB_MODULE=release VDB_CORE=$(CORE)
PARALLEL = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
# Root's rights are needed only to write into the system's directories.
SUDO := $(if $(or $(DESTDIR),$(filter 0,$(shell id -u))),,sudo)

.DEFAULT_GOAL := all
.PHONY: all deps configure core install uninstall dev demo check bench bench-docs fuzz sanitize
.PHONY: unit format tidy layers test-list clean

## all: the module, in build/module
all: configure
	@cmake --build $(CORE) --target vdbcore
	@$(call MODULE) all

## deps: installs the Debian packages that are missing
deps:
	@$(TOOLS)/deps.sh

configure:
	@[ -f $(CORE)/build.ninja -a -z "$(CMAKE_ARGS)" ] || cmake -S . -B $(CORE) -G Ninja $(CMAKE_ARGS)

## core: libvdbcore.a and the unit tests, in build/core
core: configure
	@cmake --build $(CORE)

## install: into the PostgreSQL that PG_CONFIG names (DESTDIR works)
install: all
	@$(call MODULE,$(SUDO)) DESTDIR=$(DESTDIR) install

uninstall:
	@$(call MODULE,$(SUDO)) DESTDIR=$(DESTDIR) uninstall

## dev: what to run while writing: unit tests, then the SQL tests
dev: deps
	@$(TOOLS)/check.py build unit regress

## demo: 20,000 sentences, an index, questions, figures
demo: deps
	@$(MAKE) --no-print-directory all
	@$(TOOLS)/demo.py

## check: every test; `$(TOOLS)/check.py STAGE...` runs some
check: deps
	@$(TOOLS)/check.py

## bench: searches, builds and upkeep beside their peers; BENCH="--quick --million", see run.py
bench:
	@$(TOOLS)/deps.sh bench
	@$(MAKE) --no-print-directory configure CMAKE_ARGS=-DVDB_BENCH=ON
	@cmake --build $(CORE) --target benches
	@$(MAKE) --no-print-directory all
	@test/bench/run.py $(BENCH)

## bench-docs: bench, and its figures into docs/performance.md
bench-docs:
	@$(MAKE) --no-print-directory bench BENCH="--docs $(BENCH)"

unit: core
	@cd $(CORE) && ctest -j2 --output-on-failure

## fuzz: each parser's fuzzer for VDB_FUZZ_SECONDS
fuzz: deps
	@$(TOOLS)/check.py asan fuzz

## sanitize: the core under ASan + UBSan and under TSan, the module under UBSan
sanitize: deps
	@$(TOOLS)/check.py asan tsan ubsan

## format: rewrites the sources with clang-format
format:
	clang-format-14 -i $(SOURCES)

tidy: deps
	@$(TOOLS)/check.py tidy

layers:
	@$(TOOLS)/check_layers.py

## test-list: the list of tests in docs/testing.md
test-list:
	@$(TOOLS)/list_tests.py

clean:
	rm -rf $(BUILD)

else

# The directory of this file: PGXS takes it for VPATH, too.
TOP := $(patsubst %/,%,$(dir $(abspath $(firstword $(MAKEFILE_LIST)))))
MODULE_big = vdb_ext
EXTENSION = vdb_ext
DATA = $(notdir $(wildcard $(TOP)/vdb_ext--*.sql))
OBJS := $(patsubst $(TOP)/%.cpp,%.o,$(sort $(shell find $(TOP)/src/pg -name '*.cpp')))
PGFILEDESC = "vdb_ext - vector index access method"

# The shared libraries that libvdbcore.a calls.
CORE_LIBS := $(shell pkg-config --libs libhwy libcbor libsodium libcurl) \
	$(shell pkg-config --libs --silence-errors libblake3)
PG_CPPFLAGS = -I$(TOP)/src -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CXXFLAGS = -std=c++20 -fvisibility=hidden -fvisibility-inlines-hidden -Wall -Wextra -Wshadow \
	-Wno-register $(VDB_CXXFLAGS)
SHLIB_LINK = $(VDB_CORE)/libvdbcore.a $(CORE_LIBS) -lstdc++ -Wl,--exclude-libs,ALL $(VDB_LDFLAGS)
# The bitcode step ignores PG_CXXFLAGS, and nothing here gains from being inlined into a query.
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# PostgreSQL 16 gives PGDLLEXPORT its meaning; before, hidden visibility hides even the magic block.
ifneq ($(filter 13 14 15,$(MAJORVERSION)),)
PG_EXPORT = '-DPGDLLEXPORT=__attribute__((visibility("default")))'
endif

# With its own dependency tracking, so that a changed header rebuilds what includes it.
%.o: %.cpp
	@mkdir -p $(@D)
	@echo "CXX $@"
	@$(CXX) $(CXXFLAGS) $(CPPFLAGS) $(PG_EXPORT) -fPIC -MMD -MP -c -o $@ $<

vdb_ext.so: $(VDB_CORE)/libvdbcore.a
-include $(OBJS:.o=.d)

endif
