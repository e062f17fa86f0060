import { z } from 'zod';
import { flag, id, isoOrNull, isoTime, paging, textOrNull, usdOrNull } from './fields.ts';
import { operation } from './operation.ts';

const percent = z.number().min(0).max(100);

/** How much of the instance time behind a figure had a measured, an estimated and no known price; percent, 0 each while there was no time. */
export const Shares = z.object({ measured: percent, estimated: percent, unknown: percent, seconds: z.number() });

/** USD. Savings = baseline - actual, and may be negative; actual = primary + replica + overlap + zombie. */
export const Figures = z.object({
	savings: z.number(),
	baseline: z.number(),
	actual: z.number(),
	primaryCost: z.number(),
	replicaCost: z.number(),
	overlapCost: z.number(),
	zombieCost: z.number(),
	shares: Shares,
});

const month = z
	.string()
	.regex(/^\d{4}-(0[1-9]|1[0-2])$/, 'is no month (YYYY-MM)')
	.optional();

/**
 * #35. Oldest first; only periods in which something ran. It has no pages: `range` bounds it, at 90 rows or one a year, and `limit` and
 * `cursor` mean nothing to it.
 */
export const clientSavings = operation({
	id: 'savings.series',
	method: 'GET',
	path: '/api/client/{client_id}/savings',
	access: 'client',
	summary: 'Savings by month (the last 12), day (90), week (26) or year; another range has no periods',
	input: z.object({ client_id: id, range: z.string().max(32).default('monthly') }),
	output: Figures.extend({
		name: z.string(),
		period: z.string(),
		onDemandCost: z.number(),
		modelCost: z.number(),
	}),
	rendering: 'list',
	legacyBare: true,
});

/** #38. Newest month first. `shares` adds how much of each figure is measured, estimated and unknown. */
export const exportSavings = operation({
	id: 'exports.savings',
	method: 'GET',
	path: '/api/client/{client_id}/export/savings',
	access: 'client',
	summary: 'Savings of a client by month, as CSV',
	input: z.object({ client_id: id, shares: flag }),
	output: z.string(),
	rendering: 'csv',
});

/** X35. Numbers, since the page calls toFixed; what is not known yet is 0 and says so. */
export const savingsTotals = operation({
	id: 'stats.savings',
	method: 'GET',
	path: '/api/stats/savings',
	access: 'client',
	summary: 'What the token’s client saved so far, and how much of the time its agents were online',
	input: z.object({ client_id: z.string().max(255).optional() }),
	output: z.object({
		total_savings: z.number(),
		uptime_percentage: z.number(),
		uptime_known: z.boolean(),
		savings_measured: z.boolean(),
		shares: Shares,
	}),
});

/** #37 */
export const clientCharts = operation({
	id: 'stats.charts',
	method: 'GET',
	path: '/api/client/{client_id}/stats/charts',
	access: 'client',
	summary: 'Savings by month, live machines by mode, switches by day',
	input: z.object({ client_id: id }),
	output: z.object({
		savingsTrend: z.array(
			z.object({ month: z.string(), period: z.string(), savings: z.number(), baseline: z.number(), actual: z.number(), shares: Shares }),
		),
		modeDistribution: z.array(z.object({ mode: z.string(), count: z.number().int() })),
		switchFrequency: z.array(z.object({ date: z.string(), switches: z.number().int() })),
	}),
});

/** A month, or everything so far. */
export const showSavings = operation({
	id: 'savings.show',
	method: 'GET',
	path: '/api/client/{client_id}/savings/summary',
	access: 'client',
	summary: 'What a client saved: a month or altogether, line by line',
	input: z.object({ client_id: id, month }),
	output: Figures.extend({ clientId: z.string(), clientName: z.string(), month: textOrNull, until: isoTime }),
});

/** Everybody's, for an operator. */
export const fleetSavings = operation({
	id: 'savings.fleet',
	method: 'GET',
	path: '/api/admin/savings',
	access: 'read',
	summary: 'What every client saved: a month or altogether',
	input: z.object({ ...paging, month }),
	output: Figures.extend({ clientId: z.string(), clientName: z.string() }),
	rendering: 'list',
});

export const Segment = z.object({
	instanceId: z.string(),
	line: z.enum(['primary', 'replica', 'overlap', 'zombie']),
	role: z.string(),
	mode: textOrNull,
	poolId: textOrNull,
	start: isoTime,
	end: isoTime,
	seconds: z.number(),
	price: usdOrNull,
	priceSource: z.string(),
	pricedAt: isoOrNull,
	onDemandPrice: usdOrNull,
	quality: z.enum(['measured', 'estimated', 'unknown']),
	cost: z.number(),
	baseline: z.number(),
	closedBy: z.string(),
});

/** The segments behind an agent's figures; the one that is open ends now and is closed by nothing. */
export const explainSavings = operation({
	id: 'savings.explain',
	method: 'GET',
	path: '/api/client/agents/{agent_id}/savings',
	access: 'client',
	summary: 'What an agent saved in a month, segment by segment',
	input: z.object({ agent_id: id, ...paging, month }),
	output: z.object({
		agentId: z.string(),
		month: z.string(),
		figures: Figures,
		/** Retention has ended the segments of machines that were over before: the figures do not count them. Null: it never did. */
		countsFrom: isoOrNull,
		segments: z.array(Segment),
		next_cursor: textOrNull,
	}),
});

/** Books machines anew from their facts, 100 at a time; call again with the cursor until it is null. */
export const recomputeSavings = operation({
	id: 'savings.recompute',
	method: 'POST',
	path: '/api/admin/savings/recompute',
	access: 'operate',
	summary: 'Book machines anew from the facts and mend what differs',
	input: z.object({
		client_id: z.string().max(255).nullish(),
		agent_id: z.string().max(255).nullish(),
		dry_run: flag,
		cursor: z.string().max(512).nullish(),
	}),
	output: z.object({
		machines: z.number().int(),
		changed: z.number().int(),
		dry_run: z.boolean(),
		differences: z.array(
			z.object({
				instanceId: z.string(),
				agentId: z.string(),
				costBefore: z.number(),
				costAfter: z.number(),
				baselineBefore: z.number(),
				baselineAfter: z.number(),
			}),
		),
		/** Sums of days, months (`2026-11`) and of all time (`all`) that were not those of the segments; USD. */
		totals: z.array(
			z.object({
				clientId: z.string(),
				period: z.string(),
				costBefore: z.number(),
				costAfter: z.number(),
				baselineBefore: z.number(),
				baselineAfter: z.number(),
			}),
		),
		next_cursor: textOrNull,
	}),
});

/** The most a line of a bill may come to. */
export const BILL_LINE_USD = 10_000_000;

/** A line of a bill: what AWS charged for a machine from `start` to `end`. */
const BillLine = z.object({
	instance_id: z.string().min(1).max(255),
	start: z.number().int().min(0),
	end: z.number().int().min(0),
	/** USD. */
	cost: z.number().min(0).max(BILL_LINE_USD),
	/** The bill holds this very line before: it is set against nothing. */
	duplicate: flag,
});

/**
 * Compares lines of a bill with the books; changes nothing. `start` and `end` are UTC milliseconds. Lines of one machine and time are one line of
 * the answer, their costs added; the same line again is a duplicate, booked at nothing.
 */
export const reconcileSavings = operation({
	id: 'savings.reconcile',
	method: 'POST',
	path: '/api/admin/savings/reconcile',
	access: 'read',
	summary: 'Compare lines of an AWS bill with the books',
	input: z.object({ client_id: z.string().max(255).nullish(), lines: z.array(BillLine).max(1000) }),
	output: z.object({
		lines: z.array(
			z.object({
				instanceId: z.string(),
				billed: z.number(),
				booked: z.number(),
				difference: z.number(),
				billedSeconds: z.number(),
				bookedSeconds: z.number(),
				shares: Shares,
				cause: z.enum([
					...(['agrees', 'price', 'estimated', 'unknown-time', 'not-booked', 'first-hour', 'before-books', 'after-books'] as const),
					'duplicate',
				]),
			}),
		),
		billed: z.number(),
		booked: z.number(),
		difference: z.number(),
		shares: Shares,
		byCause: z.array(z.object({ cause: z.string(), lines: z.number().int(), difference: z.number() })),
	}),
});
