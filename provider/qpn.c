// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * qpn.c - from the number in a CQE to the queue pair
 *
 * Pollers read the table without its mutex. A queue pair enters it before anything can
 * be posted, and leaves it after its last CQE was dropped under the CQ's lock, so a
 * poller always finds the queue pair that a CQE names.
 *
 * The kernel may reuse a number before its former owner has dropped its CQEs and left
 * the table. The new owner waits for that on a condition. It must not hold the mutex
 * meanwhile: destroying a queue pair can wait until the application acknowledges an
 * event, and the thread that does so may be creating a queue pair.
 */
#include <stdlib.h>

#include "mirage.h"

static struct mirage_qp **qpn_find_slot(struct mirage_context *ctx, uint32_t qpn)
{
	struct mirage_qpn_leaf **leaf = &ctx->qpn[qpn >> MIRAGE_QPN_LEAF_BITS];

	if (!*leaf)
		*leaf = calloc(1, sizeof(**leaf));
	return *leaf ? &(*leaf)->qp[qpn & (MIRAGE_QPN_LEAF_SIZE - 1)] : NULL;
}

void mirage_qpn_init(struct mirage_context *ctx)
{
	pthread_mutex_init(&ctx->qpn_mutex, NULL);
	pthread_cond_init(&ctx->qpn_left, NULL);
}

void mirage_qpn_fini(struct mirage_context *ctx)
{
	pthread_cond_destroy(&ctx->qpn_left);
	pthread_mutex_destroy(&ctx->qpn_mutex);
}

int mirage_qpn_insert(struct mirage_context *ctx, struct mirage_qp *qp)
{
	uint32_t qpn = qp->vqp.qp.qp_num;
	struct mirage_qp **slot;

	pthread_mutex_lock(&ctx->qpn_mutex);
	while ((slot = qpn_find_slot(ctx, qpn)) && *slot)
		pthread_cond_wait(&ctx->qpn_left, &ctx->qpn_mutex);
	if (slot) {
		*slot = qp;
		ctx->qpn[qpn >> MIRAGE_QPN_LEAF_BITS]->users++;
	}
	pthread_mutex_unlock(&ctx->qpn_mutex);
	return slot ? 0 : ENOMEM;
}

void mirage_qpn_remove(struct mirage_context *ctx, struct mirage_qp *qp)
{
	uint32_t qpn = qp->vqp.qp.qp_num;
	struct mirage_qpn_leaf **leaf = &ctx->qpn[qpn >> MIRAGE_QPN_LEAF_BITS];

	pthread_mutex_lock(&ctx->qpn_mutex);
	(*leaf)->qp[qpn & (MIRAGE_QPN_LEAF_SIZE - 1)] = NULL;
	if (!--(*leaf)->users) {
		free(*leaf);
		*leaf = NULL;
	}
	pthread_cond_broadcast(&ctx->qpn_left);
	pthread_mutex_unlock(&ctx->qpn_mutex);
}
