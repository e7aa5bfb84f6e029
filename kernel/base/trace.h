/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Tracepoints: the life of an ODP fault, and what takes pages away
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mirage

#if !defined(MIRAGE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MIRAGE_TRACE_H

#include <linux/tracepoint.h>
#include <linux/types.h>

DECLARE_EVENT_CLASS(mirage_odp_range,
		    TP_PROTO(u32 key, u64 iova, u64 len, bool write),
		    TP_ARGS(key, iova, len, write),
		    TP_STRUCT__entry(__field(u64, iova)
				     __field(u64, len)
				     __field(u32, key)
				     __field(bool, write)),
		    TP_fast_assign(__entry->iova = iova;
				   __entry->len = len;
				   __entry->key = key;
				   __entry->write = write;),
		    TP_printk("key=%#x iova=%#llx len=%llu %s",
			      __entry->key, __entry->iova, __entry->len,
			      __entry->write ? "write" : "read"));

/* A fault was raised; a miss joined a fault in flight. */
DEFINE_EVENT(mirage_odp_range, mirage_odp_fault_raise,
	     TP_PROTO(u32 key, u64 iova, u64 len, bool write),
	     TP_ARGS(key, iova, len, write));

DEFINE_EVENT(mirage_odp_range, mirage_odp_fault_coalesce,
	     TP_PROTO(u32 key, u64 iova, u64 len, bool write),
	     TP_ARGS(key, iova, len, write));

/* A worker, or the engine itself, services it. */
DEFINE_EVENT(mirage_odp_range, mirage_odp_fault_service,
	     TP_PROTO(u32 key, u64 iova, u64 len, bool write),
	     TP_ARGS(key, iova, len, write));

DEFINE_EVENT(mirage_odp_range, mirage_odp_fault_commit,
	     TP_PROTO(u32 key, u64 iova, u64 len, bool write),
	     TP_ARGS(key, iova, len, write));

DEFINE_EVENT(mirage_odp_range, mirage_odp_prefetch,
	     TP_PROTO(u32 key, u64 iova, u64 len, bool write),
	     TP_ARGS(key, iova, len, write));

DECLARE_EVENT_CLASS(mirage_odp_error,
		    TP_PROTO(u32 key, u64 iova, int err),
		    TP_ARGS(key, iova, err),
		    TP_STRUCT__entry(__field(u64, iova)
				     __field(u32, key)
				     __field(int, err)),
		    TP_fast_assign(__entry->iova = iova;
				   __entry->key = key;
				   __entry->err = err;),
		    TP_printk("key=%#x iova=%#llx err=%d",
			      __entry->key, __entry->iova, __entry->err));

/* It will be tried again, here or in a worker. */
DEFINE_EVENT(mirage_odp_error, mirage_odp_fault_retry,
	     TP_PROTO(u32 key, u64 iova, int err),
	     TP_ARGS(key, iova, err));

DEFINE_EVENT(mirage_odp_error, mirage_odp_fault_fail,
	     TP_PROTO(u32 key, u64 iova, int err),
	     TP_ARGS(key, iova, err));

TRACE_EVENT(mirage_odp_invalidate,
	    TP_PROTO(u32 key, u64 first, u64 last, unsigned long pages),
	    TP_ARGS(key, first, last, pages),
	    TP_STRUCT__entry(__field(u64, first)
			     __field(u64, last)
			     __field(unsigned long, pages)
			     __field(u32, key)),
	    TP_fast_assign(__entry->first = first;
			   __entry->last = last;
			   __entry->pages = pages;
			   __entry->key = key;),
	    TP_printk("key=%#x iova=%#llx-%#llx pages=%lu",
		      __entry->key, __entry->first, __entry->last, __entry->pages));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH base
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
