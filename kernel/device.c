// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The device as the RDMA core sees it: operations, limits, its port
 *
 * Processes use the device through rings that they map. Kernel users call the operations
 * post_*, poll_cq and req_notify_cq, which work on the same kind of rings.
 */
#include <linux/etherdevice.h>
#include <linux/if_ether.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <net/addrconf.h>
#include <rdma/ib_addr.h>
#include <rdma/ib_mad.h>
#include <rdma/uverbs_ioctl.h>

#include "base/ah.h"
#include "base/device.h"
#include "device.h"
#include "direct/direct.h"
#include "doorbell.h"
#include "mem/advise.h"
#include "mem/dma.h"
#include "mem/fastreg.h"
#include "mem/key.h"
#include "mem/mr.h"
#include "mem/mw.h"
#include "net/address.h"
#include "net/net.h"
#include "qp/qp.h"
#include "qp/qp_post.h"
#include "queue/cq.h"
#include "queue/opcode.h"
#include "queue/post.h"
#include "queue/ring.h"
#include "queue/srq.h"
#include "ud/ah.h"
#include "ud/mcast.h"
#include "ud/ud.h"
#include "ud/ud_recv.h"
#include "verbs.h"
#include "wire/wire.h"

/* It makes entries of functions that are declared above. */
#include "compat/ops.h"

/* The GID table has the addresses of the netdev: this is more than a netdev will have. */
#define GID_TBL_LEN		1024
#define PKEY_TBL_LEN		1
#define PKEY_DEFAULT		0xffff

static void device_fill_odp_caps(struct ib_odp_caps *caps)
{
	caps->general_caps = IB_ODP_SUPPORT | IB_ODP_SUPPORT_IMPLICIT;
	caps->per_transport_caps.rc_odp_caps = mirage_op_odp_caps(OP_RC) |
		IB_ODP_SUPPORT_RECV | IB_ODP_SUPPORT_SRQ_RECV;
	caps->per_transport_caps.uc_odp_caps = mirage_op_odp_caps(OP_UC) |
		IB_ODP_SUPPORT_RECV | IB_ODP_SUPPORT_SRQ_RECV;
	caps->per_transport_caps.ud_odp_caps = mirage_op_odp_caps(OP_UD) |
		IB_ODP_SUPPORT_RECV | IB_ODP_SUPPORT_SRQ_RECV;
	/* XRC has the opcodes of RC; all its receives are those of SRQs. */
	caps->per_transport_caps.xrc_odp_caps = mirage_op_odp_caps(OP_RC) |
		IB_ODP_SUPPORT_SRQ_RECV;
}

static void device_fill_identity(struct ib_device *ibdev, struct ib_device_attr *attr)
{
	attr->fw_ver = MIRAGE_ABI_VERSION;
	attr->sys_image_guid = ibdev->node_guid;
	attr->hw_ver = 1;
	/* Vendor ids are OUIs. This one is locally administered: there is no vendor. */
	attr->vendor_id = 0x024d52;
	attr->vendor_part_id = 1;
	attr->device_cap_flags = IB_DEVICE_PORT_ACTIVE_EVENT |
				 IB_DEVICE_SYS_IMAGE_GUID |
				 IB_DEVICE_RC_RNR_NAK_GEN |
				 IB_DEVICE_CURR_QP_STATE_MOD |
				 IB_DEVICE_SRQ_RESIZE |
				 IB_DEVICE_XRC |
				 IB_DEVICE_MEM_WINDOW |
				 IB_DEVICE_MEM_WINDOW_TYPE_2B |
				 IB_DEVICE_MEM_MGT_EXTENSIONS |
				 mirage_op_device_caps();
	attr->kernel_cap_flags = IBK_ON_DEMAND_PAGING | IBK_ALLOW_USER_UNREG;
}

static void device_fill_limits(struct ib_device_attr *attr)
{
	attr->max_mr_size = U64_MAX;
	attr->page_size_cap = PAGE_SIZE;
	attr->max_qp = MIRAGE_MAX_QP;
	attr->max_qp_wr = MIRAGE_MAX_WR;
	attr->max_send_sge = MIRAGE_MAX_SGE;
	attr->max_recv_sge = MIRAGE_MAX_SGE;
	attr->max_sge_rd = MIRAGE_MAX_SGE;
	attr->max_cq = MIRAGE_MAX_CQ;
	attr->max_cqe = MIRAGE_MAX_CQE;
	attr->max_mr = MIRAGE_MAX_MR;
	attr->max_mw = MIRAGE_MAX_MR; /* together with the regions */
	attr->max_pd = MIRAGE_MAX_PD;
	attr->max_ah = MIRAGE_MAX_AH;
	attr->max_mcast_grp = MIRAGE_MAX_MCAST_GROUPS;
	attr->max_mcast_qp_attach = MIRAGE_MAX_MCAST_MEMBERS;
	attr->max_total_mcast_qp_attach = MIRAGE_MAX_MCAST_GROUPS * MIRAGE_MAX_MCAST_MEMBERS;
	attr->max_srq = MIRAGE_MAX_SRQ;
	attr->max_srq_wr = MIRAGE_MAX_WR;
	attr->max_srq_sge = MIRAGE_MAX_SGE;
	attr->max_qp_rd_atom = MIRAGE_MAX_RD_ATOMIC;
	attr->max_qp_init_rd_atom = MIRAGE_MAX_RD_ATOMIC;
	attr->max_res_rd_atom = MIRAGE_MAX_RD_ATOMIC * MIRAGE_MAX_QP;
	attr->max_pkeys = PKEY_TBL_LEN;
	attr->max_fast_reg_page_list_len = MIRAGE_MAX_FASTREG_PAGES;
}

/**
 * mirage_query_device - ib_device_ops.query_device
 * @ibdev: the device; its core object may not be complete yet
 * @attr: zeroed; filled in
 * @udata: no driver data; NULL or empty when the core asks for itself
 *
 * Return: 0, or what is wrong with @udata.
 */
static int mirage_query_device(struct ib_device *ibdev, struct ib_device_attr *attr,
			       struct ib_udata *udata)
{
	int err = ib_is_udata_in_empty(udata);

	if (err)
		return err;

	device_fill_identity(ibdev, attr);
	device_fill_limits(attr);
	/* The CPU executes atomics: they are atomic against every other access. */
	attr->atomic_cap = IB_ATOMIC_GLOB;
	device_fill_odp_caps(&attr->odp_caps);
	attr->timestamp_mask = U64_MAX;
	attr->hca_core_clock = 1000 * 1000; /* timestamps are in ns; this is in kHz */
	return ib_respond_empty_udata(udata);
}

static void mirage_get_dev_fw_str(struct ib_device *ibdev, char *str)
{
	snprintf(str, IB_FW_VERSION_NAME_MAX, "%d", MIRAGE_ABI_VERSION);
}

static int mirage_query_port(struct ib_device *ibdev, u32 port,
			     struct ib_port_attr *attr)
{
	const struct mirage_dev *dev = to_mdev(ibdev);

	attr->state = ib_get_curr_port_state(dev->netdev);
	attr->phys_state = attr->state == IB_PORT_ACTIVE ?
			   IB_PORT_PHYS_STATE_LINK_UP : IB_PORT_PHYS_STATE_DISABLED;
	attr->max_mtu = IB_MTU_4096;
	attr->active_mtu = mirage_device_mtu(dev);
	attr->ip_gids = true;
	attr->gid_tbl_len = GID_TBL_LEN;
	attr->pkey_tbl_len = PKEY_TBL_LEN;
	attr->max_msg_sz = MIRAGE_MAX_MSG;
	attr->max_vl_num = 1;
	/* A netdev that goes away does not answer; then the speed does not matter. */
	if (ib_get_eth_speed(ibdev, port, &attr->active_speed, &attr->active_width)) {
		attr->active_speed = IB_SPEED_SDR;
		attr->active_width = IB_WIDTH_1X;
	}
	return 0;
}

static int mirage_query_pkey(struct ib_device *ibdev, u32 port, u16 index, u16 *pkey)
{
	if (index >= PKEY_TBL_LEN)
		return -EINVAL;
	*pkey = PKEY_DEFAULT;
	return 0;
}

static enum rdma_link_layer mirage_get_link_layer(struct ib_device *ibdev, u32 port)
{
	return IB_LINK_LAYER_ETHERNET;
}

static int mirage_get_port_immutable(struct ib_device *ibdev, u32 port,
				     struct ib_port_immutable *immutable)
{
	immutable->core_cap_flags = RDMA_CORE_PORT_IBA_ROCE_UDP_ENCAP;
	immutable->max_mad_size = IB_MGMT_MAD_SIZE;
	immutable->gid_tbl_len = GID_TBL_LEN;
	immutable->pkey_tbl_len = PKEY_TBL_LEN;
	return 0;
}

/* The core keeps the table of GIDs; net/ remembers what it looked up there. */
static int mirage_add_gid(const struct ib_gid_attr *attr, void **context)
{
	mirage_net_addresses_changed(to_mdev(attr->device));
	return 0;
}

static int mirage_del_gid(const struct ib_gid_attr *attr, void **context)
{
	mirage_net_addresses_changed(to_mdev(attr->device));
	return 0;
}

/* Nobody uses the device any more: it ends here, whether it was registered or not. */
static void mirage_dealloc_driver(struct ib_device *ibdev)
{
	struct mirage_dev *dev = to_mdev(ibdev);

	mirage_net_close(dev);
	/* Invalidations that found a region just before its end still use the counters. */
	synchronize_rcu();
	destroy_workqueue(dev->wq);
	WARN_ON(!xa_empty(&dev->qps));
	mirage_key_table_free(&dev->mrs);
	WARN_ON(!xa_empty(&dev->srqs));
	WARN_ON(!xa_empty(&dev->ahs));
	WARN_ON(!mirage_mcast_empty(&dev->mcast));
	free_percpu(dev->stats);
	netdev_put(dev->netdev, &dev->tracker);
}

static const struct ib_device_ops mirage_device_ops = {
	.owner = THIS_MODULE,
	.driver_id = MIRAGE_RDMA_DRIVER,
	.uverbs_abi_ver = MIRAGE_ABI_VERSION,
	OPS_ROBUST_UDATA

	.add_gid = mirage_add_gid,
	.advise_mr = mirage_advise_mr,
	.alloc_hw_port_stats = mirage_alloc_hw_port_stats,
	.alloc_mr = mirage_alloc_mr,
	.alloc_mw = mirage_alloc_mw,
	.alloc_pd = mirage_alloc_pd,
	.alloc_ucontext = mirage_alloc_ucontext,
	.alloc_xrcd = mirage_alloc_xrcd,
	.attach_mcast = mirage_attach_mcast,
	.create_ah = mirage_create_ah,
	OPS_CREATE_CQ,
	.create_qp = mirage_create_qp,
	.create_srq = mirage_create_srq,
	.create_user_ah = mirage_create_ah,
	.dealloc_driver = mirage_dealloc_driver,
	.dealloc_mw = mirage_dealloc_mw,
	.dealloc_pd = mirage_dealloc_pd,
	.dealloc_ucontext = mirage_dealloc_ucontext,
	.dealloc_xrcd = mirage_dealloc_xrcd,
	.del_gid = mirage_del_gid,
	.dereg_mr = mirage_dereg_mr,
	.destroy_ah = mirage_destroy_ah,
	.destroy_cq = mirage_destroy_cq,
	.destroy_qp = mirage_destroy_qp,
	.destroy_srq = mirage_destroy_srq,
	.detach_mcast = mirage_detach_mcast,
	.disassociate_ucontext = mirage_disassociate_ucontext,
	.fill_stat_mr_entry = mirage_fill_stat_mr,
	.get_dma_mr = mirage_get_dma_mr,
	.get_dev_fw_str = mirage_get_dev_fw_str,
	.get_hw_stats = mirage_get_hw_stats,
	.get_link_layer = mirage_get_link_layer,
	.get_port_immutable = mirage_get_port_immutable,
	.map_mr_sg = mirage_map_mr_sg,
	.mmap = mirage_ring_mmap,
	.mmap_free = mirage_ring_mmap_free,
	.modify_qp = mirage_modify_qp,
	.modify_srq = mirage_modify_srq,
	.poll_cq = mirage_poll_cq,
	.post_recv = mirage_post_recv,
	.post_send = mirage_post_send,
	.post_srq_recv = mirage_post_srq_recv,
	.query_device = mirage_query_device,
	.query_pkey = mirage_query_pkey,
	.query_port = mirage_query_port,
	.query_qp = mirage_query_qp,
	.query_srq = mirage_query_srq,
	.query_ucontext = mirage_query_ucontext,
	OPS_REG_USER_MR,
	.req_notify_cq = mirage_req_notify_cq,
	.rereg_user_mr = mirage_rereg_user_mr,
	OPS_RESIZE_CQ,

	INIT_RDMA_OBJ_SIZE(ib_ah, mirage_ah, ibah),
	INIT_RDMA_OBJ_SIZE(ib_cq, mirage_cq, ibcq),
	INIT_RDMA_OBJ_SIZE(ib_mw, mirage_ibmw, ibmw),
	INIT_RDMA_OBJ_SIZE(ib_pd, mirage_pd, ibpd),
	INIT_RDMA_OBJ_SIZE(ib_qp, mirage_ibqp, ibqp),
	INIT_RDMA_OBJ_SIZE(ib_srq, mirage_srq, ibsrq),
	INIT_RDMA_OBJ_SIZE(ib_ucontext, mirage_ucontext, ibuctx),
	INIT_RDMA_OBJ_SIZE(ib_xrcd, mirage_xrcd, ibxrcd),
};

static void device_init_port(struct mirage_dev *dev, struct net_device *netdev)
{
	struct ib_device *ibdev = &dev->ibdev;

	netdev_hold(netdev, &dev->tracker, GFP_KERNEL);
	dev->netdev = netdev;
	dev->port_state = ib_get_curr_port_state(netdev);

	ibdev->node_type = RDMA_NODE_IB_CA;
	ibdev->phys_port_cnt = 1;
	ibdev->num_comp_vectors = num_possible_cpus();
	ibdev->driver_def = mirage_uapi_defs;
	addrconf_addr_eui48((u8 *)&ibdev->node_guid, netdev->dev_addr);
	strscpy(ibdev->node_desc, "mirage", sizeof(ibdev->node_desc));
}

static const struct mirage_upcalls device_upcalls = {
	.packets = mirage_wire_input,
	.datagram = mirage_ud_input,
	.cqe_qp = mirage_qp_of_cqe,
	.srq_posted = mirage_qp_srq_posted,
};

/* A QP takes the first that suits it. */
static const struct mirage_carrier *const device_carriers[] = {
	&mirage_ud_carrier,
	&mirage_direct_carrier,
	&mirage_wire_carrier,
};

static struct lock_class_key srqs_key, ahs_key;

/**
 * mirage_device_create - make a device, not yet registered
 * @netdev: its netdev; a reference is taken
 *
 * Process context. Until the device is registered, ib_dealloc_device() undoes this; after
 * that the core does.
 *
 * Return: the device, or ERR_PTR(-ENOMEM).
 */
struct mirage_dev *mirage_device_create(struct net_device *netdev)
{
	struct mirage_dev *dev;
	int err = -ENOMEM;

	dev = ib_alloc_device_with_net(mirage_dev, ibdev, dev_net(netdev));
	if (!dev)
		return ERR_PTR(err);

	dev->upcalls = &device_upcalls;
	dev->stats = alloc_percpu(struct mirage_stats);
	if (!dev->stats)
		goto dealloc;
	/* Kernel users reach their disks through it. */
	dev->wq = alloc_workqueue("mirage", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!dev->wq)
		goto free_stats;
	dev->carriers = device_carriers;
	xa_init_flags(&dev->qps, XA_FLAGS_ALLOC);
	mirage_mw_table_init(&dev->mws);
	xa_init_flags(&dev->srqs, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_BH);
	/* Softirqs take the locks of these two tables, and of no other. */
	lockdep_set_class(&dev->srqs.xa_lock, &srqs_key);
	xa_init_flags(&dev->ahs, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_IRQ);
	lockdep_set_class(&dev->ahs.xa_lock, &ahs_key);
	mirage_mcast_init(&dev->mcast);

	/* From here on ib_dealloc_device() cleans up through dealloc_driver. */
	device_init_port(dev, netdev);
	ib_set_device_ops(&dev->ibdev, &mirage_device_ops);
	err = ib_device_set_netdev(&dev->ibdev, netdev, 1);
	if (err)
		goto dealloc;
	return dev;

free_stats:
	free_percpu(dev->stats);
dealloc:
	ib_dealloc_device(&dev->ibdev);
	return ERR_PTR(err);
}
