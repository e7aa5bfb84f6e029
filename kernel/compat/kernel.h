/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What older kernels lack of the core kernel. Force-included into every file: the code
 * is written for the newest kernel, what older ones lack stands in this folder. HAVE_*
 * come from probe.sh.
 */
#ifndef MIRAGE_COMPAT_KERNEL_H
#define MIRAGE_COMPAT_KERNEL_H

#ifndef HAVE_KZALLOC_OBJ
#include <linux/overflow.h>
#include <linux/slab.h>

/* GFP_KERNEL unless an argument says otherwise */
#define compat_gfp(...)			compat_gfp_pick(0, ##__VA_ARGS__, GFP_KERNEL)
#define compat_gfp_pick(zero, gfp, ...)	((void)(zero), (gfp))

#define compat_alloc(alloc, type, count, gfp) \
	((type *)alloc(size_mul(sizeof(type), count), gfp))

#define kmalloc_obj(p, ...) \
	compat_alloc(kmalloc, typeof(p), 1, compat_gfp(__VA_ARGS__))
#define kzalloc_obj(p, ...) \
	compat_alloc(kzalloc, typeof(p), 1, compat_gfp(__VA_ARGS__))
#define kmalloc_objs(p, count, ...) \
	compat_alloc(kmalloc, typeof(p), count, compat_gfp(__VA_ARGS__))
#define kzalloc_objs(p, count, ...) \
	compat_alloc(kzalloc, typeof(p), count, compat_gfp(__VA_ARGS__))
#define kvmalloc_objs(p, count, ...) \
	compat_alloc(kvmalloc, typeof(p), count, compat_gfp(__VA_ARGS__))
#endif

#ifndef HAVE_VM_FLAGS_MOD
#include <linux/mm.h>

static inline void vm_flags_mod(struct vm_area_struct *vma, vm_flags_t set,
				vm_flags_t clear)
{
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
}
#endif

#ifndef HAVE_TIMER_CONTAINER_OF
#include <linux/timer.h>

#define timer_container_of(var, timer, field)	from_timer(var, timer, field)
#endif

#endif
