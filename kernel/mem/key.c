// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The table of keys
 *
 * A key has three parts, from the top: 7 random bits; the number of a slot, chosen at random
 * among the MIRAGE_KEY_SLOTS; and 8 random bits. So whoever knows one key can not tell others
 * from it, and a stale key finds nothing as a rule, even if its slot is in use again.
 *
 * Slots are changed by cmpxchg and release stores, and read under RCU.
 */
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "base/limits.h"
#include "mem/key.h"

/*
 * At most half of all slots are in use, so it practically never happens that so many random
 * slots in a row are all taken.
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
 * mirage_key_reserve - reserve a key for a region or a window
 * @table: the device's table
 * @key: set to the key
 *
 * Process context. The key finds nothing before mirage_key_set().
 *
 * Return: 0; -ENOSPC if no free slot was found; -ENOMEM.
 */
int mirage_key_reserve(struct mirage_key_table *table, u32 *key)
{
	unsigned int tries;

	for (tries = 0; tries < KEY_TRIES; tries++) {
		unsigned long *slot;

		*key = get_random_u32();
		/* A key that an application forgot to set is 0, and must not find anything. */
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
 * mirage_key_set - make a reserved key name something, or free it
 * @table: the device's table
 * @key: the key
 * @value: 0 to free the key, or see enum mirage_key_kind
 *
 * Any context. A reader under RCU may still use the old value until a grace period is over.
 */
void mirage_key_set(struct mirage_key_table *table, u32 key, unsigned long value)
{
	unsigned long *slot = key_slot_of(table, key);

	/* Whoever sees the value also sees what was written to the object that it points to. */
	smp_store_release(slot, value);
}

/**
 * mirage_key_table_free - free the memory of a table of keys, at the end of its device
 * @table: the table, without keys
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
