// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Datagrams from a stranger: which are delivered, and which are counted as errors. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "datagram.h"
#include "raw.h"

#define UD_SEND_ONLY	0x64
#define RAW_UD_QPN	0x4321u
#define GROUP		"239.7.7.7"
#define GROUP_QPN	0xffffffu

struct stage {
	struct raw *r;		/* for its socket, and its RC queue pair */
	struct dgram *d;
	struct raw_pkt good;
	long long dropped, qkeys, discards, icrc, malformed;
};

static uint8_t data[4096];

static struct stage setup(void)
{
	struct stage s = { .r = raw_open(NULL, RAW_PSN) };

	s.d = dgram_create(s.r->dev, NULL);
	s.good = (struct raw_pkt){
		.opcode = UD_SEND_ONLY, .qpn = s.d->qp->qp_num, .payload = data, .len = 301,
	};
	raw_u32(&s.good, DGRAM_QKEY);
	raw_u32(&s.good, RAW_UD_QPN);
	rc_fill(data, sizeof(data), 1);
	s.dropped = raw_stat(s.r, "ud_dropped");
	s.qkeys = raw_stat(s.r, "qkey_violations");
	s.discards = raw_stat(s.r, "rx_discards");
	s.icrc = raw_stat(s.r, "rx_icrc_errors");
	s.malformed = raw_stat(s.r, "rx_malformed");
	return s;
}

static void teardown(struct stage *s)
{
	dgram_destroy(s->d);
	raw_close(s->r);
}

/* The packet's own IPv4 header stands in front; the completion names the sender. */
static void arrives(struct stage *s, const struct raw_pkt *pkt)
{
	const uint8_t *ip = s->d->in.addr + 20;
	struct ibv_wc wc;

	dgram_recv(s->d, 0, DGRAM_SLOT);
	raw_send(s->r, pkt, 1);
	wc = rc_wc_ok(s->d->rcq);
	CHECK_EQ(wc.src_qp, RAW_UD_QPN);
	CHECK(wc.wc_flags & IBV_WC_GRH);
	dgram_verify(s->d, &wc, pkt->len, 1);
	CHECK_EQ(ip[0], 0x45);
	CHECK_EQ(ip[2] << 8 | ip[3], 20 + 8 + 12 + 8 + (pkt->len + 3) / 4 * 4 + 4);
	CHECK(!memcmp(ip + 12, raw_gid(s->r->ip).raw + 12, 4));
	CHECK(!memcmp(ip + 16, s->r->dev->gid.raw + 12, 4));
	raw_silence(s->r);
}

static void good(void)
{
	static const size_t len[] = { 0, 1, 2, 3, 4, 1023, 1024, 4000 };
	struct stage s = setup();
	struct raw_pkt pkt = s.good;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(len); i++) {
		pkt.len = len[i];
		pkt.psn = i * 0x654321;
		arrives(&s, &pkt);
	}
	pkt.pkey = 0x7fff;
	arrives(&s, &pkt);
	teardown(&s);
}

static void bad(void)
{
	struct stage s = setup();
	struct raw_pkt pkt;

	dgram_recv(s.d, 1, DGRAM_SLOT);
	pkt = s.good;
	pkt.ext[0] ^= 0x10;
	raw_send(s.r, &pkt, 1);
	CHECK_EQ(raw_stat(s.r, "qkey_violations") - s.qkeys, 1);
	pkt = s.good;
	pkt.pkey = 0x8001;
	raw_send(s.r, &pkt, 1);
	CHECK_EQ(raw_stat(s.r, "rx_discards") - s.discards, 1);
	pkt = s.good;
	pkt.bad_icrc = true;
	raw_send(s.r, &pkt, 1);
	CHECK_EQ(raw_stat(s.r, "rx_icrc_errors") - s.icrc, 1);
	pkt = s.good;
	pkt.qpn = 0xfffffe;
	raw_send(s.r, &pkt, 1);
	CHECK_EQ(raw_stat(s.r, "ud_dropped") - s.dropped, 2);
	/* Packets of a connection for a UD QP, and the other way round. */
	pkt = s.good;
	pkt.opcode = SEND_ONLY;
	raw_send(s.r, &pkt, 1);
	CHECK_EQ(raw_stat(s.r, "rx_discards") - s.discards, 2);
	pkt = s.good;
	pkt.qpn = s.r->end.qp->qp_num;
	raw_send(s.r, &pkt, 1);
	pkt = s.good;
	pkt.ext_len = 4;
	pkt.len = 0;
	raw_send(s.r, &pkt, 1);
	CHECK_EQ(raw_stat(s.r, "rx_malformed") - s.malformed, 1);
	rc_wc_none(s.d->rcq);
	rc_wc_none(s.r->end.rcq);
	raw_silence(s.r);
	raw_send(s.r, &s.good, 1);
	CHECK_EQ(rc_wc_ok(s.d->rcq).wr_id, 1);
	teardown(&s);
}

/* Many in one super-packet are as many datagrams; those beyond the receives are lost. */
static void burst(void)
{
	struct stage s = setup();
	struct raw_pkt pkt[DGRAM_SLOTS + 4];
	struct ibv_wc wc;
	size_t i;

	for (i = 0; i < DGRAM_SLOTS; i++)
		dgram_recv(s.d, i, DGRAM_SLOT);
	for (i = 0; i < ARRAY_SIZE(pkt); i++) {
		pkt[i] = s.good;
		pkt[i].psn = i;
	}
	raw_gso(s.r, pkt, ARRAY_SIZE(pkt));
	for (i = 0; i < DGRAM_SLOTS; i++) {
		wc = rc_wc_ok(s.d->rcq);
		CHECK_EQ(wc.wr_id, i);
		dgram_verify(s.d, &wc, s.good.len, 1);
	}
	rc_wc_none(s.d->rcq);
	CHECK_EQ(raw_stat(s.r, "ud_dropped") - s.dropped, 4);
	teardown(&s);
}

/* Members on this device and on another host get a datagram once each. */
static void group(void)
{
	struct stage s = setup();
	union ibv_gid gid = raw_gid(GROUP);
	struct ibv_ah_attr to = dgram_address(&gid, s.r->dev->gid_index);
	struct ibv_ah *ah = dgram_ah(s.r->dev->pd, &to);
	struct dgram *from = dgram_create(s.r->dev, NULL);
	int fd = raw_join(s.r, GROUP);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint8_t bytes[2048];
	struct ibv_wc wc;
	int i;

	CHECK_EQ(ibv_attach_mcast(s.d->qp, &gid, 0), 0);
	for (i = 0; i < 3; i++) {
		dgram_recv(s.d, i, DGRAM_SLOT);
		dgram_send(from, ah, GROUP_QPN, DGRAM_QKEY, 700, i);
		rc_wc_ok(from->scq);
		wc = rc_wc_ok(s.d->rcq);
		CHECK_EQ(wc.wr_id, i);
		dgram_verify(s.d, &wc, 700, i);
		CHECK_EQ(poll(&pfd, 1, 5000), 1);
		CHECK_EQ(recv(fd, bytes, sizeof(bytes), 0), 12 + 8 + 700 + 4);
		CHECK_EQ(bytes[0], UD_SEND_ONLY);
		rc_verify(bytes + 12 + 8, 700, i, "sent to the group");
	}
	dgram_recv(s.d, i, DGRAM_SLOT);
	rc_wc_none(s.d->rcq);
	CHECK_EQ(poll(&pfd, 1, 0), 0);
	CHECK_EQ(ibv_detach_mcast(s.d->qp, &gid, 0), 0);
	CHECK_EQ(ibv_destroy_ah(ah), 0);
	dgram_destroy(from);
	close(fd);
	teardown(&s);
}

static const struct test_case cases[] = {
	{ "raw_ud_good", good, 0 },
	{ "raw_ud_bad", bad, 0 },
	{ "raw_ud_burst", burst, 0 },
	{ "raw_ud_group", group, 0 },
};

CASE_TABLE(raw_ud_cases, cases);
