// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * `rdma link add NAME type mirage netdev DEV`, and the end of DEV
 *
 * When a netdev goes away, its device goes too. The notifier of the netdev runs under RTNL
 * and cannot wait, so the core unregisters the device in a work item. The netdev waits for
 * that at its end, without RTNL. Nothing in the work item waits for a process.
 */
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <rdma/rdma_netlink.h>

#include "base/device.h"
#include "device.h"
#include "link.h"

/* At most one device per netdev: held from the look for one to the registration. */
static DEFINE_MUTEX(newlink_mutex);

static int link_check_netdev(const struct net_device *netdev)
{
	if (netdev->type != ARPHRD_ETHER && netdev->type != ARPHRD_LOOPBACK) {
		netdev_notice(netdev, "mirage: not an Ethernet device\n");
		return -EOPNOTSUPP;
	}
	if (is_vlan_dev(netdev)) {
		netdev_notice(netdev,
			      "mirage: the GIDs of a VLAN belong to a device over the netdev below it\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int link_register_device(const char *name, struct net_device *netdev)
{
	struct mirage_dev *dev;
	int err;

	dev = mirage_device_create(netdev);
	if (IS_ERR(dev))
		return PTR_ERR(dev);

	ib_mark_name_assigned_by_user(&dev->ibdev);
	err = ib_register_device(&dev->ibdev, name, NULL);
	if (err)
		ib_dealloc_device(&dev->ibdev);
	return err;
}

static bool link_is_registered(const struct net_device *netdev)
{
	bool registered;

	rtnl_lock();
	registered = netdev->reg_state == NETREG_REGISTERED;
	rtnl_unlock();
	return registered;
}

static int link_newlink_locked(const char *name, struct net_device *netdev)
	__must_hold(&newlink_mutex)
{
	struct ib_device *ibdev;
	int err;

	lockdep_assert_held(&newlink_mutex);
	ibdev = ib_device_get_by_netdev(netdev, MIRAGE_RDMA_DRIVER);
	if (ibdev) {
		ib_device_put(ibdev);
		return -EEXIST;
	}

	err = link_register_device(name, netdev);
	if (err)
		return err;
	if (link_is_registered(netdev))
		return 0;

	/* The notifier may have run before it could find the device. */
	ibdev = ib_device_get_by_netdev(netdev, MIRAGE_RDMA_DRIVER);
	if (ibdev)
		ib_unregister_device_and_put(ibdev);
	return -ENODEV;
}

static int mirage_newlink(const char *name, struct net_device *netdev)
{
	int err = link_check_netdev(netdev);

	if (err)
		return err;
	mutex_lock(&newlink_mutex);
	err = link_newlink_locked(name, netdev);
	mutex_unlock(&newlink_mutex);
	return err;
}

static struct rdma_link_ops link_ops = {
	.type = "mirage",
	.newlink = mirage_newlink,
};

static int link_netdev_event(struct notifier_block *nb, unsigned long event, void *ptr)
{
	struct net_device *netdev = netdev_notifier_info_to_dev(ptr);
	struct ib_device *ibdev;

	ibdev = ib_device_get_by_netdev(netdev, MIRAGE_RDMA_DRIVER);
	if (!ibdev)
		return NOTIFY_DONE;

	switch (event) {
	case NETDEV_UNREGISTER:
		ib_unregister_device_queued(ibdev);
		break;
	case NETDEV_UP:
	case NETDEV_DOWN:
	case NETDEV_CHANGE:
		compat_port_event(ibdev, netdev, &to_mdev(ibdev)->port_state);
		break;
	}
	ib_device_put(ibdev);
	return NOTIFY_DONE;
}

static struct notifier_block link_netdev_nb = {
	.notifier_call = link_netdev_event,
};

/**
 * mirage_link_init - accept requests for devices
 *
 * Return: 0 or what the netdev notifier chain says.
 */
int mirage_link_init(void)
{
	int err = register_netdevice_notifier(&link_netdev_nb);

	if (err)
		return err;
	rdma_link_register(&link_ops);
	return 0;
}

/** mirage_link_exit - accept no more requests, and end all devices, in use or not */
void mirage_link_exit(void)
{
	rdma_link_unregister(&link_ops);
	unregister_netdevice_notifier(&link_netdev_nb);
	ib_unregister_driver(MIRAGE_RDMA_DRIVER);
}

MODULE_ALIAS_RDMA_LINK("mirage");
