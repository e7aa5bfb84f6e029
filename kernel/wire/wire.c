// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The carrier between devices: connections, and which QP gets a packet
 *
 * qp->carried is set and cleared under qp->mutex. A softirq that found the wire just before may
 * use it until its RCU read side ends, but accepts no packet once both directions are closed.
 * A fault or a work item of the wire has a reference on the QP; wire_disconnect() waits for it.
 */
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <rdma/ib_mad.h>

#include "base/device.h"
#include "net/address.h"
#include "qp/qp.h"
#include "wire/wire.h"

/*
 * Checks the packet at @off and passes it, and those that belong with it, to their QP. Returns
 * the offset of the next packet, or 0.
 */
static u32 wire_input_from(struct mirage_dev *dev, struct sk_buff *skb, u32 off)
{
	struct mirage_net_seg seg;
	struct mirage_wire *wire;
	struct mirage_qp *qp;

	if (mirage_net_segment(skb, off, &seg))
		return seg.next;
	if ((seg.pkt.opcode & PKT_TRANSPORT) == PKT_UD && mirage_wire_right_pkey(seg.pkt.pkey))
		return dev->upcalls->datagram(dev, skb, &seg);
	qp = mirage_qp_find(dev, seg.pkt.qpn);
	/* Pairs with wire_connect(). A QP for datagrams has no wire. */
	wire = qp && qp->transport != OP_UD ? smp_load_acquire(&qp->carried) : NULL;
	if (!wire || !mirage_wire_right_pkey(seg.pkt.pkey)) {
		mirage_stat_inc(dev, MIRAGE_STAT_RX_DISCARDS);
		return seg.next;
	}
	return mirage_wire_hold_input(seg.pkt.op->response ? &wire->responses : &wire->requests,
				 skb, off, &seg);
}

/**
 * mirage_wire_input - an skb with one packet or more has come
 * @dev: the device that it is for
 * @skb: the skb; consumed here
 *
 * The mirage_upcalls.packets of a device. BHs off, under rcu_read_lock().
 */
void mirage_wire_input(struct mirage_dev *dev, struct sk_buff *skb)
{
	u32 off = mirage_net_cb(skb)->off;

	do {
		off = wire_input_from(dev, skb, off);
	} while (off);
	napi_consume_skb(skb, 1);
}

static bool wire_is_local(struct mirage_qp *qp, const struct ib_qp_attr *attr)
{
	return mirage_local_gid(qp->dev, &rdma_ah_read_grh(&attr->ah_attr)->dgid);
}

/* The last carrier in the list: it takes every peer that the other carriers do not. */
static bool wire_suits(struct mirage_qp *qp, const struct ib_qp_attr *attr)
{
	return true;
}

/* If the UDP port is taken in the namespace, the QP connects but gets no answers. */
static int wire_connect(struct mirage_qp *qp, const struct ib_qp_attr *attr)
{
	struct mirage_wire *wire;
	int err;

	lockdep_assert_held(&qp->mutex);
	wire = kzalloc_obj(*wire, GFP_KERNEL_ACCOUNT);
	if (!wire)
		return -ENOMEM;
	wire->qp = qp;
	spin_lock_init(&wire->req.lock);
	mirage_wire_hold_init(&wire->requests, wire);
	mirage_wire_hold_init(&wire->responses, wire);
	err = mirage_wire_resp_create(wire, attr);
	if (err)
		goto free;
	err = mirage_wire_req_create(wire, attr);
	if (err)
		goto destroy_resp;
	/* A softirq that finds the wire sees all that was written before. */
	smp_store_release(&qp->carried, wire);

	mirage_net_open(qp->dev);
	mirage_wire_hold_open(&wire->requests);
	mirage_wire_hold_open(&wire->responses);
	return 0;

destroy_resp:
	mirage_wire_resp_destroy(wire);
free:
	kfree(wire);
	return err;
}

static int wire_readdress(struct mirage_qp *qp, const struct ib_qp_attr *attr)
{
	struct mirage_wire *wire = mirage_wire_of(qp);
	struct mirage_net_path path, resp;
	int err;

	lockdep_assert_held(&qp->mutex);
	if (wire_is_local(qp, attr))
		return -EINVAL;
	err = mirage_net_path_init(&path, qp->dev, &attr->ah_attr, qp->qpn, qp->attr.dest_qp_num);
	if (err)
		return err;
	err = mirage_net_path_init(&resp, qp->dev, &attr->ah_attr, qp->qpn, qp->attr.dest_qp_num);
	if (err) {
		mirage_net_path_release(&path);
		return err;
	}
	spin_lock_bh(&wire->req.lock);
	swap(wire->req.path, path);
	spin_unlock_bh(&wire->req.lock);
	spin_lock_bh(&qp->lock);
	swap(wire->resp.path, resp);
	spin_unlock_bh(&qp->lock);
	mirage_net_path_release(&path);
	mirage_net_path_release(&resp);
	return 0;
}

static void wire_disconnect(struct mirage_qp *qp)
{
	struct mirage_wire *wire = mirage_wire_of(qp);

	mirage_wire_hold_close(&wire->requests);
	mirage_wire_hold_close(&wire->responses);
	mirage_wire_req_destroy(wire);
	WRITE_ONCE(qp->carried, NULL);
	mirage_wire_resp_destroy(wire);
	kfree_rcu(wire, rcu);
}

const struct mirage_carrier mirage_wire_carrier = {
	.suits = wire_suits,
	.connect = wire_connect,
	.readdress = wire_readdress,
	.disconnect = wire_disconnect,
	.run = mirage_wire_req_run,
	.is_busy = mirage_wire_req_is_busy,
};
