/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Negative acknowledgments: verdict of the responder, AETH syndrome, status of the completion
 *
 * IBA volume 1, table 58 (AETH syndromes) and 11.6.2 (completion status).
 */
#ifndef MIRAGE_NAK_H
#define MIRAGE_NAK_H

#include <linux/bug.h>
#include <rdma/ib_verbs.h>

#include "net/packet.h"
#include "qp/responder.h"

static const struct {
	u8 syndrome;
	enum ib_wc_status status;
} mirage_naks[] = {
	[RESP_NAK_INVALID] = { AETH_NAK_INVALID, IB_WC_REM_INV_REQ_ERR },
	[RESP_NAK_ACCESS] = { AETH_NAK_ACCESS, IB_WC_REM_ACCESS_ERR },
	[RESP_NAK_OPERATIONAL] = { AETH_NAK_OPERATIONAL, IB_WC_REM_OP_ERR },
};

static inline bool mirage_is_nak(enum mirage_verdict v)
{
	return v >= RESP_NAK_INVALID && v <= RESP_NAK_OPERATIONAL;
}

/** mirage_nak_syndrome - the AETH syndrome of a verdict that is a NAK */
static inline u8 mirage_nak_syndrome(enum mirage_verdict v)
{
	return mirage_naks[v].syndrome;
}

/** mirage_nak_status - the status with which a requester completes a request after that NAK */
static inline enum ib_wc_status mirage_nak_status(enum mirage_verdict v)
{
	return mirage_naks[v].status;
}

/** mirage_nak_of - the verdict behind an AETH syndrome; RESP_SILENT if it is no such NAK */
static inline enum mirage_verdict mirage_nak_of(u8 syndrome)
{
	enum mirage_verdict v;

	for (v = RESP_NAK_INVALID; v <= RESP_NAK_OPERATIONAL; v++)
		if (mirage_naks[v].syndrome == syndrome)
			return v;
	return RESP_SILENT;
}

#endif
