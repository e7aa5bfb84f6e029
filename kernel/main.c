// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The init ladder, nothing else
 */
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "link.h"
#include "mem/odp.h"
#include "net/net.h"

static int __init mirage_init(void)
{
	int err;

	err = odp_init();
	if (err)
		return err;
	err = net_init();
	if (err)
		goto exit_odp;
	err = link_init();
	if (err)
		goto exit_net;
	return 0;

exit_net:
	net_exit();
exit_odp:
	odp_exit();
	return err;
}

static void __exit mirage_exit(void)
{
	link_exit();
	net_exit();
	odp_exit();
	/* Regions and QPs are freed after a grace period, by code of this module. */
	rcu_barrier();
}

module_init(mirage_init);
module_exit(mirage_exit);

MODULE_DESCRIPTION("Software RoCEv2 device with on-demand paging");
MODULE_LICENSE("Dual BSD/GPL");
