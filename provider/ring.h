/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * ring.h - the rings shared with the kernel, and the doorbell
 *
 * The layout and the ordering rules are in mirage-abi.h. The process is the only
 * producer of a work queue (struct mirage_wq) and the only consumer of a CQ
 * (cq.c); the kernel is trusted, so indices it publishes are not checked.
 */
#ifndef MIRAGE_RING_H
#define MIRAGE_RING_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include <rdma/rdma_user_ioctl_cmds.h>
#include <util/compiler.h>

#include "mirage-abi.h"

/*
 * A lock that costs one branch where the application promised one thread. A waiter
 * yields its CPU soon, since the holder may have lost its own.
 */
struct mirage_lock {
	bool held;
	bool needed;
};

void mirage_lock_wait(struct mirage_lock *lock);

static inline void mirage_lock_init(struct mirage_lock *lock, bool needed)
{
	lock->held = false;
	lock->needed = needed;
}

static inline bool mirage_trylock(struct mirage_lock *lock)
{
	return !__atomic_test_and_set(&lock->held, __ATOMIC_ACQUIRE);
}

static inline void mirage_lock(struct mirage_lock *lock)
{
	if (lock->needed && unlikely(!mirage_trylock(lock)))
		mirage_lock_wait(lock);
}

static inline void mirage_unlock(struct mirage_lock *lock)
{
	if (lock->needed)
		__atomic_clear(&lock->held, __ATOMIC_RELEASE);
}

struct mirage_ring {
	struct mirage_ring_hdr *hdr;	/* NULL: there is no such ring */
	uint8_t *slots;
	uint32_t entries;
	uint32_t stride;
	size_t size;
};

int mirage_ring_map(struct mirage_ring *ring, int fd,
		    const struct mirage_ring_info *info);
void mirage_ring_unmap(struct mirage_ring *ring);

static inline void *mirage_ring_slot(const struct mirage_ring *ring,
				     uint32_t index)
{
	return ring->slots +
	       (size_t)(index & (ring->entries - 1)) * ring->stride;
}

/* Load the other side's index; the slots that it covers may be read after that. */
static inline uint32_t mirage_load_index(const __u32 *index)
{
	return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

/* Store this side's index; the slots that it covers were written, or read, before. */
static inline void mirage_store_index(__u32 *index, uint32_t value)
{
	__atomic_store_n(index, value, __ATOMIC_RELEASE);
}

/* The doorbell's command, built in advance: to ring it is one system call. */
union mirage_doorbell_cmd {
	struct ib_uverbs_ioctl_hdr cmd;
	uint8_t room[sizeof(struct ib_uverbs_ioctl_hdr) +
		     sizeof(struct ib_uverbs_attr)];
};

/*
 * A send or receive queue. Slots before @next are written; the kernel has been told
 * of them up to hdr->prod. A slot is free again when its completion was polled, not
 * when the kernel is done with it, so that an application that posts until the queue
 * is full cannot overflow a CQ of the same size. The poller moves @tail then, without
 * the lock of the queue. (An SRQ is different: recv.c.)
 */
struct mirage_wq {
	struct mirage_lock lock;	/* the fields below, except tail */
	uint32_t next;
	uint32_t tail;
	uint32_t max_wr;		/* as told to the application: <= entries */
	uint32_t max_sge;
	struct mirage_ring ring;
	union mirage_doorbell_cmd doorbell;
};

int mirage_wq_init(struct mirage_wq *wq, int fd,
		   const struct mirage_ring_info *info, uint32_t max_wr,
		   uint32_t max_sge, bool lock_needed);
void mirage_wq_set_max_wr(struct mirage_wq *wq, uint32_t max_wr);
void mirage_wq_set_doorbell(struct mirage_wq *wq, uint32_t num,
			    enum mirage_doorbell_queue what);
void mirage_wq_reset(struct mirage_wq *wq);
void mirage_wq_fini(struct mirage_wq *wq);

static inline bool mirage_wq_full(const struct mirage_wq *wq, uint32_t index)
{
	return index - mirage_load_index(&wq->tail) >= wq->max_wr;
}

/* The slots before this index are free. */
static inline void mirage_wq_set_tail(struct mirage_wq *wq, uint32_t tail)
{
	mirage_store_index(&wq->tail, tail);
}

static inline void mirage_wq_publish(struct mirage_wq *wq, uint32_t next)
{
	wq->next = next;
	mirage_store_index(&wq->ring.hdr->prod, next);
}

/* After publishing: does the kernel wait for the doorbell? */
static inline bool mirage_wq_wants_doorbell(const struct mirage_wq *wq)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&wq->ring.hdr->cons_flags, __ATOMIC_RELAXED) &
	       MIRAGE_WANT_DOORBELL;
}

/*
 * Returns 0, or the errno of a device that is gone: errors of the queue are
 * completions.
 */
static inline int mirage_wq_ring_doorbell(const struct mirage_wq *wq, int fd)
{
	while (unlikely(ioctl(fd, RDMA_VERBS_IOCTL, &wq->doorbell.cmd))) {
		if (errno != EINTR)
			return errno;
	}
	return 0;
}

#endif
