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

	err = mirage_odp_init();
	if (err)
		return err;
	err = mirage_net_init();
	if (err)
		goto exit_odp;
	err = mirage_link_init();
	if (err)
		goto exit_net;
	return 0;

exit_net:
	mirage_net_exit();
exit_odp:
	mirage_odp_exit();
	return err;
}

static void __exit mirage_exit(void)
{
	mirage_link_exit();
	mirage_net_exit();
	mirage_odp_exit();
	/* RCU callbacks that free regions and QPs are code of this module. */
	rcu_barrier();
}

module_init(mirage_init);
module_exit(mirage_exit);

MODULE_DESCRIPTION("Software RoCEv2 device with on-demand paging");
MODULE_LICENSE("Dual BSD/GPL");
