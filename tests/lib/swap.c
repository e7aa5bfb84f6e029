// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <stdio.h>
#include <stdlib.h>
#include <sys/swap.h>
#include <unistd.h>

#include "swap.h"

#define DISK	"/dev/swapdisk"

static char path[64];
static bool is_file;

static bool swap_is_on(void)
{
	FILE *f = fopen("/proc/swaps", "r");
	char line[256];
	int lines = 0;

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		lines++;
	fclose(f);
	return lines > 1;
}

bool swap_on(size_t bytes)
{
	char cmd[256];

	if (swap_is_on())
		return true;
	is_file = access(DISK, W_OK);
	if (is_file) {
		snprintf(path, sizeof(path), "/var/tmp/mirage-test-%d.swap", getpid());
		snprintf(cmd, sizeof(cmd), "umask 077; head -c %zu /dev/zero >%s", bytes, path);
		if (system(cmd)) {
			path[0] = 0;
			return false;
		}
	} else {
		snprintf(path, sizeof(path), "%s", DISK);
	}
	snprintf(cmd, sizeof(cmd), "mkswap -q %s >/dev/null 2>&1", path);
	if (system(cmd) || swapon(path, 0)) {
		if (is_file)
			unlink(path);
		path[0] = 0;
		return false;
	}
	return true;
}

void swap_off(void)
{
	if (!path[0])
		return;
	swapoff(path);
	if (is_file)
		unlink(path);
	path[0] = 0;
}
