/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * mirage-abi.h - what mirage.ko and its libibverbs provider say to each other
 *
 * Three things cross the border: the driver data of the uverbs commands (struct
 * mirage_*_resp), the rings, and one driver method, the doorbell.
 *
 * A ring is a power-of-two array of equal slots behind a header, in memory that
 * the kernel allocates and the process maps at the offset it was given. Indices
 * run freely modulo 2^32; a slot is index & (entries - 1). Each index has one
 * writer:
 *
 *	ring		prod		cons		cons_flags
 *	SQ, RQ, SRQ	process		kernel		kernel: MIRAGE_WANT_DOORBELL
 *	CQ		kernel		process		process: enum mirage_arm;
 *							the kernel swaps in 0
 *
 * The writer of an index stores it with release semantics after the slots that it
 * covers; the other side loads it with acquire semantics before it reads these
 * slots. Between "set the flag" and "look at the index" (arming a CQ, asking for
 * the doorbell) both sides need a full barrier.
 *
 * The kernel trusts nothing in a ring. It keeps its own copy of the index that it
 * writes, and copies every WQE out before it checks it (kernel/queue/ring.h).
 */
#ifndef MIRAGE_ABI_H
#define MIRAGE_ABI_H

#include <linux/types.h>
#include <rdma/ib_user_ioctl_cmds.h>

#ifdef __KERNEL__
#include <linux/build_bug.h>
#else
#include <assert.h>
#endif

/* Raised by every change that an older provider or kernel would misread. */
#define MIRAGE_ABI_VERSION	2

/* A private driver id: the core assigns none to mirage (ASCII "MIRG"). */
#define MIRAGE_DRIVER_ID	0x4d495247

/**
 * struct mirage_ring_hdr - what stands in front of the slots of a ring
 * @prod: index of the slot that is written next
 * @reserved0: keeps the two sides' indices in cache lines of their own
 * @cons: index of the slot that is read next
 * @cons_flags: enum mirage_arm, or MIRAGE_WANT_DOORBELL
 * @reserved1: up to the first slot
 */
struct mirage_ring_hdr {
	__u32 prod;
	__u32 reserved0[15];
	__u32 cons;
	__u32 cons_flags;
	__u32 reserved1[14];
};

static_assert(sizeof(struct mirage_ring_hdr) == 128, "ABI");

/* cons_flags of a CQ: what the process wants to be woken for. */
enum mirage_arm {
	MIRAGE_ARM_NONE		= 0,
	MIRAGE_ARM_SOLICITED	= 1,
	MIRAGE_ARM_ANY		= 2,
};

/*
 * cons_flags of a work queue: the kernel waits for the next work request (the
 * QP is in error and flushes, or a sender waits for a receive): ring the doorbell
 * after it.
 */
#define MIRAGE_WANT_DOORBELL	1u

/**
 * struct mirage_ring_info - where a ring is: mmap(NULL, size, ..., cmd_fd, offset)
 * @offset: for mmap()
 * @size: bytes, of header and slots
 * @entries: number of slots, a power of two
 * @stride: bytes of a slot
 */
struct mirage_ring_info {
	__aligned_u64 offset;
	__aligned_u64 size;
	__u32 entries;
	__u32 stride;
};

static_assert(sizeof(struct mirage_ring_info) == 24, "ABI");

/**
 * struct mirage_sge - a piece of a registered region
 * @addr: its first byte, in the region's addresses
 * @length: bytes
 * @lkey: the region
 */
struct mirage_sge {
	__aligned_u64 addr;
	__u32 length;
	__u32 lkey;
};

static_assert(sizeof(struct mirage_sge) == 16, "ABI");

enum mirage_wqe_flags {
	MIRAGE_WQE_SIGNALED	= 1 << 0,
	MIRAGE_WQE_SOLICITED	= 1 << 1,
	MIRAGE_WQE_FENCE	= 1 << 2,
	MIRAGE_WQE_INLINE	= 1 << 3,
};

/**
 * struct mirage_send_wqe - one send WQE
 * @wr_id: the application's cookie
 * @opcode: enum ib_uverbs_wr_opcode
 * @flags: enum mirage_wqe_flags
 * @num_sge: SGEs that follow
 * @inline_len: with MIRAGE_WQE_INLINE, the bytes of data that follow instead
 * @remote_addr: first byte of the peer's region
 * @rkey: that region
 * @ex: immediate (big endian) or rkey to invalidate
 * @compare_add: of an atomic: what to compare with, or to add
 * @swap: of an atomic: what to store if equal
 * @srqn: XRC: the peer's SRQ
 * @reserved: 0
 *
 * The head is followed by SGEs or by data; both fit into the stride of the ring. Some
 * opcodes use the fields in a way that their names do not tell::
 *
 *	ATOMIC_WRITE	8 bytes of inline data
 *	FLUSH		compare_add: length; swap: selectivity level << 32 | placement
 *	LOCAL_INV	ex: the rkey
 *	REG_MR		ex: the key (kernel users only)
 *	BIND_MW		rkey: the window's present one; ex: its new one; remote_addr:
 *			address; compare_add: length; swap: access << 32 | lkey
 *	any of UD	remote_addr: number of the address handle; rkey: Q_Key; swap:
 *			P_Key index << 32 | destination QPN
 */
struct mirage_send_wqe {
	__aligned_u64 wr_id;
	__u8 opcode;
	__u8 flags;
	__u16 num_sge;
	__u32 inline_len;
	__aligned_u64 remote_addr;
	__u32 rkey;
	__u32 ex;
	__aligned_u64 compare_add;
	__aligned_u64 swap;
	__u32 srqn;
	__u32 reserved[3];
};

static_assert(sizeof(struct mirage_send_wqe) == 64, "ABI");

/**
 * struct mirage_recv_wqe - one receive WQE
 * @wr_id: the application's cookie
 * @num_sge: SGEs that follow
 * @reserved: 0
 */
struct mirage_recv_wqe {
	__aligned_u64 wr_id;
	__u32 num_sge;
	__u32 reserved;
};

static_assert(sizeof(struct mirage_recv_wqe) == 16, "ABI");

/*
 * The lower eight bits are those of enum ibv_wc_flags; the kernel's enum has other values.
 * libibverbs has no names for the bits above.
 */
enum mirage_wc_flags {
	MIRAGE_WC_GRH		= 1 << 0,
	MIRAGE_WC_WITH_IMM	= 1 << 1,
	MIRAGE_WC_WITH_INV	= 1 << 3,
	MIRAGE_WC_IPV4		= 1 << 8,	/* the GRH's last 20 bytes are an IPv4 header */
};

#define MIRAGE_WC_IBV_FLAGS	0xff

/* From this bit on stands the VLAN that a MAD was sent to, or 0. For kernel users. */
#define MIRAGE_WC_VLAN_SHIFT	16

/* The ring of the QP that the work request of a CQE was in. */
enum mirage_cqe_ring {
	MIRAGE_CQE_NO_RING	= 0,	/* an SRQ's: see struct mirage_cqe */
	MIRAGE_CQE_SQ		= 1,
	MIRAGE_CQE_RQ		= 2,
};

/**
 * struct mirage_cqe - a completion
 * @wr_id: the cookie of the work request
 * @status: enum ibv_wc_status
 * @opcode: enum ibv_wc_opcode
 * @vendor_err: the errno behind a bad status, or 0
 * @byte_len: bytes of the message
 * @ex: immediate (big endian) or invalidated rkey
 * @qp_num: the QP
 * @src_qp: the sender, for datagrams
 * @wc_flags: enum mirage_wc_flags
 * @cons: the slots of the ring before this index are free now
 * @ring: enum mirage_cqe_ring: which ring that is
 * @sl: UD: enum mirage_wc_sl
 * @pkey_index: UD
 * @timestamp: ns, CLOCK_MONOTONIC_RAW; 0 unless asked for
 * @wallclock: ns, CLOCK_REALTIME; 0 unless asked for
 *
 * Up to @wc_flags it is struct ibv_wc, which polling fills from here. Slots are freed
 * together with those of unsignaled requests that completed before this one. (The requests
 * of an SRQ complete in no order: its slots are free when the kernel has taken them, as cons
 * of its ring says.)
 */
struct mirage_cqe {
	__aligned_u64 wr_id;
	__u32 status;
	__u32 opcode;
	__u32 vendor_err;
	__u32 byte_len;
	__u32 ex;
	__u32 qp_num;
	__u32 src_qp;
	__u32 wc_flags;
	__u32 cons;
	__u8 ring;
	__u8 sl;
	__u16 pkey_index;
	__aligned_u64 timestamp;
	__aligned_u64 wallclock;
};

static_assert(sizeof(struct mirage_cqe) == 64, "ABI");

/*
 * RoCE has no service levels. In that field a UD completion says which IP version the
 * datagram came in. IBA annex A17.4.5.1 asks for that, and libibverbs has no other field
 * for it. The coding is mlx5's, which applications know (UCX before 1.19).
 */
enum mirage_wc_sl {
	MIRAGE_WC_SL_IPV6	= 9,
	MIRAGE_WC_SL_IPV4	= 10,
};

enum mirage_create_cq_flags {
	MIRAGE_CQ_TIMESTAMP	= 1 << 0,
	MIRAGE_CQ_WALLCLOCK	= 1 << 1,
};

/**
 * struct mirage_alloc_ucontext_resp - limits of work requests
 * @max_inline: bytes of inline data
 * @max_sge: SGEs
 * @reserved: 0
 */
struct mirage_alloc_ucontext_resp {
	__u32 max_inline;
	__u32 max_sge;
	__u32 reserved[2];
};

/**
 * struct mirage_alloc_pd_resp - the answer to alloc_pd
 * @pdn: number of the PD
 * @reserved: 0
 */
struct mirage_alloc_pd_resp {
	__u32 pdn;
	__u32 reserved;
};

/**
 * struct mirage_create_ah_resp - the answer to create_ah
 * @num: what work requests call the handle
 * @reserved: 0
 */
struct mirage_create_ah_resp {
	__u32 num;
	__u32 reserved;
};

/**
 * struct mirage_create_cq_req - the request create_cq
 * @flags: enum mirage_create_cq_flags
 * @reserved: 0
 */
struct mirage_create_cq_req {
	__u32 flags;
	__u32 reserved;
};

/**
 * struct mirage_create_cq_resp - the answer to create_cq
 * @ring: where CQEs come
 */
struct mirage_create_cq_resp {
	struct mirage_ring_info ring;
};

/**
 * struct mirage_resize_cq_resp - the answer to resize_cq
 * @ring: where CQEs come from now on; those that were not polled are there, from its cons on
 */
struct mirage_resize_cq_resp {
	struct mirage_ring_info ring;
};

/**
 * struct mirage_create_srq_resp - the answer to create_srq
 * @ring: where receives are posted
 * @srqn: number of the SRQ
 * @reserved: 0
 */
struct mirage_create_srq_resp {
	struct mirage_ring_info ring;
	__u32 srqn;
	__u32 reserved;
};

/**
 * struct mirage_create_qp_resp - the answer to create_qp
 * @sq: where sends are posted; all zero if there is none: of an XRC target
 * @rq: where receives are posted; all zero if there is none: with an SRQ, of XRC
 * @max_inline: bytes of inline data that a slot of @sq has room for
 * @reserved: 0
 */
struct mirage_create_qp_resp {
	struct mirage_ring_info sq;
	struct mirage_ring_info rq;
	__u32 max_inline;
	__u32 reserved;
};

static_assert(sizeof(struct mirage_alloc_ucontext_resp) == 16, "ABI");
static_assert(sizeof(struct mirage_alloc_pd_resp) == 8, "ABI");
static_assert(sizeof(struct mirage_create_ah_resp) == 8, "ABI");
static_assert(sizeof(struct mirage_create_cq_req) == 8, "ABI");
static_assert(sizeof(struct mirage_create_cq_resp) == 24, "ABI");
static_assert(sizeof(struct mirage_resize_cq_resp) == 24, "ABI");
static_assert(sizeof(struct mirage_create_srq_resp) == 32, "ABI");
static_assert(sizeof(struct mirage_create_qp_resp) == 56, "ABI");

/*
 * The doorbell: MIRAGE_METHOD_DOORBELL of MIRAGE_OBJECT_DOORBELL takes one inline
 * attribute, a struct mirage_doorbell. It runs the queue in the caller's system
 * call as far as that goes without waiting for anything, and never reports the
 * queue's own errors: those are completions.
 */
enum mirage_doorbell_queue {
	MIRAGE_DOORBELL_SQ	= 0,
	MIRAGE_DOORBELL_RQ	= 1,
	MIRAGE_DOORBELL_SRQ	= 2,
};

/**
 * struct mirage_doorbell - which queue the kernel is to look at
 * @num: QPN or SRQN
 * @what: enum mirage_doorbell_queue
 */
struct mirage_doorbell {
	__u32 num;
	__u32 what;
};

static_assert(sizeof(struct mirage_doorbell) == 8, "it must fit an inline attribute");

enum mirage_objects {
	MIRAGE_OBJECT_DOORBELL = (1U << UVERBS_ID_NS_SHIFT),
};

enum mirage_methods_doorbell {
	MIRAGE_METHOD_DOORBELL = (1U << UVERBS_ID_NS_SHIFT),
};

enum mirage_attrs_doorbell {
	MIRAGE_ATTR_DOORBELL = (1U << UVERBS_ID_NS_SHIFT),
};

#endif
