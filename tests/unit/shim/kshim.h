/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * kshim.h - as much of a kernel as the pure files of kernel/ need
 *
 * Locks are real and count their holders' mistakes, RCU waits for its readers
 * before it frees (unit_rcu_barrier), memory comes from malloc so that the
 * sanitizers see every byte, and a page is a slot of an arena.
 */
#ifndef KSHIM_H
#define KSHIM_H

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_X86_64	1

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;
typedef int gfp_t;

/* compiler */
#ifndef __always_inline
#define __always_inline		inline __attribute__((always_inline))
#endif
#define noinline		__attribute__((noinline))
#define __must_hold(x)
#define __acquire(x)	((void)(x))
#define __release(x)	((void)(x))
#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define barrier()		__asm__ volatile("" : : : "memory")
#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))
#define smp_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_mb__after_atomic()	smp_mb()
#define smp_wmb()		__atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define IS_ENABLED(x)		0
#define WARN_ON_ONCE(x)		({ bool w = (x); assert(!w); w; })

/* numbers */
#define min(a, b)	({ __typeof__(a) x_ = (a); __typeof__(b) y_ = (b); x_ < y_ ? x_ : y_; })
#define max(a, b)	({ __typeof__(a) x_ = (a); __typeof__(b) y_ = (b); x_ > y_ ? x_ : y_; })
#define min3(a, b, c)	min(min(a, b), c)
#define min_t(t, a, b)	min((t)(a), (t)(b))
#define max_t(t, a, b)	max((t)(a), (t)(b))
#define swap(a, b)	do { __typeof__(a) t_ = (a); (a) = (b); (b) = t_; } while (0)
#define ALIGN(x, a)	(((x) + (a) - 1) & ~((__typeof__(x))(a) - 1))
#define SZ_64K		0x10000
#define U16_MAX		UINT16_MAX
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member)	\
	((type *)((char *)(p) - offsetof(type, member)))

/* bits */
#define BITS_PER_LONG		64
#define BIT(n)			(1UL << (n))
#define GENMASK(h, l)		((~0UL >> (63 - (h))) & (~0UL << (l)))
#define DECLARE_BITMAP(name, n)	unsigned long name[(n) / BITS_PER_LONG]
#define for_each_set_bit(i, map, n)					\
	for ((i) = find_next_bit(map, n, 0); (i) < (n); (i) = find_next_bit(map, n, (i) + 1))

static inline void set_bit(unsigned int n, unsigned long *map)
{
	__atomic_fetch_or(&map[n / 64], 1UL << (n % 64), __ATOMIC_RELAXED);
}

static inline unsigned long find_next_bit(const unsigned long *map, unsigned long n,
					  unsigned long from)
{
	while (from < n && !(__atomic_load_n(&map[from / 64], __ATOMIC_RELAXED) >>
			     (from % 64) & 1))
		from++;
	return from;
}

static inline unsigned int __ffs(unsigned long x)
{
	assert(x);
	return __builtin_ctzl(x);
}

/* big endian, wherever it stands */
#define UNIT_UNALIGNED(bits)						\
static inline u##bits get_unaligned_be##bits(const void *p)		\
{									\
	u##bits v;							\
									\
	memcpy(&v, p, sizeof(v));					\
	return be##bits##toh(v);					\
}									\
static inline void put_unaligned_be##bits(u##bits v, void *p)		\
{									\
	v = htobe##bits(v);						\
	memcpy(p, &v, sizeof(v));					\
}

UNIT_UNALIGNED(16)
UNIT_UNALIGNED(32)
UNIT_UNALIGNED(64)

#define LE(bits)							\
static inline u##bits get_unaligned_le##bits(const void *p)		\
{									\
	u##bits v;							\
									\
	memcpy(&v, p, sizeof(v));					\
	return le##bits##toh(v);					\
}

LE(32)
LE(64)

static inline void put_unaligned_le32(u32 v, void *p)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

/* atomics */
typedef struct { s64 counter; } atomic64_t;

#define cmpxchg(p, old, new)	({					\
	__typeof__(*(p)) o_ = (old);					\
	__atomic_compare_exchange_n(p, &o_, new, false, __ATOMIC_SEQ_CST, \
				    __ATOMIC_SEQ_CST);			\
	o_; })
#define cmpxchg64		cmpxchg
#define xchg(p, v)		__atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define atomic64_fetch_add(v, p) __atomic_fetch_add(&(p)->counter, (s64)(v), __ATOMIC_SEQ_CST)

/* memory */
#define GFP_KERNEL		0
#define GFP_KERNEL_ACCOUNT	0
#define GFP_ATOMIC		1
#define __GFP_NOWARN		2
#define kzalloc_obj(x, ...)	((__typeof__(x) *)unit_alloc(1, sizeof(x)))
#define kcalloc(n, size, gfp)	((void)(gfp), unit_alloc(n, size))
#define kzalloc(size, gfp)	((void)(gfp), unit_alloc(1, size))
#define struct_size(p, member, n)	(sizeof(*(p)) + (n) * sizeof((p)->member[0]))
#define kfree(p)		free(p)

void *unit_alloc(size_t n, size_t size);
extern unsigned int unit_alloc_fails;	/* the Nth allocation from here fails */

static inline void unit_check(const volatile void *p, size_t n)
{
	assert(!__asan_region_is_poisoned((void *)p, n));
}

#define kasan_check_read(p, n)	unit_check(p, n)
#define kasan_check_write(p, n)	unit_check(p, n)

/* locks; softirqs off is an RCU read side */
typedef struct { int held; } spinlock_t;

#define SINGLE_DEPTH_NESTING	1
#define spin_lock_init(l)	((l)->held = 0)
#define spin_lock_nested(l, n)	spin_lock(l)
#define lockdep_assert_held(l)	assert((l)->held)
#define cond_resched()		do { } while (0)

void spin_lock(spinlock_t *lock);
void spin_unlock(spinlock_t *lock);
void lockdep_assert_in_softirq(void);
void local_bh_disable(void);
void local_bh_enable(void);

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
};

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
void unit_free_head(struct rcu_head *head);
#define kfree_rcu(p, member)	do {						\
	_Static_assert(!offsetof(__typeof__(*(p)), member), "not the first");	\
	call_rcu(&(p)->member, unit_free_head);					\
} while (0)
void unit_rcu_barrier(void);

/* pages: an arena of UNIT_PAGES, its first one aligned to 2 MiB */
#define PAGE_SHIFT		12
#define PAGE_SIZE		(1UL << PAGE_SHIFT)
#define PAGE_MASK		(~(PAGE_SIZE - 1))
#define offset_in_page(p)	((unsigned long)(p) & ~PAGE_MASK)
#define UNIT_PAGES		2048
#define UNIT_FIRST_PFN		0x100000UL

struct page {
	bool dirty;
	bool anon;
};

struct folio {
	struct page page;
};

extern struct page unit_pages[UNIT_PAGES];
extern u8 unit_arena[UNIT_PAGES * 4096];

#define page_to_pfn(p)		(UNIT_FIRST_PFN + (unsigned long)((p) - unit_pages))
#define pfn_to_page(n)		(unit_pages + ((n) - UNIT_FIRST_PFN))
#define page_address(p)		((void *)(unit_arena + ((p) - unit_pages) * PAGE_SIZE))
#define virt_to_folio(a)	\
	((struct folio *)&unit_pages[((u8 *)(a) - unit_arena) >> PAGE_SHIFT])
#define folio_test_anon(f)	((f)->page.anon)
#define folio_test_swapbacked(f) ((f)->page.anon)
#define folio_set_dirty(f)	((f)->page.dirty = true)

/* for the structs of headers that come along */
struct list_head {
	struct list_head *next, *prev;
};

struct interval_tree_node {
	unsigned long start, last;
};

struct mm_struct;

#endif
