// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The table of keys
 *
 * A key is, from the top: 7 bits at random, MIRAGE_KEY_SLOTS' worth of slot number, chosen
 * at random among the free ones, and 8 bits at random. So whoever knows one knows nothing
 * about the next, and a stale one finds nothing even where its slot is in use again.
 *
 * Slots are changed by cmpxchg and release stores, and read under RCU.
 */
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "base/limits.h"
#include "mem/key.h"

/*
 * At most half of all slots are in use: that many guesses in a row are as good as
 * never all taken.
 */
#define KEY_TRIES	64

static_assert(MIRAGE_KEY_SLOTS >= 2 * MIRAGE_MAX_MR);

static unsigned long *key_slot_of(struct mirage_key_table *table, u32 key)
{
	unsigned int index = (key >> 8) % MIRAGE_KEY_SLOTS;
	struct mirage_key_leaf **where = &table->leaf[index >> MIRAGE_KEY_LEAF_SHIFT];
	struct mirage_key_leaf *leaf = READ_ONCE(*where), *fresh;

	if (!leaf) {
		fresh = kzalloc_obj(*fresh);
		if (!fresh)
			return NULL;
		leaf = cmpxchg(where, NULL, fresh);
		if (leaf)
			kfree(fresh);
		else
			leaf = fresh;
	}
	return &leaf->slot[index % MIRAGE_KEY_LEAF_SLOTS];
}

/**
 * mirage_key_reserve - a key for a region or a window
 * @table: the device's table
 * @key: the key
 *
 * Process context. Nothing is found by the key before mirage_key_set().
 *
 * Return: 0, -ENOSPC or -ENOMEM.
 */
int mirage_key_reserve(struct mirage_key_table *table, u32 *key)
{
	unsigned int tries;

	for (tries = 0; tries < KEY_TRIES; tries++) {
		unsigned long *slot;

		*key = get_random_u32();
		/* Whoever forgot to fill in a key has 0 there. */
		if (!(*key >> 8))
			continue;
		slot = key_slot_of(table, *key);
		if (!slot)
			return -ENOMEM;
		if (!cmpxchg(slot, 0, MIRAGE_KEY_RESERVED))
			return 0;
	}
	return -ENOSPC;
}

/**
 * mirage_key_set - say what a reserved key names, or free it
 * @table: the device's table
 * @key: the key
 * @value: 0, or see enum mirage_key_kind
 *
 * Any context. After a grace period nobody uses what was there before.
 */
void mirage_key_set(struct mirage_key_table *table, u32 key, unsigned long value)
{
	unsigned long *slot = key_slot_of(table, key);

	/* What the value points to was written before. */
	smp_store_release(slot, value);
}

/**
 * mirage_key_table_free - at the end of the device
 * @table: its table, empty
 */
void mirage_key_table_free(struct mirage_key_table *table)
{
	unsigned int i;

	for (i = 0; i < MIRAGE_KEY_LEAVES; i++) {
		if (table->leaf[i])
			WARN_ON_ONCE(memchr_inv(table->leaf[i], 0,
						sizeof(*table->leaf[i])));
		kfree(table->leaf[i]);
		table->leaf[i] = NULL;
	}
}
