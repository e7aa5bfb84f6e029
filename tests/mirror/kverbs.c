// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * mirage_kverbs.ko - kernel verbs, called directly
 *
 * NVMe-oF and NFS use a part of them, and use it right. The cases of kverbs_*.c use the
 * rest of it, and wrongly.
 *
 *	cat /sys/kernel/debug/mirage_kverbs/cases	their names
 *	echo "CASE DEV DEV" >.../run			EBADE: it failed, see the log
 *	echo DEV >.../use				traffic until the device goes
 *
 * A device is used for as long as the core lets a client: its removal ends the traffic,
 * and waits for a case under way.
 */
#include <linux/bottom_half.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <rdma/ib_cache.h>

#include "kverbs.h"

#define WAIT_MS		20000

/**
 * struct kv_dev - a device that there is
 * @entry: in kv_devs
 * @dev: the device
 * @use: its user, or NULL
 */
struct kv_dev {
	struct list_head entry;
	struct ib_device *dev;
	struct kv_use *use;
};

/**
 * struct kv_use - somebody who writes from one queue pair to another without end
 * @pair: the queue pairs
 * @cqe: of every write
 * @stopped: no more
 * @count: writes that ended well
 */
struct kv_use {
	struct kv_pair pair;
	struct ib_cqe cqe;
	bool stopped;
	unsigned long count;
};

static DEFINE_MUTEX(kv_mutex);		/* all of the below; held while a case runs */
static LIST_HEAD(kv_devs);
static struct dentry *kv_dir;
static unsigned long kv_used;		/* by the last user that was stopped */

static const struct kv_case *const kv_tables[] = { kv_memory_cases, kv_queue_cases };

bool kv_check(struct kv_run *r, bool ok, const char *what, int line)
{
	if (!ok && !r->line) {
		r->line = line;
		r->what = what;
	}
	return ok;
}

void kv_fill(u8 *p, u32 len, u32 seed)
{
	u32 i;

	for (i = 0; i < len; i++)
		p[i] = (seed + i) * 2654435761u >> 24;
}

bool kv_same(const u8 *p, u32 len, u32 seed)
{
	u32 i;

	for (i = 0; i < len; i++)
		if (p[i] != (u8)((seed + i) * 2654435761u >> 24))
			return false;
	return true;
}

static void op_done(struct ib_cq *cq, struct ib_wc *wc)
{
	struct kv_op *op = container_of(wc->wr_cqe, struct kv_op, cqe);

	op->wc = *wc;
	complete(&op->done);
}

void kv_op_init(struct kv_op *op)
{
	op->cqe.done = op_done;
	init_completion(&op->done);
}

bool kv_op_wait(struct kv_end *e, struct kv_op *op)
{
	unsigned long end = jiffies + msecs_to_jiffies(WAIT_MS);

	if (e->cq->poll_ctx != IB_POLL_DIRECT)
		return wait_for_completion_timeout(&op->done, msecs_to_jiffies(WAIT_MS));
	while (time_before(jiffies, end)) {
		ib_process_cq_direct(e->cq, -1);
		if (try_wait_for_completion(&op->done))
			return true;
		usleep_range(20, 100);
	}
	return false;
}

int kv_send(struct kv_end *e, struct ib_send_wr *wr)
{
	struct kv_op op;
	int err;

	kv_op_init(&op);
	wr->wr_cqe = &op.cqe;
	wr->send_flags |= IB_SEND_SIGNALED;
	/* What is kicked off runs when BHs are on again, not when ksoftirqd does. */
	local_bh_disable();
	err = ib_post_send(e->qp, wr, NULL);
	local_bh_enable();
	if (err)
		return -1;
	if (kv_op_wait(e, &op))
		return op.wc.status;
	/* It may still complete, to a stack that is gone. */
	ib_drain_qp(e->qp);
	return -1;
}

int kv_rdma(struct kv_end *e, enum ib_wr_opcode opcode, u64 laddr, u32 len, u64 raddr,
	    u32 rkey)
{
	struct ib_sge sge = {
		.addr = laddr, .length = len, .lkey = e->pd->local_dma_lkey,
	};
	struct ib_rdma_wr wr = {
		.wr.opcode = opcode, .wr.sg_list = &sge, .wr.num_sge = 1,
		.remote_addr = raddr, .rkey = rkey,
	};

	return kv_send(e, &wr.wr);
}

int kv_recv(struct kv_end *e, struct kv_op *op, u64 addr, u32 len)
{
	struct ib_sge sge = {
		.addr = addr, .length = len, .lkey = e->pd->local_dma_lkey,
	};
	struct ib_recv_wr wr = { .wr_cqe = &op->cqe, .sg_list = &sge, .num_sge = 1 };

	kv_op_init(op);
	if (e->srq)
		return ib_post_srq_recv(e->srq, &wr, NULL);
	return ib_post_recv(e->qp, &wr, NULL);
}

/* Link-local: between two netdevs of one namespace it leads over the wire. */
static bool find_gid(struct kv_end *e)
{
	for (e->gid_index = 0; e->gid_index < 16; e->gid_index++)
		if (!rdma_query_gid(e->dev, 1, e->gid_index, &e->gid) &&
		    e->gid.raw[0] == 0xfe && e->gid.raw[1] == 0x80)
			return true;
	return false;
}

static bool open_queues(struct kv_run *r, struct kv_end *e, bool with_srq)
{
	struct ib_srq_init_attr srq_attr = {
		.srq_type = IB_SRQT_BASIC, .attr.max_wr = KV_WR, .attr.max_sge = 2,
	};
	struct ib_qp_init_attr attr = {
		.send_cq = e->cq, .recv_cq = e->cq, .qp_type = IB_QPT_RC,
		.cap.max_send_wr = KV_WR, .cap.max_recv_wr = KV_WR,
		.cap.max_send_sge = 2, .cap.max_recv_sge = 2,
	};
	struct ib_srq *srq;
	struct ib_qp *qp;

	if (with_srq) {
		srq = ib_create_srq(e->pd, &srq_attr);
		if (!KV_CHECK(r, !IS_ERR(srq)))
			return false;
		e->srq = srq;
		attr.srq = srq;
		attr.cap.max_recv_wr = 0;
	}
	qp = ib_create_qp(e->pd, &attr);
	if (!KV_CHECK(r, !IS_ERR(qp)))
		return false;
	e->qp = qp;
	return true;
}

static bool open_end(struct kv_run *r, struct kv_end *e, struct ib_device *dev,
		     enum ib_poll_context ctx, bool with_srq)
{
	struct ib_pd *pd;
	struct ib_cq *cq;

	e->dev = dev;
	if (!KV_CHECK(r, find_gid(e)))
		return false;
	e->buf = kzalloc(KV_BUF, GFP_KERNEL);
	if (!KV_CHECK(r, e->buf))
		return false;
	pd = ib_alloc_pd(dev, IB_PD_UNSAFE_GLOBAL_RKEY);
	if (!KV_CHECK(r, !IS_ERR(pd)))
		return false;
	e->pd = pd;
	cq = ib_alloc_cq(dev, e, 4 * KV_WR, 0, ctx);
	if (!KV_CHECK(r, !IS_ERR(cq)))
		return false;
	e->cq = cq;
	return open_queues(r, e, with_srq);
}

static void close_end(struct kv_end *e)
{
	if (e->qp)
		ib_destroy_qp(e->qp);
	if (e->srq)
		ib_destroy_srq(e->srq);
	if (e->cq)
		ib_free_cq(e->cq);
	if (e->pd)
		ib_dealloc_pd(e->pd);
	kfree(e->buf);
}

static int to_rtr(struct kv_end *e, const struct kv_end *peer)
{
	struct ib_qp_attr attr = {
		.qp_state = IB_QPS_RTR, .path_mtu = IB_MTU_1024,
		.dest_qp_num = peer->qp->qp_num, .max_dest_rd_atomic = 16,
		.min_rnr_timer = IB_RNR_TIMER_000_64,
	};
	union ib_gid gid = peer->gid;

	attr.ah_attr.type = rdma_ah_find_type(e->dev, 1);
	rdma_ah_set_port_num(&attr.ah_attr, 1);
	rdma_ah_set_grh(&attr.ah_attr, &gid, 0, e->gid_index, 64, 0);
	return ib_modify_qp(e->qp, &attr, IB_QP_STATE | IB_QP_AV | IB_QP_PATH_MTU |
			    IB_QP_DEST_QPN | IB_QP_RQ_PSN | IB_QP_MAX_DEST_RD_ATOMIC |
			    IB_QP_MIN_RNR_TIMER);
}

static int connect(struct kv_end *e, const struct kv_end *peer)
{
	struct ib_qp_attr init = {
		.qp_state = IB_QPS_INIT, .port_num = 1,
		.qp_access_flags = IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_READ |
				   IB_ACCESS_REMOTE_ATOMIC,
	};
	struct ib_qp_attr rts = {
		.qp_state = IB_QPS_RTS, .timeout = 18, .retry_cnt = 7, .rnr_retry = 7,
		.max_rd_atomic = 16,
	};

	return ib_modify_qp(e->qp, &init, IB_QP_STATE | IB_QP_PKEY_INDEX | IB_QP_PORT |
			    IB_QP_ACCESS_FLAGS) ?:
	       to_rtr(e, peer) ?:
	       ib_modify_qp(e->qp, &rts, IB_QP_STATE | IB_QP_SQ_PSN | IB_QP_TIMEOUT |
			    IB_QP_RETRY_CNT | IB_QP_RNR_RETRY | IB_QP_MAX_QP_RD_ATOMIC);
}

bool kv_pair_open(struct kv_run *r, struct kv_pair *p, enum ib_poll_context ctx,
		  bool with_srq)
{
	*p = (struct kv_pair) { };
	if (open_end(r, &p->a, r->dev[0], ctx, false) &&
	    open_end(r, &p->b, r->dev[1], ctx, with_srq) &&
	    KV_CHECK(r, !connect(&p->a, &p->b)) && KV_CHECK(r, !connect(&p->b, &p->a)))
		return true;
	kv_pair_close(p);
	return false;
}

void kv_pair_close(struct kv_pair *p)
{
	close_end(&p->a);
	close_end(&p->b);
}

static int use_post(struct kv_use *use)
{
	struct kv_end *a = &use->pair.a, *b = &use->pair.b;
	struct ib_sge sge = {
		.addr = kv_addr(a->buf), .length = KV_BUF, .lkey = a->pd->local_dma_lkey,
	};
	struct ib_rdma_wr wr = {
		.wr.opcode = IB_WR_RDMA_WRITE, .wr.sg_list = &sge, .wr.num_sge = 1,
		.wr.wr_cqe = &use->cqe, .wr.send_flags = IB_SEND_SIGNALED,
		.remote_addr = kv_addr(b->buf), .rkey = b->pd->unsafe_global_rkey,
	};

	return ib_post_send(a->qp, &wr.wr, NULL);
}

/* One ends, the next is posted. */
static void use_done(struct ib_cq *cq, struct ib_wc *wc)
{
	struct kv_use *use = container_of(wc->wr_cqe, struct kv_use, cqe);

	if (wc->status != IB_WC_SUCCESS)
		return;
	use->count++;
	if (!READ_ONCE(use->stopped))
		use_post(use);
}

static struct kv_use *use_start(struct ib_device *dev)
{
	struct kv_run r = { .dev = { dev, dev } };
	struct kv_use *use = kzalloc(sizeof(*use), GFP_KERNEL);
	int i;

	if (!use)
		return NULL;
	use->cqe.done = use_done;
	if (!kv_pair_open(&r, &use->pair, IB_POLL_WORKQUEUE, false)) {
		kfree(use);
		return NULL;
	}
	for (i = 0; i < 8; i++)
		use_post(use);
	return use;
}

static void use_stop(struct kv_use *use)
{
	if (!use)
		return;
	WRITE_ONCE(use->stopped, true);
	ib_drain_qp(use->pair.a.qp);
	ib_drain_qp(use->pair.b.qp);
	kv_used = use->count;
	kv_pair_close(&use->pair);
	kfree(use);
}

static int kv_add(struct ib_device *dev)
{
	struct kv_dev *kd = kzalloc(sizeof(*kd), GFP_KERNEL);

	if (!kd)
		return -ENOMEM;
	kd->dev = dev;
	mutex_lock(&kv_mutex);
	list_add(&kd->entry, &kv_devs);
	mutex_unlock(&kv_mutex);
	return 0;
}

static struct kv_dev *kv_find(const char *name)
{
	struct kv_dev *kd;

	list_for_each_entry(kd, &kv_devs, entry)
		if (!strcmp(dev_name(&kd->dev->dev), name))
			return kd;
	return NULL;
}

static void kv_remove(struct ib_device *dev, void *data)
{
	struct kv_dev *kd, *next;

	mutex_lock(&kv_mutex);
	list_for_each_entry_safe(kd, next, &kv_devs, entry) {
		if (kd->dev != dev)
			continue;
		use_stop(kd->use);
		list_del(&kd->entry);
		kfree(kd);
	}
	mutex_unlock(&kv_mutex);
}

static struct ib_client kv_client = {
	.name = "mirage_kverbs",
	.add = kv_add,
	.remove = kv_remove,
};

static const struct kv_case *find_case(const char *name)
{
	const struct kv_case *c;
	size_t t;

	for (t = 0; t < ARRAY_SIZE(kv_tables); t++)
		for (c = kv_tables[t]; c->name; c++)
			if (!strcmp(c->name, name))
				return c;
	return NULL;
}

static int run_case(char *words)
{
	const struct kv_case *c = find_case(strsep(&words, " ") ?: "");
	struct kv_dev *a = kv_find(strsep(&words, " ") ?: "");
	struct kv_dev *b = kv_find(strsep(&words, " ") ?: "");
	struct kv_run r = { };

	if (!c || !a || !b)
		return -ENOENT;
	r.dev[0] = a->dev;
	r.dev[1] = b->dev;
	c->run(&r);
	if (!r.line)
		return 0;
	pr_notice("kverbs: %s: line %d: %s\n", c->name, r.line, r.what);
	return -EBADE;
}

static ssize_t with_words(const char __user *from, size_t len, int (*f)(char *words))
{
	char *words = memdup_user_nul(from, len);
	int err;

	if (IS_ERR(words))
		return PTR_ERR(words);
	mutex_lock(&kv_mutex);
	err = f(strim(words));
	mutex_unlock(&kv_mutex);
	kfree(words);
	return err ?: len;
}

static ssize_t run_write(struct file *file, const char __user *from, size_t len,
			 loff_t *pos)
{
	return with_words(from, len, run_case);
}

static int use_device(char *name)
{
	struct kv_dev *kd = kv_find(name);

	if (!kd || kd->use)
		return -ENOENT;
	kd->use = use_start(kd->dev);
	return kd->use ? 0 : -EIO;
}

static ssize_t use_write(struct file *file, const char __user *from, size_t len,
			 loff_t *pos)
{
	return with_words(from, len, use_device);
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.write = run_write,
};

static const struct file_operations use_fops = {
	.owner = THIS_MODULE,
	.write = use_write,
};

static int cases_show(struct seq_file *m, void *v)
{
	const struct kv_case *c;
	size_t t;

	for (t = 0; t < ARRAY_SIZE(kv_tables); t++)
		for (c = kv_tables[t]; c->name; c++)
			seq_printf(m, "%s\n", c->name);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(cases);

static int __init kv_init(void)
{
	int err = ib_register_client(&kv_client);

	if (err)
		return err;
	kv_dir = debugfs_create_dir("mirage_kverbs", NULL);
	debugfs_create_file("cases", 0400, kv_dir, NULL, &cases_fops);
	debugfs_create_file("run", 0200, kv_dir, NULL, &run_fops);
	debugfs_create_file("use", 0200, kv_dir, NULL, &use_fops);
	debugfs_create_ulong("used", 0400, kv_dir, &kv_used);
	return 0;
}

static void __exit kv_exit(void)
{
	debugfs_remove_recursive(kv_dir);
	ib_unregister_client(&kv_client);
}

module_init(kv_init);
module_exit(kv_exit);
MODULE_DESCRIPTION("tests of kernel verbs");
MODULE_LICENSE("Dual BSD/GPL");
