// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* ring.h and wqe.c: copying a work request out of a ring that a process can write to. */
#include "kshim.h"
#include "unit_test.h"
#include "queue/wqe.h"

/* A slot of exactly its size: a byte read beyond is seen by ASan. */
static struct mirage_send_wqe *slot_of(u32 stride)
{
	return calloc(1, stride);
}

static void wqe_copy_send__sges(void)
{
	u32 stride = mirage_wqe_send_stride(4, 0), i;
	struct mirage_send_wqe *slot = slot_of(stride);
	struct mirage_sge *sge = (void *)(slot + 1);
	static struct mirage_send_copy to;

	slot->num_sge = 4;
	slot->wr_id = 77;
	for (i = 0; i < 4; i++)
		sge[i] = (struct mirage_sge){ .addr = i, .length = 100 + i, .lkey = 7 };
	CHECK_EQ(mirage_wqe_copy_send(&to, slot, stride), 0);
	CHECK_EQ(to.head.wr_id, 77);
	CHECK_EQ(to.length, 406);
	CHECK(!to.inline_data);
	CHECK(!memcmp(to.sge, sge, 4 * sizeof(*sge)));
	free(slot);
}

static void wqe_copy_send__too_many_sges(void)
{
	static const u16 nums[] = { 5, 31, 32, 33, 255, 32768, UINT16_MAX };
	u32 stride = mirage_wqe_send_stride(4, 0);
	struct mirage_send_wqe *slot = slot_of(stride);
	static struct mirage_send_copy to;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(nums); i++) {
		slot->num_sge = nums[i];
		CHECK_EQ(mirage_wqe_copy_send(&to, slot, stride), -EINVAL);
	}
	free(slot);
}

static void wqe_copy_send__inline(void)
{
	u32 stride = mirage_wqe_send_stride(1, 100), room = stride - sizeof(struct mirage_send_wqe);
	struct mirage_send_wqe *slot = slot_of(stride);
	static struct mirage_send_copy to;
	u32 len;

	CHECK(room >= 100);
	slot->flags = MIRAGE_WQE_INLINE;
	slot->num_sge = UINT16_MAX;
	for (len = 0; len <= room; len++) {
		slot->inline_len = len;
		CHECK_EQ(mirage_wqe_copy_send(&to, slot, stride), 0);
		CHECK_EQ(to.length, len);
		CHECK_EQ(to.head.num_sge, 0);
		CHECK(to.inline_data == (void *)(slot + 1));
	}
	slot->inline_len = room + 1;
	CHECK_EQ(mirage_wqe_copy_send(&to, slot, stride), -EINVAL);
	slot->inline_len = UINT32_MAX;
	CHECK_EQ(mirage_wqe_copy_send(&to, slot, stride), -EINVAL);
	free(slot);
}

/* Lengths that only wrap in 32 bits are still too long. */
static void wqe_copy_send__too_long(void)
{
	u32 stride = mirage_wqe_send_stride(32, 0), i;
	struct mirage_send_wqe *slot = slot_of(stride);
	struct mirage_sge *sge = (void *)(slot + 1);
	static struct mirage_send_copy to;

	slot->num_sge = 2;
	sge[0].length = MIRAGE_MAX_MSG;
	CHECK_EQ(mirage_wqe_copy_send(&to, slot, stride), 0);
	CHECK_EQ(to.length, MIRAGE_MAX_MSG);
	sge[1].length = 1;
	CHECK_EQ(mirage_wqe_copy_send(&to, slot, stride), -EMSGSIZE);
	sge[1].length = MIRAGE_MAX_MSG;
	CHECK_EQ(mirage_wqe_copy_send(&to, slot, stride), -EMSGSIZE);
	slot->num_sge = 32;
	for (i = 0; i < 32; i++)
		sge[i].length = UINT32_MAX;
	CHECK_EQ(mirage_wqe_copy_send(&to, slot, stride), -EMSGSIZE);
	free(slot);
}

static void wqe_copy__noise(void)
{
	static struct mirage_send_copy send;
	static struct mirage_recv_copy recv;
	u64 random = 1, *words;
	u32 stride, i, n;
	int ret;

	for (n = 0; n < 20000; n++) {
		stride = n & 1 ? mirage_wqe_send_stride(unit_random(&random) % 33,
							unit_random(&random) % 1025) :
				 mirage_wqe_recv_stride(unit_random(&random) % 33);
		words = malloc(stride);
		for (i = 0; i < stride / 8; i++)
			words[i] = unit_random(&random) >> unit_random(&random) % 64;
		if (n & 1) {
			ret = mirage_wqe_copy_send(&send, words, stride);
			CHECK(ret || send.length <= MIRAGE_MAX_MSG);
			CHECK(ret || send.head.num_sge <= MIRAGE_MAX_SGE);
			CHECK(ret || !send.inline_data || send.length <= stride - 64);
		} else {
			ret = mirage_wqe_copy_recv(&recv, words, stride);
			CHECK(ret || (recv.num_sge <= MIRAGE_MAX_SGE &&
				      recv.length <= MIRAGE_MAX_MSG));
		}
		CHECK(ret == 0 || ret == -EINVAL || ret == -EMSGSIZE);
		free(words);
	}
}

static void wqe_stride__fits(void)
{
	u32 sge, data;

	for (sge = 0; sge <= MIRAGE_MAX_SGE; sge++) {
		for (data = 0; data <= MIRAGE_MAX_INLINE; data++) {
			CHECK(mirage_wqe_send_stride(sge, data) >=
			      sizeof(struct mirage_send_wqe) + data);
			CHECK(mirage_wqe_send_stride(sge, data) >= sizeof(struct mirage_send_wqe) +
			      sge * sizeof(struct mirage_sge));
		}
		CHECK(mirage_wqe_recv_stride(sge) >= sizeof(struct mirage_recv_wqe) +
		      sge * sizeof(struct mirage_sge));
	}
}

static void ring_pop__in_order(void)
{
	u32 entries = 8, stride = mirage_wqe_recv_stride(1), i;
	struct mirage_ring_hdr *hdr = calloc(1, sizeof(*hdr) + entries * stride);
	/* Indices run over 2^32. */
	struct mirage_ring ring = { .hdr = hdr, .slots = hdr + 1, .entries = entries,
			     .stride = stride, .index = UINT32_MAX - 20 };
	struct mirage_recv_wqe *slot;
	static struct mirage_recv_copy to;

	hdr->prod = ring.index;
	CHECK_EQ(mirage_wqe_pop_recv(&ring, &to), -ENOENT);
	for (i = 0; i < 100; i++) {
		slot = mirage_ring_slot(&ring, hdr->prod);
		slot->wr_id = i;
		slot->num_sge = 0;
		hdr->prod++;
		CHECK_EQ(mirage_wqe_pop_recv(&ring, &to), 0);
		CHECK_EQ(to.wr_id, i);
		CHECK_EQ(hdr->cons, hdr->prod);
		CHECK_EQ(mirage_wqe_pop_recv(&ring, &to), -ENOENT);
	}
	free(hdr);
}

/* A process' index out of bounds is reported, and the kernel's own does not move. */
static void ring_pending__bounds(void)
{
	static const u32 indices[] = { 0, 1, 100, 0x7fffffff, 0x80000000, UINT32_MAX };
	struct mirage_ring_hdr *hdr = calloc(1, sizeof(*hdr) + 8 * 32);
	struct mirage_ring ring = { .hdr = hdr, .slots = hdr + 1, .entries = 8, .stride = 32 };
	static struct mirage_recv_copy to;
	size_t i;
	u32 n;

	for (i = 0; i < ARRAY_SIZE(indices); i++) {
		ring.index = indices[i];
		for (n = 0; n <= 8; n++) {
			hdr->prod = ring.index + n;
			CHECK_EQ(mirage_ring_pending(&ring), n);
		}
		hdr->prod = ring.index + 9;
		CHECK_EQ(mirage_ring_pending(&ring), -EPROTO);
		hdr->prod = ring.index - 1;
		CHECK_EQ(mirage_ring_pending(&ring), -EPROTO);
		CHECK_EQ(mirage_wqe_pop_recv(&ring, &to), -EPROTO);
		CHECK_EQ(ring.index, indices[i]);
	}
	free(hdr);
}

const struct test_case wqe_cases[] = {
	{ "wqe_copy_send__sges", wqe_copy_send__sges, 0 },
	{ "wqe_copy_send__too_many_sges", wqe_copy_send__too_many_sges, 0 },
	{ "wqe_copy_send__inline", wqe_copy_send__inline, 0 },
	{ "wqe_copy_send__too_long", wqe_copy_send__too_long, 0 },
	{ "wqe_copy__noise", wqe_copy__noise, 0 },
	{ "wqe_stride__fits", wqe_stride__fits, 0 },
	{ "ring_pop__in_order", ring_pop__in_order, 0 },
	{ "ring_pending__bounds", ring_pending__bounds, 0 },
};

const size_t wqe_count = ARRAY_SIZE(wqe_cases);
