/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The tables that are embedded in the device and that rooms above fill and search
 *
 * Only their shape stands here. What a slot means, and who may change it when, is said
 * where the functions are.
 */
#ifndef MIRAGE_TABLES_H
#define MIRAGE_TABLES_H

#include <linux/bits.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>

/* QPs that are found without a walk. */
#define MIRAGE_RECENT_QPS	256

#define MIRAGE_KEY_LEAF_SHIFT	9
#define MIRAGE_KEY_LEAF_SLOTS	BIT(MIRAGE_KEY_LEAF_SHIFT)
#define MIRAGE_KEY_LEAVES	256
#define MIRAGE_KEY_SLOTS	(MIRAGE_KEY_LEAVES * MIRAGE_KEY_LEAF_SLOTS)

#define MIRAGE_MCAST_BUCKETS	256

/**
 * struct mirage_key_leaf - a part of the table of keys
 * @slot: NULL or reserved, a region, or a window: see enum mirage_key_kind (mem/key.h)
 */
struct mirage_key_leaf {
	unsigned long slot[MIRAGE_KEY_LEAF_SLOTS];
};

/**
 * struct mirage_key_table - what the keys of a device name (mem/key.c)
 * @leaf: made when first needed; never freed while the device lives
 */
struct mirage_key_table {
	struct mirage_key_leaf *leaf[MIRAGE_KEY_LEAVES];
};

/**
 * struct mirage_mw_table - the windows that end with a queue pair (mem/mw.c)
 * @lock: protects the rest; not taken in softirqs
 * @type2: of struct mirage_mw
 */
struct mirage_mw_table {
	spinlock_t lock;		/* see above */
	struct list_head type2;
};

/**
 * struct mirage_mcast_table - the groups of a device (ud/mcast.c)
 * @mutex: changes of it
 * @groups: how many there are
 * @bucket: them, by hash; read under RCU
 */
struct mirage_mcast_table {
	struct mutex mutex;		/* changes of the table */
	u32 groups;
	struct hlist_head bucket[MIRAGE_MCAST_BUCKETS];
};

#endif
