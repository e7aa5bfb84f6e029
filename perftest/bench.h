/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * bench.h - what the benchmarks share
 *
 * Plain verbs throughout, so that a program measures mirage0 and rxe0 alike.
 * Every function here ends the program with one line on stderr when it fails:
 * a benchmark has nothing to go on with.
 *
 * A result is one line on stdout, fields parted by one space:
 *
 *	BENCH name device mode size value unit check
 *
 * where check is "ok", or "wrong" when the bytes that arrived were not the bytes
 * that were sent. The program then still prints its figure, goes on, and
 * exits with status 1.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <infiniband/verbs.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define PAGE		4096UL
#define KIB		1024UL
#define MIB		(1024 * KIB)
#define GIB		(1024 * MIB)
#define TIB		(1024 * GIB)

/* Work requests of one doorbell where a benchmark posts lists. */
#define LIST		32

/* How user memory is registered. */
enum bench_mode {
	MODE_PINNED,
	MODE_ODP,
	MODE_IMPLICIT,
};

struct bench {
	const char *device;
	const char *peer_name;		/* NULL: the device's own QPs talk to each other */
	struct bench *peer;		/* the other device, opened */
	enum ibv_mtu mtu;
	enum bench_mode mode;
	const char *only_op;		/* NULL: every operation */
	size_t only_size;		/* 0: every size */
	unsigned int samples;
	bool wrong;			/* some data check failed */

	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_mr *implicit;	/* the one implicit region, when there is one */
	struct ibv_device_attr attr;
	union ibv_gid gid;
	unsigned int gid_index;
};

/* One end of a connection. */
struct bench_end {
	struct ibv_qp *qp;
	struct ibv_cq *send_cq;
	struct ibv_cq *recv_cq;
	struct ibv_comp_channel *channel;
};

/* Two RC QPs, of one device or of two, connected to each other. */
struct bench_pair {
	struct bench_end near;
	struct bench_end far;
};

/* One operation, repeated over slots of two buffers. */
struct bench_op {
	enum ibv_wr_opcode opcode;
	void *local;
	uint32_t lkey;
	void *remote;
	uint32_t rkey;
	size_t size;
};

void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* -d DEVICE, -p PEER, -t MTU, -m MODE, -o OPERATION, -s SIZE, -r SAMPLES */
void bench_options(struct bench *b, int argc, char **argv);

/*
 * Opens the device, a PD, and finds the RoCE v2 IPv4 GID; clears nothing set by options.
 * The same with the peer, if there is one.
 */
void bench_open(struct bench *b);
void bench_close(struct bench *b);

/* The device that the pair's far end is of. */
struct bench *bench_far(struct bench *b);
const char *bench_mode_name(const struct bench *b);

/* Exit status of main(). */
int bench_status(const struct bench *b);

/* Does the device do what the mode asks for? Prints one line on stderr if not. */
bool bench_mode_supported(const struct bench *b);

/* Is this operation or size asked for? */
bool bench_wanted(const struct bench *b, const char *op, size_t size);

void bench_result(struct bench *b, const char *name, size_t size, double value,
		  const char *unit, bool ok);

/* The same, with another word in the mode column. */
void bench_result_mode(struct bench *b, const char *name, const char *mode, size_t size,
		       double value, const char *unit, bool ok);

/* A figure of the machine rather than of a device, in ns. */
void bench_limit(struct bench *b, const char *name, size_t size, double value, bool ok);

/* Anonymous private memory, aligned to 2 MiB, untouched. */
void *bench_map(size_t size);

/* The same, in 4 KiB pages only. */
void *bench_map_small(size_t size);
void bench_unmap(void *p, size_t size);

/* Every right, registered as the mode says; for bench_dereg() only. */
struct ibv_mr *bench_reg(struct bench *b, void *p, size_t size);
struct ibv_mr *bench_reg_pinned(struct bench *b, void *p, size_t size);

/* NULL with errno set instead of an exit. */
struct ibv_mr *bench_reg_try(struct bench *b, void *p, size_t size);
void bench_dereg(struct bench *b, struct ibv_mr *mr);

/* Room for LIST work requests each way; the channel only where asked for. */
void bench_end_open(struct bench *b, struct bench_end *e, bool channel);
void bench_end_close(struct bench_end *e);
void bench_connect(struct bench *b, struct bench_end *e, uint32_t remote_qpn,
		   const union ibv_gid *remote);
void bench_pair_open(struct bench *b, struct bench_pair *pair);
void bench_pair_close(struct bench_pair *pair);

/*
 * Up to LIST operations that one doorbell posts, the last one signalled.
 * slots[i] is the slot of the i-th; slots NULL: 0, 1, 2, ...
 */
struct bench_list {
	struct ibv_send_wr wr[LIST];
	struct ibv_sge sge[LIST];
};

void bench_list_make(struct bench_list *list, const struct bench_op *op,
		     const unsigned int *slots, unsigned int count);
void bench_list_post(struct bench_end *e, struct bench_list *list);

/* Receives into slots 0, 1, 2, ... of a buffer. */
struct bench_recvs {
	struct ibv_recv_wr wr[LIST];
	struct ibv_sge sge[LIST];
};

void bench_recvs_make(struct bench_recvs *recvs, void *buf, uint32_t lkey, size_t size,
		      unsigned int count);
void bench_recvs_post(struct bench_end *e, struct bench_recvs *recvs);

/* Waits for count good completions; gives the CPU away while there are none. */
void bench_poll(struct ibv_cq *cq, unsigned int count);

uint64_t now_ns(void);
double median(double *v, unsigned int n);

/* Bytes that differ at every offset and with every seed. */
void pattern_fill(void *p, size_t size, uint64_t seed);

/* dst becomes the complement of src: no byte is right by chance. */
void pattern_invert(void *dst, const void *src, size_t size);

#endif /* BENCH_H */
