/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The table of keys: what the lkeys and rkeys of a device name
 */
#ifndef MIRAGE_KEY_H
#define MIRAGE_KEY_H

#include <linux/lockdep.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

#include "base/tables.h"

/* The low bits of a slot. If they are 0 and others are not, the slot points to a region. */
enum mirage_key_kind {
	MIRAGE_KEY_WINDOW	= 1,
	MIRAGE_KEY_RESERVED	= 2,
	MIRAGE_KEY_FASTREG	= 3,	/* see fastreg.c */
	MIRAGE_KEY_FLAGS	= 3,
};

/**
 * mirage_key_slot - read the slot of a key
 * @table: the device's table
 * @key: the key; other keys have the same slot, so the caller compares the key of what it finds
 *
 * Under RCU of any flavour.
 *
 * Return: 0 if the slot is free, or see enum mirage_key_kind.
 */
static inline unsigned long mirage_key_slot(const struct mirage_key_table *table, u32 key)
{
	unsigned int index = (key >> 8) % MIRAGE_KEY_SLOTS;
	const struct mirage_key_leaf *leaf = READ_ONCE(table->leaf[index >> MIRAGE_KEY_LEAF_SHIFT]);

	lockdep_assert(rcu_read_lock_any_held());
	return leaf ? READ_ONCE(leaf->slot[index % MIRAGE_KEY_LEAF_SLOTS]) : 0;
}

int mirage_key_reserve(struct mirage_key_table *table, u32 *key);
void mirage_key_set(struct mirage_key_table *table, u32 key, unsigned long value);
void mirage_key_table_free(struct mirage_key_table *table);

#endif
