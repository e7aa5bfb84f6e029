/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * raw.h - a RoCEv2 peer made by hand: a UDP socket, headers written byte by byte
 *
 * It lives at RAW_PEER in the network namespace "peer" (tests/raw/run makes it), has
 * no device, and sends to a QP of the device under test whatever a case wants.
 */
#ifndef TESTS_RAW_H
#define TESTS_RAW_H

#include "rc.h"

#define RAW_MTU		1024u		/* path MTU of every QP here */
#define RAW_STRETCH	(256 * 1024)	/* of a READ: READ_TURN in kernel/wire/wire_resp.c */
#define RAW_PSN		0x123456u	/* the first PSN that a QP expects */
#define RAW_QPN		0x777777u	/* our own QP number; a second one's is one more */
#define PAGE		4096u

/* BTH opcodes, RC. */
enum raw_op {
	SEND_FIRST = 0x00, SEND_MIDDLE, SEND_LAST, SEND_LAST_IMM, SEND_ONLY, SEND_ONLY_IMM,
	WRITE_FIRST, WRITE_MIDDLE, WRITE_LAST, WRITE_LAST_IMM, WRITE_ONLY, WRITE_ONLY_IMM,
	READ_REQUEST, READ_RESP_FIRST, READ_RESP_MIDDLE, READ_RESP_LAST, READ_RESP_ONLY,
	ACKNOWLEDGE, ATOMIC_ACK, COMPARE_SWAP, FETCH_ADD,
	SEND_LAST_INV = 0x16, SEND_ONLY_INV,
	FLUSH = 0x1c, ATOMIC_WRITE,
};

/* AETH syndromes. */
enum {
	ACK = 0x1f, RNR = 0x20, NAK_PSN = 0x60, NAK_INVALID, NAK_ACCESS, NAK_OPERATIONAL,
};

struct raw_pkt {
	uint8_t opcode;
	bool ack;
	bool bad_icrc;
	uint8_t pad;			/* 0: what the payload needs */
	uint16_t pkey;			/* 0: the default one */
	uint32_t qpn;			/* 0: the QP's */
	uint32_t psn;
	uint8_t ext[40];
	size_t ext_len;
	const void *payload;
	size_t len;
};

/* What came back. */
struct raw_ans {
	uint8_t opcode;
	uint32_t qpn, psn;
	uint8_t syndrome;		/* of those with an AETH */
	uint32_t msn;
	uint64_t orig;			/* ATOMIC_ACK */
	uint8_t payload[4096];
	size_t len;
};

struct raw {
	struct rc_dev *dev;
	struct rc_end end;		/* the QP under test, connected to us */
	struct rc_attr attr;
	uint32_t qpn;			/* ours */
	const char *ip;			/* our address */
	int fd;
	uint32_t psn;			/* next one to send */
};

/* A packet of a request that came to us. */
struct raw_req {
	uint8_t opcode;
	bool ack;
	uint32_t psn;
	uint64_t va;			/* of a READ */
	uint32_t dmalen;
	size_t len;			/* BTH to ICRC */
};

#define RAW_OTHER_IP	"10.0.0.3"	/* a second address of the peer's host */

/* A QP in RTS whose peer is us; raw_connect() once more after a RESET. */
struct raw *raw_open(const struct rc_attr *attr, uint32_t psn);
void raw_connect(struct raw *r, uint32_t psn);
void raw_close(struct raw *r);
/* A second QP over the same socket */
struct raw *raw_open_beside(struct raw *first, uint32_t psn);
void raw_close_beside(struct raw *r);

/* raw_build() returns the length; raw_send() sends many, raw_gso() as one super-packet. */
size_t raw_build(const struct raw *r, const struct raw_pkt *pkt, unsigned int id,
		 uint8_t *to);
void raw_send(struct raw *r, const struct raw_pkt *pkt, size_t n);
void raw_gso(struct raw *r, const struct raw_pkt *pkt, size_t n);
void raw_bytes(struct raw *r, const void *p, size_t len);	/* unchanged */

/* Give a packet that was changed by hand, BTH to ICRC, a right ICRC. */
void raw_seal(const struct raw *r, uint8_t *pkt, size_t len);

/* Receive the next packet of any kind, or test_fail(); returns its length. */
size_t raw_take_bytes(struct raw *r, uint8_t *to, size_t room);

/* Receive the next answer, or test_fail(); raw_silence() fails if there is one. */
bool raw_pending(struct raw *r);
struct raw_ans raw_recv(struct raw *r);
void raw_expect(struct raw *r, uint8_t opcode, uint8_t syndrome, uint32_t psn);
void raw_silence(struct raw *r);

/* Receive the next packet of a request, or test_fail(). */
struct raw_req raw_take(struct raw *r);
struct raw_req raw_take_opcode(struct raw *r, uint8_t opcode);

/* An answer with an AETH, but for READ_RESP_MIDDLE. */
void raw_say(struct raw *r, uint8_t opcode, uint8_t syndrome, uint32_t psn,
	     const void *payload, size_t len);

/* A socket at our address that has joined a group; the caller closes it. */
int raw_join(const struct raw *r, const char *group);

/* Move to another address; raw_gid() makes a GID of an address. */
void raw_move(struct raw *r, const char *ip);
union ibv_gid raw_gid(const char *ip);

/* Extension headers, appended. */
void raw_reth(struct raw_pkt *pkt, uint64_t va, uint32_t rkey, uint32_t len);
void raw_atomic_eth(struct raw_pkt *pkt, uint64_t va, uint32_t rkey, uint64_t swap_add,
		    uint64_t compare);
void raw_u32(struct raw_pkt *pkt, uint32_t v);

/* Send a message from r->psn on, which advances. Return the number of packets. */
size_t raw_write_pkts(struct raw *r, struct raw_pkt *pkt, const void *p, size_t len,
		      const struct rc_buf *to, size_t off);
size_t raw_send_pkts(struct raw *r, struct raw_pkt *pkt, const void *p, size_t len);
struct raw_pkt raw_read_pkt(struct raw *r, const struct rc_buf *from, size_t off,
			    uint32_t len);
/* Receive the responses to a READ into @to. */
void raw_read_answer(struct raw *r, uint32_t psn, uint8_t *to, size_t len);

/* A counter of the device's port */
long long raw_stat(struct raw *r, const char *name);

extern const struct case_table {
	const struct test_case *cases;
	size_t n;
} raw_request_cases, raw_order_cases, raw_hold_cases, raw_fuzz_cases, raw_capture_cases,
  raw_answer_cases, raw_drain_cases, raw_uc_cases, raw_ud_cases, raw_flood_cases;

#define CASE_TABLE(name, array)						\
	const struct case_table name = { array, ARRAY_SIZE(array) }

#endif
