// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a device has of its netdev: addresses, and the length of packets
 *
 * The RDMA core keeps the table of addresses.
 */
#include <linux/if_vlan.h>
#include <rdma/ib_addr.h>
#include <rdma/ib_cache.h>

#include "base/device.h"
#include "net/address.h"

/**
 * mirage_local_gid - is that an address of this device?
 * @dev: the device
 * @gid: the address
 *
 * Any context but hardirq.
 *
 * Return: whether it is.
 */
bool mirage_local_gid(struct mirage_dev *dev, const union ib_gid *gid)
{
	const struct ib_gid_attr *attr;

	attr = rdma_find_gid(&dev->ibdev, gid, IB_GID_TYPE_ROCE_UDP_ENCAP, NULL);
	if (IS_ERR(attr))
		return false;
	rdma_put_gid_attr(attr);
	return true;
}

/**
 * mirage_gid_vlan - the VLAN that an address of this device is on
 * @dev: the device
 * @gid: the address
 *
 * Any context but hardirq.
 *
 * Return: its id, or 0 for none.
 */
u16 mirage_gid_vlan(struct mirage_dev *dev, const union ib_gid *gid)
{
	const struct ib_gid_attr *attr;
	u16 vlan;

	attr = rdma_find_gid(&dev->ibdev, gid, IB_GID_TYPE_ROCE_UDP_ENCAP, NULL);
	if (IS_ERR(attr))
		return 0;
	if (rdma_read_gid_l2_fields(attr, &vlan, NULL) || vlan > VLAN_VID_MASK)
		vlan = 0;
	rdma_put_gid_attr(attr);
	return vlan;
}

/**
 * mirage_device_mtu - the largest payload of a RoCE packet that the netdev takes
 * @dev: the device
 *
 * Any context. It changes with the netdev's own MTU.
 *
 * Return: the RoCE MTU.
 */
enum ib_mtu mirage_device_mtu(const struct mirage_dev *dev)
{
	/* iboe_get_mtu() returns 0 if not even the smallest MTU fits. */
	return iboe_get_mtu(READ_ONCE(dev->netdev->mtu)) ?: IB_MTU_256;
}
