// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * pd.c - protection domains, thread domains and what joins the two
 *
 * The kernel knows protection domains only. With a thread domain the application
 * promises to use the objects made on it from one thread at a time; a parent domain
 * joins it to a protection domain, and queues made there need no locks.
 */
#include <stdlib.h>

#include "mirage.h"

#define _STRUCT_mirage_alloc_pd_resp struct {}

DECLARE_DRV_CMD(mirage_alloc_pd_cmd, IB_USER_VERBS_CMD_ALLOC_PD,
		empty, mirage_alloc_pd_resp);

struct ibv_pd *mirage_alloc_pd(struct ibv_context *context)
{
	struct mirage_alloc_pd_cmd_resp resp;
	struct ibv_alloc_pd cmd;
	struct mirage_pd *pd;
	int err;

	pd = calloc(1, sizeof(*pd));
	if (!pd)
		return NULL;

	err = ibv_cmd_alloc_pd(context, &pd->ibpd, &cmd, sizeof(cmd),
			       &resp.ibv_resp, sizeof(resp));
	if (err) {
		free(pd);
		errno = err;
		return NULL;
	}
	return &pd->ibpd;
}

/* Nothing checks the handle here: the kernel does when an object is made in the domain. */
struct ibv_pd *mirage_import_pd(struct ibv_context *context, uint32_t handle)
{
	struct mirage_pd *pd = calloc(1, sizeof(*pd));

	if (!pd)
		return NULL;

	pd->ibpd.context = context;
	pd->ibpd.handle = handle;
	return &pd->ibpd;
}

void mirage_unimport_pd(struct ibv_pd *ibpd)
{
	free(to_mpd(ibpd));
}

struct ibv_td *mirage_alloc_td(struct ibv_context *context,
			       struct ibv_td_init_attr *attr)
{
	struct mirage_td *td;

	if (attr->comp_mask) {
		errno = EOPNOTSUPP;
		return NULL;
	}

	td = calloc(1, sizeof(*td));
	if (!td)
		return NULL;

	td->ibtd.context = context;
	return &td->ibtd;
}

int mirage_dealloc_td(struct ibv_td *ibtd)
{
	struct mirage_td *td = to_mtd(ibtd);

	if (atomic_load(&td->users))
		return EBUSY;

	free(td);
	return 0;
}

/*
 * The application's allocators are accepted and never called: the kernel allocates
 * the rings, and nothing else would come from them.
 */
struct ibv_pd *
mirage_alloc_parent_domain(struct ibv_context *context,
			   struct ibv_parent_domain_init_attr *attr)
{
	struct mirage_pd *pd;

	if (ibv_check_alloc_parent_domain(attr))
		return NULL;

	if (!check_comp_mask(attr->comp_mask,
			     IBV_PARENT_DOMAIN_INIT_ATTR_ALLOCATORS |
			     IBV_PARENT_DOMAIN_INIT_ATTR_PD_CONTEXT)) {
		errno = EOPNOTSUPP;
		return NULL;
	}

	pd = calloc(1, sizeof(*pd));
	if (!pd)
		return NULL;

	ibv_initialize_parent_domain(&pd->ibpd, attr->pd);
	pd->contained = to_mpd(attr->pd);
	atomic_fetch_add(&pd->contained->users, 1);
	if (attr->td) {
		pd->td = to_mtd(attr->td);
		atomic_fetch_add(&pd->td->users, 1);
	}
	return &pd->ibpd;
}

int mirage_dealloc_pd(struct ibv_pd *ibpd)
{
	struct mirage_pd *pd = to_mpd(ibpd);
	int err;

	if (atomic_load(&pd->users))
		return EBUSY;

	if (!pd->contained) {
		err = ibv_cmd_dealloc_pd(ibpd);
		if (err)
			return err;
	} else {
		atomic_fetch_sub(&pd->contained->users, 1);
		if (pd->td)
			atomic_fetch_sub(&pd->td->users, 1);
	}

	free(pd);
	return 0;
}
