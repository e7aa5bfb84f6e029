// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Advice: bring in pages of ODP regions that the user will need, at once or in a worker
 */
#include <linux/overflow.h>
#include <linux/slab.h>

#include "base/device.h"
#include "mem/advise.h"
#include "mem/mr.h"
#include "mem/odp.h"

/* One range of an advice; @mr has a reference. */
struct advise_range {
	struct mirage_mr *mr;
	u64 iova;
	u64 len;
};

struct advise {
	struct mirage_odp_job job;
	enum ib_uverbs_advise_mr_advice advice;
	u32 num;
	struct advise_range range[];
};

static void advise_free(struct advise *advise)
{
	while (advise->num)
		mirage_mr_put(advise->range[--advise->num].mr);
	kfree(advise);
}

static int advise_run(struct advise *advise)
{
	int err = 0;
	u32 i;

	for (i = 0; i < advise->num && !err; i++)
		err = mirage_odp_prefetch(advise->range[i].mr, advise->range[i].iova,
					  advise->range[i].len, advise->advice);
	return err;
}

static void advise_job(struct mirage_odp_job *job)
{
	struct advise *advise = container_of(job, struct advise, job);

	advise_run(advise);
	advise_free(advise);
}

static int advise_errno(int err)
{
	switch (err) {
	case -EXDEV:
	case -EACCES:
		return -EPERM;
	case -ERANGE:
		return -EFAULT;
	default:
		return err;
	}
}

static int advise_add(struct advise *advise, struct ib_pd *pd, const struct ib_sge *sge)
{
	bool write = advise->advice == IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_WRITE;
	struct mirage_mr *mr;

	mr = mirage_mr_get(to_mdev(pd->device), pd, sge->lkey, sge->addr, sge->length,
			   write ? IB_ACCESS_LOCAL_WRITE : 0);
	if (IS_ERR(mr))
		return advise_errno(PTR_ERR(mr));
	advise->range[advise->num++] = (struct advise_range) {
		.mr = mr,
		.iova = sge->addr,
		.len = sge->length,
	};
	return mirage_odp_region(mr) ? 0 : -EINVAL;
}

/**
 * mirage_advise_mr - ib_device_ops.advise_mr
 * @pd: the PD
 * @advice: prefetch for reading, for writing, or only what is mapped
 * @flags: with IB_UVERBS_ADVISE_MR_FLAG_FLUSH the prefetch is done when this returns
 * @sg_list: the ranges; empty ones are skipped
 * @num_sge: number of ranges
 * @attrs: not used
 *
 * Return: 0; -EOPNOTSUPP for an unknown advice or flag; -ENOENT for an unknown key; -EPERM if the
 * region is of another PD, or must not be written; -EFAULT if the range is not inside the region;
 * -EINVAL if it is not an ODP region; -ENOMEM. With FLUSH also the errors of
 * mirage_odp_prefetch().
 */
int mirage_advise_mr(struct ib_pd *pd, enum ib_uverbs_advise_mr_advice advice,
		     u32 flags, struct ib_sge *sg_list, u32 num_sge,
		     struct uverbs_attr_bundle *attrs)
{
	struct advise *advise;
	int err = 0;
	u32 i;

	if (advice > IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT ||
	    flags & ~IB_UVERBS_ADVISE_MR_FLAG_FLUSH)
		return -EOPNOTSUPP;
	advise = kzalloc(struct_size(advise, range, num_sge), GFP_KERNEL_ACCOUNT);
	if (!advise)
		return -ENOMEM;
	advise->advice = advice;
	for (i = 0; i < num_sge && !err; i++)
		if (sg_list[i].length)
			err = advise_add(advise, pd, &sg_list[i]);
	if (!err && advise->num && !(flags & IB_UVERBS_ADVISE_MR_FLAG_FLUSH)) {
		mirage_odp_queue(advise->range[0].mr, &advise->job, advise_job);
		return 0;
	}
	if (!err)
		err = advise_run(advise);
	advise_free(advise);
	return err;
}
