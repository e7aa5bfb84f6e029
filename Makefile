# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#
# make help says what there is. Guests and tests need nothing from the targets of a
# real host (modules, provider, install) and the other way round.

KDIR	?= /lib/modules/$(shell uname -r)/build
DESTDIR	?=
PREFIX	?= /usr
OUT	:= $(CURDIR)/build

.PHONY: help demo check lint modules provider headers install uninstall clean
.DEFAULT_GOAL := help

help:
	@echo 'In guests (as root; what is missing is installed, kept in $$MIRAGE_CACHE or /var/cache/mirage):'
	@echo '  make demo        stock perftest over mirage and Soft-RoCE in a guest, as a table'
	@echo '  make check       every test; ends with "N passed, N failed, N skipped"'
	@echo '                   (tests/check --list, tests/check SUITE@KERNEL for some of them)'
	@echo '  make lint        rooms, names, kernel-doc, checkpatch, sparse, W=1 (part of make check)'
	@echo 'On this machine:'
	@echo '  make modules     kernel/mirage.ko, kernel/mirror.ko [KDIR=kernel headers] [W=1]'
	@echo '  make provider    the libibverbs provider [RDMA_CORE=rdma-core source of the installed version]'
	@echo '  make install     both of them and the headers [DESTDIR=] [PREFIX=/usr]'
	@echo '  make uninstall   takes them away again'
	@echo '  make clean       what the last four left here'

demo:
	@tests/vm/build default user
	@perftest/run --short --out $(OUT)/demo

check:
	@tests/check

lint:
	@tests/vm/build source exec tests/lint/run

headers:
	@[ -e '$(KDIR)/Makefile' ] || { echo 'mirage: no kernel headers at $(KDIR): apt-get install linux-headers-$(shell uname -r), or give KDIR='; exit 1; }

modules: headers
	$(MAKE) -C kernel KDIR='$(KDIR)' modules

# Named in one line rather than found out by cmake one after the other.
provider:
	@for tool in cmake:cmake ninja:ninja-build cc:gcc pkg-config:pkgconf python3:python3; do \
		command -v $${tool%%:*} >/dev/null || missing="$$missing $${tool#*:}"; done; \
	for header in libnl3/netlink/netlink.h:libnl-3-dev libnl3/netlink/route/route.h:libnl-route-3-dev libudev.h:libudev-dev; do \
		[ -e /usr/include/$${header%%:*} ] || missing="$$missing $${header#*:}"; done; \
	[ -z "$$missing" ] || { echo "mirage: missing packages:$$missing; apt-get install$$missing"; exit 1; }
	@source='$(RDMA_CORE)'; [ "$$source" ] || source=$$(tests/vm/build host-rdma-core) && \
		tests/vm/build-provider "$$source" $(OUT)/rdma-core $(OUT)/provider

# Recursive on purpose: only install and uninstall pay for asking.
RELEASE	= $(shell $(MAKE) -s --no-print-directory -C '$(KDIR)' kernelrelease 2>/dev/null)
MODULES	= $(DESTDIR)/lib/modules/$(RELEASE)/updates
PLUGINS	= $(DESTDIR)$(PREFIX)/lib/$(shell cc -print-multiarch 2>/dev/null || gcc -print-multiarch)/libibverbs
HEADERS	= $(DESTDIR)$(PREFIX)/include/mirage

install: headers
	@[ -e kernel/mirage.ko ] && [ -e kernel/mirror.ko ] || { echo 'mirage: no kernel/mirage.ko: make modules first'; exit 1; }
	@[ -e $(OUT)/provider/mirage.driver ] || { echo 'mirage: no provider: make provider first'; exit 1; }
	install -d '$(MODULES)' '$(PLUGINS)' '$(DESTDIR)/etc/libibverbs.d' '$(HEADERS)'
	install -m 644 kernel/mirror.ko kernel/mirage.ko '$(MODULES)'
	install -m 644 $(OUT)/provider/libmirage-*.so '$(PLUGINS)'
	install -m 644 $(OUT)/provider/mirage.driver '$(DESTDIR)/etc/libibverbs.d'
	install -m 644 include/mirage-abi.h include/mirror.h '$(HEADERS)'
	@[ '$(DESTDIR)' ] || depmod -a '$(RELEASE)'

uninstall: headers
	rm -f '$(MODULES)/mirage.ko' '$(MODULES)/mirror.ko' '$(PLUGINS)'/libmirage-rdmav*.so '$(DESTDIR)/etc/libibverbs.d/mirage.driver'
	rm -f '$(HEADERS)/mirage-abi.h' '$(HEADERS)/mirror.h'
	@rmdir --ignore-fail-on-non-empty '$(HEADERS)' 2>/dev/null || true
	@[ '$(DESTDIR)' ] || depmod -a '$(RELEASE)'

clean:
	@[ ! -e '$(KDIR)/Makefile' ] || $(MAKE) -C kernel KDIR='$(KDIR)' clean
	rm -rf $(OUT)
