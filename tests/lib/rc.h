/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * rc.h - verbs set-up for tests: two connected QPs of one device, RC unless it is asked
 * for UC
 *
 * Every function here ends the test case (test_fail) when the verbs call
 * beneath fails, except those that return an errno for the caller to check.
 */
#ifndef TESTS_RC_H
#define TESTS_RC_H

#include <infiniband/verbs.h>

#include "harness.h"

struct rc_dev {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_device_attr_ex attr;
	struct ibv_port_attr port;
	union ibv_gid gid;
	int gid_index;
};

/* Attributes of a pair; zero means the default named here. */
struct rc_attr {
	enum ibv_qp_type type;		/* IBV_QPT_RC; or IBV_QPT_UC */
	struct ibv_qp_cap cap;		/* 64 WRs, 4 SGEs, no inline */
	unsigned int cqe;		/* 256 */
	int access;			/* all remote rights and local write */
	enum ibv_mtu mtu;		/* the port's active MTU */
	struct ibv_srq *srq;		/* of both ends */
	struct ibv_comp_channel *channel;	/* of the receive CQs */
	bool sig_all;
	bool no_rnr_retry;		/* rnr_retry 0; else rnr_retry below */
	uint8_t rnr_retry;		/* 7: for ever */
	uint8_t retry_cnt;		/* 7 */
	uint8_t timeout;		/* 14: 67 ms */
	uint8_t min_rnr_timer;		/* 1: 0.01 ms */
	uint8_t rd_atomic;		/* 1 */
	uint64_t send_ops;		/* nonzero: ibv_qp_ex with these */
};

struct rc_end {
	struct ibv_pd *pd;
	struct ibv_qp *qp;
	struct ibv_cq *scq, *rcq;
	uint32_t psn;
};

struct rc_pair {
	struct rc_dev *dev;
	struct rc_attr attr;
	struct rc_end a, b;
};

struct rc_buf {
	uint8_t *addr;
	size_t len;
	struct ibv_mr *mr;
};

#define RC_ACCESS_ALL	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | \
			 IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC)

struct rc_dev *rc_open(void);		/* test_options.device */
void rc_close(struct rc_dev *dev);
bool rc_is_mirage(struct rc_dev *dev);	/* else a device that the tests are checked on */

/* A counter of the device's port; 0 if the device does not have it. */
long long rc_stat(struct rc_dev *dev, const char *name);

/* End: CQs and QP in RESET, of the given PD (NULL: the device's). */
void rc_end_create(struct rc_dev *dev, struct ibv_pd *pd, struct rc_end *end,
		   const struct rc_attr *attr);
void rc_end_destroy(struct rc_end *end);

/* The three transitions; these return an errno. */
int rc_to_init(struct rc_dev *dev, struct rc_end *end, const struct rc_attr *attr);
int rc_to_rtr(struct rc_dev *dev, struct rc_end *end, uint32_t dest_qpn,
	      uint32_t rq_psn, const struct rc_attr *attr);
int rc_to_rts(struct rc_end *end, const struct rc_attr *attr);
int rc_to_state(struct rc_end *end, enum ibv_qp_state state);	/* mask: STATE only */
enum ibv_qp_state rc_state(struct rc_end *end);

/* A connected pair; rc_pair_reset() connects it again after an error. */
struct rc_pair *rc_pair_create(struct rc_dev *dev, const struct rc_attr *attr);
void rc_pair_reset(struct rc_pair *pair);
void rc_pair_destroy(struct rc_pair *pair);

struct rc_buf rc_buf(struct rc_dev *dev, size_t len, int access);
struct rc_buf rc_buf_pd(struct ibv_pd *pd, size_t len, int access);
void rc_buf_free(struct rc_buf *buf);

/* Bytes that depend on the seed and on their place. */
void rc_fill(void *p, size_t len, uint64_t seed);
void rc_verify(const void *p, size_t len, uint64_t seed, const char *what);
uint64_t rc_random(uint64_t *state);

static inline struct ibv_sge rc_sge(const struct rc_buf *buf, size_t off, size_t len)
{
	return (struct ibv_sge){ .addr = (uintptr_t)buf->addr + off,
				 .length = len, .lkey = buf->mr->lkey };
}

/* Posting one work request; the try_ forms return the errno. */
int rc_try_post(struct rc_end *end, struct ibv_send_wr *wr);
int rc_try_recv(struct rc_end *end, uint64_t wr_id, struct ibv_sge *sg, int n);
void rc_post(struct rc_end *end, struct ibv_send_wr *wr);
void rc_recv(struct rc_end *end, uint64_t wr_id, struct ibv_sge *sg, int n);

/* One signalled work request of one SGE; remote may be NULL for a SEND. */
void rc_op(struct rc_end *end, enum ibv_wr_opcode op, struct ibv_sge sg,
	   const struct rc_buf *remote, size_t remote_off);

/* The next completion, or test_fail() after 20 s; with the status expected. */
struct ibv_wc rc_wc(struct ibv_cq *cq);
struct ibv_wc rc_wc_status(struct ibv_cq *cq, enum ibv_wc_status status);
void rc_wc_none(struct ibv_cq *cq);
#define rc_wc_ok(cq)	rc_wc_status(cq, IBV_WC_SUCCESS)

/* Wait for a completion event or an asynchronous event. */
void rc_event_wait(struct ibv_comp_channel *channel, struct ibv_cq *cq);
bool rc_event_pending(struct ibv_comp_channel *channel);
void rc_async_wait(struct rc_dev *dev, enum ibv_event_type type, void *element);

#endif
