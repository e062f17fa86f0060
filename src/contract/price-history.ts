import { z } from 'zod';
import { id, isoOrNull, textOrNull } from './fields.ts';
import { operation } from './operation.ts';

/** A length of time in a query string: whole days, or whole hours; what is beyond the limits is brought to them (endpoints.md #30, #33). */
const clamped = (most: number) =>
	z.coerce
		.number()
		.transform((value) => Math.min(most, Math.max(1, Math.trunc(value))))
		.optional();

const interval = z.enum(['hour', 'day']).optional();
const one = { instance_id: id, client_id: z.string().max(255).optional() };

/** How much of the time behind a sum of the books was measured, estimated and unknown; percent, all 0 where there is no time. */
const shares = z.object({ measured: z.number(), estimated: z.number(), unknown: z.number() });

/**
 * #29. Unknown prices read 0, because the old dashboard calls toFixed, and `pricesKnown` tells (D-37). Both savings come from the books and
 * may be negative (D-32); `baselineOnDemandPrice` is the on-demand price that the baseline is made of now.
 */
export const instanceMetrics = operation({
	id: 'instances.metrics',
	method: 'GET',
	path: '/api/client/instances/{instance_id}/metrics',
	access: 'client',
	summary: 'Uptime, switches and savings of a machine',
	input: z.object(one),
	output: z.object({
		id: z.string(),
		instanceType: textOrNull,
		currentMode: textOrNull,
		currentPoolId: textOrNull,
		spotPrice: z.number(),
		onDemandPrice: z.number(),
		baselineOnDemandPrice: z.number(),
		pricesKnown: z.object({ spot: z.boolean(), onDemand: z.boolean() }),
		uptimeHours: z.number().int(),
		hoursSinceLastSwitch: z.number().int(),
		lastSwitch: isoOrNull,
		totalSwitches: z.number().int(),
		switchesLast7Days: z.number().int(),
		switchesLast30Days: z.number().int(),
		savingsLast30Days: z.number(),
		totalSavings: z.number(),
		/** Retention has ended the books of machines that were over before: savings do not count them. Null: it never did. */
		savingsCountFrom: isoOrNull,
		savingsShares: z.object({ last30Days: shares, total: shares }),
	}),
});

/** A row of a chart: `time`, `onDemand`, and a price or null under the key of each pool. */
const ChartRow = z
	.object({
		time: z.string(),
		onDemand: z.number(),
		onDemandKnown: z.boolean(),
		/** Keys of pools whose price here rests on interpolated points. */
		synthetic: z.array(z.string()),
	})
	.catchall(z.union([z.number(), z.null(), z.string(), z.boolean(), z.array(z.string())]));

/** #30. Means of the clean prices in UTC buckets; a bucket without a price has no row, a pool without one in it is null. */
export const instancePriceHistory = operation({
	id: 'instances.prices',
	method: 'GET',
	path: '/api/client/instances/{instance_id}/price-history',
	access: 'client',
	summary: 'Prices of the pools of a machine’s type and region over time',
	input: z.object({ ...one, days: clamped(90), hours: clamped(90 * 24), interval }),
	output: z.object({
		data: z.array(ChartRow),
		series: z.array(ChartRow),
		pools: z.array(z.object({ id: z.string(), name: z.string(), az: z.string(), key: z.string() })),
		onDemandPrice: z.number(),
		onDemandKnown: z.boolean(),
		interval: z.enum(['hour', 'day']),
		from: z.string(),
		/** How many further pools of the type and region are not shown. */
		poolsLeftOut: z.number().int(),
	}),
	legacyBare: true,
});

const ofAgent = { agent_id: z.string().max(255).optional(), client_id: z.string().max(255).optional() };
const history = z.object({
	history: z.array(
		z.object({
			timestamp: z.string(),
			ondemand_price: z.number(),
			ondemand_known: z.boolean(),
			/** The cheapest pool of the bucket: the agent-host dashboard calls toFixed (endpoints.md X34). */
			price: z.number(),
			spot_pools: z.array(z.object({ pool_id: z.string(), az: z.string(), price: z.number(), synthetic: z.boolean() })),
		}),
	),
	days: z.number().int(),
	data_points: z.number().int(),
	agent_id: textOrNull,
	instance_type: z.string().optional(),
	region: z.string().optional(),
	interval: z.enum(['hour', 'day']),
});
const historyInput = z.object({ ...ofAgent, days: clamped(30), interval });

/** #33. Without `agent_id` it is about the most recently seen online agent. */
export const pricingHistory = operation({
	id: 'prices.history',
	method: 'GET',
	path: '/api/client/pricing-history',
	access: 'client',
	summary: 'Pool prices around an agent over time',
	input: historyInput,
	output: history,
});

/** X34, under the name the agent-host dashboard knows. */
export const pricingHistoryAlias = operation({
	id: 'prices.history_alias',
	method: 'GET',
	path: '/api/pricing/history',
	access: 'client',
	summary: 'Pool prices around an agent over time',
	input: historyInput,
	output: history,
});

/** X33. Prices older than an hour are unknown. */
export const currentPricing = operation({
	id: 'prices.current',
	method: 'GET',
	path: '/api/pricing',
	access: 'client',
	summary: 'Pool prices around an agent now, cheapest first, unknown last',
	input: z.object(ofAgent),
	output: z.object({
		agent_id: z.string(),
		instance_id: textOrNull,
		instance_type: textOrNull,
		region: textOrNull,
		current_mode: textOrNull,
		current_pool_id: textOrNull,
		ondemand_price: z.number().nullable(),
		pools: z.array(z.object({ pool_id: z.string(), az: z.string(), price: z.number().nullable(), observed_at: isoOrNull })),
	}),
});
