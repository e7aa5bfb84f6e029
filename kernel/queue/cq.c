// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Completion queues
 *
 * This file posts CQEs, and fires the completion event when the CQ is armed. A process
 * polls the ring without a system call; a kernel user polls with mirage_poll_cq() and
 * arms with mirage_req_notify_cq().
 *
 * Arming races with posting. Each side writes its word and then looks at the
 * other's, with a full barrier in between, so at least one of them sees the other:
 *
 *	process				mirage_cq_post()
 *	cons_flags = arm		prod = ++index
 *	full barrier			full barrier
 *	looks at prod			looks at cons_flags
 */
#include <linux/log2.h>
#include <linux/timekeeping.h>
#include <rdma/uverbs_ioctl.h>

#include "base/device.h"
#include "base/udata.h"
#include "queue/cq.h"

#define CQ_FLAGS	(MIRAGE_CQ_TIMESTAMP | MIRAGE_CQ_WALLCLOCK)

static void cq_dispatch_overflow(struct mirage_cq *cq)
{
	struct ib_event event = {
		.device = cq->ibcq.device,
		.event = IB_EVENT_CQ_ERR,
		.element.cq = &cq->ibcq,
	};

	ibdev_dbg(cq->ibcq.device, "a CQ of %u entries overflowed\n",
		  cq->ring.entries);
	if (cq->ibcq.event_handler)
		cq->ibcq.event_handler(&event, cq->ibcq.cq_context);
}

/**
 * mirage_cq_stamp - fill in the timestamps that the CQ was made for
 * @cq: the CQ; its lock is held
 * @slot: the CQE
 */
void mirage_cq_stamp(const struct mirage_cq *cq, struct mirage_cqe *slot)
	__must_hold(&cq->lock)
{
	lockdep_assert_held(&cq->lock);
	if (cq->flags & MIRAGE_CQ_TIMESTAMP)
		slot->timestamp = ktime_get_raw_ns();
	if (cq->flags & MIRAGE_CQ_WALLCLOCK)
		slot->wallclock = ktime_get_real_ns();
}

/**
 * mirage_cq_take_arm - take the arm word when it asks for this CQE
 * @cq: the CQ; its lock is held
 * @solicited: as mirage_cq_post(), or the CQE is an error
 *
 * Return: whether the completion event is due.
 */
bool mirage_cq_take_arm(struct mirage_cq *cq, bool solicited)
	__must_hold(&cq->lock)
{
	struct mirage_ring_hdr *hdr = cq->ring.hdr;

	lockdep_assert_held(&cq->lock);
	if (READ_ONCE(hdr->cons_flags) == MIRAGE_ARM_SOLICITED && !solicited)
		return false;
	/*
	 * Whatever the process has written since, the same event answers it: the
	 * process finds this CQE.
	 */
	return xchg(&hdr->cons_flags, MIRAGE_ARM_NONE);
}

/**
 * mirage_cq_overflow - mirage_cq_begin() found no slot
 * @cq: the CQ; its lock is not held any more
 *
 * The CQ is dead from now on; IB_EVENT_CQ_ERR is raised once.
 *
 * Return: -EOVERFLOW.
 */
int mirage_cq_overflow(struct mirage_cq *cq)
{
	if (!xchg(&cq->told, 1))
		cq_dispatch_overflow(cq);
	return -EOVERFLOW;
}

/**
 * mirage_cq_post - post one completion
 * @cq: the CQ; a QP keeps it alive
 * @cqe: what to post; the timestamps are filled in here, where asked for
 * @solicited: wakes a process that armed the CQ for solicited completions; errors do so
 *	in any case
 *
 * Any context but hardirq; BHs need not be off, no lock of a CQ is held.
 *
 * Return: 0, or -EOVERFLOW: the CQ is full, or the process' index is nonsense. Then the
 * CQ is dead from now on, IB_EVENT_CQ_ERR was raised, and the caller puts its QP in the
 * error state.
 */
int mirage_cq_post(struct mirage_cq *cq, const struct mirage_cqe *cqe, bool solicited)
{
	struct mirage_cqe *slot;
	int ret;

	local_bh_disable();
	slot = mirage_cq_begin(cq);
	if (slot)
		*slot = *cqe;
	ret = mirage_cq_end(cq, slot, solicited || cqe->status);
	local_bh_enable();
	return ret;
}

static int cq_entries_for(unsigned int cqe, u32 *entries)
{
	if (!cqe || cqe > MIRAGE_MAX_CQE)
		return -EINVAL;
	*entries = roundup_pow_of_two(cqe);
	return 0;
}

static int cq_take_flags(struct ib_udata *udata, u32 *flags)
{
	struct mirage_create_cq_req req = {};
	int err;

	err = ib_copy_validate_udata_in(udata, req, reserved);
	if (err)
		return err;
	if (req.flags & ~CQ_FLAGS || req.reserved)
		return -EOPNOTSUPP;

	*flags = req.flags;
	return 0;
}

/**
 * mirage_create_cq - ib_device_ops.create_user_cq and create_cq
 * @ibcq: the core's object, zeroed
 * @attr: asks for ->cqe entries; ->cqe of @ibcq says how many there are
 * @attrs: driver data: struct mirage_create_cq_req and _resp; NULL for a kernel user
 *
 * Return: 0, -EINVAL for a size or completion vector that no CQ has, -EOPNOTSUPP for
 * unknown flags, -ENOMEM when a limit is reached, too.
 */
int mirage_create_cq(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
		     struct uverbs_attr_bundle *attrs)
{
	struct mirage_dev *dev = to_mdev(ibcq->device);
	struct ib_udata *udata = attrs ? &attrs->driver_udata : NULL;
	struct mirage_create_cq_resp resp = {};
	struct mirage_cq *cq = to_mcq(ibcq);
	u32 entries;
	int err;

	if (attr->comp_vector >= ibcq->device->num_comp_vectors)
		return -EINVAL;
	err = cq_entries_for(attr->cqe, &entries);
	if (err)
		return err;
	/* The flags of the driver data say all that these could, and more. */
	if (attr->flags)
		return -EOPNOTSUPP;
	err = udata ? cq_take_flags(udata, &cq->flags) : 0;
	if (err)
		return err;
	if (!mirage_limit_get(&dev->num_cq, MIRAGE_MAX_CQ))
		return -ENOMEM;

	spin_lock_init(&cq->lock);
	spin_lock_init(&cq->poll_lock);
	err = mirage_ring_create(&cq->ring, attrs ? attrs->context : NULL, entries,
				 sizeof(struct mirage_cqe));
	if (err)
		goto put_limit;
	mirage_ring_info(&cq->ring, &resp.ring);
	err = udata ? ib_respond_udata(udata, resp) : 0;
	if (err)
		goto destroy_ring;

	ibcq->cqe = entries;
	return 0;

destroy_ring:
	mirage_ring_destroy(&cq->ring);
put_limit:
	mirage_limit_put(&dev->num_cq);
	return err;
}

/*
 * Makes *ring the ring of the CQ and leaves the old one in *ring. The indices go on
 * where they were, so each CQE moves to the slot of its index in the new ring.
 */
static int cq_switch_ring(struct mirage_cq *cq, struct mirage_ring *ring)
	__must_hold(&cq->lock)
{
	u32 cons, index;

	lockdep_assert_held(&cq->lock);
	/* Pairs with the release store of the process after it read the slots. */
	cons = smp_load_acquire(&cq->ring.hdr->cons);
	if (cq->overflow || cq->ring.index - cons > min(cq->ring.entries, ring->entries))
		return -EINVAL;

	for (index = cons; index != cq->ring.index; index++)
		memcpy(mirage_ring_slot(ring, index), mirage_ring_slot(&cq->ring, index),
		       sizeof(struct mirage_cqe));
	ring->index = cq->ring.index;
	WRITE_ONCE(ring->hdr->cons, cons);
	WRITE_ONCE(ring->hdr->cons_flags, xchg(&cq->ring.hdr->cons_flags, 0));
	/* The slots before the index that covers them. */
	smp_store_release(&ring->hdr->prod, ring->index);

	swap(cq->ring, *ring);
	cq->ibcq.cqe = cq->ring.entries;
	return 0;
}

/**
 * mirage_resize_cq - ib_device_ops.resize_user_cq, resize_cq
 * @ibcq: the CQ
 * @cqe: entries wanted
 * @udata: driver data: struct mirage_resize_cq_resp; NULL for a kernel user
 *
 * Completions go on meanwhile; the process must neither poll nor arm. The process is
 * told of the new ring before that is in use, because nothing may fail after the switch.
 *
 * Return: 0, -EINVAL for a size that no CQ has or that is too small for the CQEs
 * that were not polled yet, -ENOMEM, -EFAULT.
 */
int mirage_resize_cq(struct ib_cq *ibcq, unsigned int cqe, struct ib_udata *udata)
{
	struct ib_ucontext *uctx = mirage_udata_context(udata);
	struct mirage_resize_cq_resp resp = {};
	struct mirage_cq *cq = to_mcq(ibcq);
	struct mirage_ring ring = {};
	u32 entries;
	int err;

	err = ib_is_udata_in_empty(udata);
	if (err)
		return err;
	err = cq_entries_for(cqe, &entries);
	if (err)
		return err;
	err = mirage_ring_create(&ring, uctx, entries, sizeof(struct mirage_cqe));
	if (err)
		return err;
	mirage_ring_info(&ring, &resp.ring);
	err = udata ? ib_respond_udata(udata, resp) : 0;
	if (err)
		goto destroy_ring;

	spin_lock_bh(&cq->lock);
	if (udata) {
		/* It copies up to 16 MiB, which is too long with interrupts off. */
		err = cq_switch_ring(cq, &ring);
	} else {
		spin_lock_irq(&cq->poll_lock);
		err = cq_switch_ring(cq, &ring);
		spin_unlock_irq(&cq->poll_lock);
	}
	spin_unlock_bh(&cq->lock);

destroy_ring:
	mirage_ring_destroy(&ring);
	return err;
}

/** mirage_destroy_cq - ib_device_ops.destroy_cq; no QP posts to it any more */
int mirage_destroy_cq(struct ib_cq *ibcq, struct ib_udata *udata)
{
	mirage_ring_destroy(&to_mcq(ibcq)->ring);
	mirage_limit_put(&to_mdev(ibcq->device)->num_cq);
	return 0;
}

/* False: its QP was destroyed, so the user does not want the CQE any more. */
static bool cq_to_wc(struct mirage_dev *dev, const struct mirage_cqe *cqe, struct ib_wc *wc)
{
	struct ib_qp *ibqp = dev->upcalls->cqe_qp(dev, cqe->qp_num);

	if (!ibqp)
		return false;
	*wc = (struct ib_wc) {
		.wr_id = cqe->wr_id,
		.status = cqe->status,
		.opcode = cqe->opcode,
		.vendor_err = cqe->vendor_err,
		.byte_len = cqe->byte_len,
		.qp = ibqp,
		.ex.invalidate_rkey = cqe->ex,
		.src_qp = cqe->src_qp,
		.port_num = 1,
	};
	if (cqe->wc_flags & MIRAGE_WC_GRH) {
		wc->pkey_index = cqe->pkey_index;
		wc->wc_flags = IB_WC_GRH | IB_WC_WITH_NETWORK_HDR_TYPE;
		wc->network_hdr_type = cqe->wc_flags & MIRAGE_WC_IPV4 ?
				       RDMA_NETWORK_IPV4 : RDMA_NETWORK_IPV6;
		wc->vlan_id = cqe->wc_flags >> MIRAGE_WC_VLAN_SHIFT;
		wc->wc_flags |= wc->vlan_id ? IB_WC_WITH_VLAN : 0;
	}
	if (cqe->wc_flags & MIRAGE_WC_WITH_IMM)
		wc->wc_flags |= IB_WC_WITH_IMM;
	if (cqe->wc_flags & MIRAGE_WC_WITH_INV)
		wc->wc_flags |= IB_WC_WITH_INVALIDATE;
	return true;
}

/**
 * mirage_poll_cq - ib_device_ops.poll_cq
 * @ibcq: a kernel user's CQ
 * @num: room in @wc
 * @wc: filled
 *
 * Any context but hardirq. CQEs of QPs that are destroyed are left out.
 *
 * Return: number of entries filled, or -EOPNOTSUPP for the CQ of a process.
 */
int mirage_poll_cq(struct ib_cq *ibcq, int num, struct ib_wc *wc)
{
	struct mirage_dev *dev = to_mdev(ibcq->device);
	struct mirage_cq *cq = to_mcq(ibcq);
	struct mirage_ring_hdr *hdr;
	unsigned long flags;
	int n = 0;
	u32 cons;

	if (ibcq->uobject)
		return -EOPNOTSUPP;

	spin_lock_irqsave(&cq->poll_lock, flags);
	rcu_read_lock();
	hdr = cq->ring.hdr;
	cons = hdr->cons;
	/* Pairs with the release store of mirage_cq_post(). */
	while (n < num && cons != smp_load_acquire(&hdr->prod))
		n += cq_to_wc(dev, mirage_ring_slot(&cq->ring, cons++), wc + n);
	/* From here on the slots may be reused. */
	smp_store_release(&hdr->cons, cons);
	rcu_read_unlock();
	spin_unlock_irqrestore(&cq->poll_lock, flags);
	return n;
}

/**
 * mirage_req_notify_cq - ib_device_ops.req_notify_cq
 * @ibcq: a kernel user's CQ
 * @flags: which completions to be told of; IB_CQ_REPORT_MISSED_EVENTS
 *
 * Any context but hardirq. A CQ that is armed for all completions stays so.
 *
 * Return: 0; 1: there are completions already; -EOPNOTSUPP for the CQ of a process.
 */
int mirage_req_notify_cq(struct ib_cq *ibcq, enum ib_cq_notify_flags flags)
{
	bool any = (flags & IB_CQ_SOLICITED_MASK) == IB_CQ_NEXT_COMP;
	u32 arm = any ? MIRAGE_ARM_ANY : MIRAGE_ARM_SOLICITED;
	struct mirage_cq *cq = to_mcq(ibcq);
	struct mirage_ring_hdr *hdr;
	unsigned long irq;
	bool missed;

	if (ibcq->uobject)
		return -EOPNOTSUPP;

	spin_lock_irqsave(&cq->poll_lock, irq);
	hdr = cq->ring.hdr;
	if (READ_ONCE(hdr->cons_flags) < arm)
		WRITE_ONCE(hdr->cons_flags, arm);
	/* Between our flag and the poster's index: see the top of this file. */
	smp_mb();
	missed = READ_ONCE(hdr->prod) != hdr->cons;
	spin_unlock_irqrestore(&cq->poll_lock, irq);
	return missed && flags & IB_CQ_REPORT_MISSED_EVENTS;
}
