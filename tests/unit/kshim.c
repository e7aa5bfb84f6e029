// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <pthread.h>
#include <sched.h>

#include "kshim.h"

struct page unit_pages[UNIT_PAGES];
u8 unit_arena[UNIT_PAGES * 4096] __attribute__((aligned(2 << 20)));
unsigned int unit_alloc_fails;

static pthread_rwlock_t rcu = PTHREAD_RWLOCK_INITIALIZER;
static struct rcu_head *rcu_list;
static __thread unsigned int bh_depth;

void *unit_alloc(size_t n, size_t size)
{
	if (unit_alloc_fails && !--unit_alloc_fails)
		return NULL;
	return calloc(n, size);
}

void spin_lock(spinlock_t *lock)
{
	assert(bh_depth);
	while (__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE))
		sched_yield();
}

void spin_unlock(spinlock_t *lock)
{
	assert(lock->held);
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}

/* Outside of hardirqs "softirqs off" means the same as the kernel's own function does. */
void lockdep_assert_in_softirq(void)
{
	assert(bh_depth);
}

void local_bh_disable(void)
{
	if (!bh_depth++)
		pthread_rwlock_rdlock(&rcu);
}

void local_bh_enable(void)
{
	assert(bh_depth);
	if (!--bh_depth)
		pthread_rwlock_unlock(&rcu);
}

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	head->func = func;
	head->next = __atomic_load_n(&rcu_list, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&rcu_list, &head->next, head, false,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/* Objects whose rcu_head comes first. */
void unit_free_head(struct rcu_head *head)
{
	kfree(head);
}

void unit_rcu_barrier(void)
{
	struct rcu_head *head, *next;

	assert(!bh_depth);
	/* Readers that began before this have ended when we get the lock. */
	head = __atomic_exchange_n(&rcu_list, NULL, __ATOMIC_ACQUIRE);
	pthread_rwlock_wrlock(&rcu);
	pthread_rwlock_unlock(&rcu);
	for (; head; head = next) {
		next = head->next;
		head->func(head);
	}
}
