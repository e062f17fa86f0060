import { z } from 'zod';
import { id, isoOrNull, optionalText, textOrNull, usdOrNull } from './fields.ts';
import { operation } from './operation.ts';

const one = { instance_id: id, client_id: z.string().max(255).optional() };

/**
 * X6 under the names of backend.py and of the v6 component. Switches of which nobody reported the downtime are in no average; where none
 * has one, the figures are 0 and `switches_with_unknown_downtime` says why (D-36).
 */
export const downtimeAnalytics = operation({
	id: 'switches.downtime',
	method: 'GET',
	path: '/api/client/{client_id}/analytics/downtime',
	access: 'client',
	summary: 'Downtime of the switches of a client',
	input: z.object({
		client_id: id,
		days: z.coerce
			.number()
			.transform((value) => Math.min(90, Math.max(1, Math.trunc(value))))
			.default(30),
	}),
	output: z.object({
		days: z.number().int(),
		total_downtime_seconds: z.number().int(),
		average_downtime_per_switch: z.number().int(),
		switches_with_downtime: z.number().int(),
		switches_without_downtime: z.number().int(),
		switches_with_unknown_downtime: z.number().int(),
		downtime_by_trigger: z.record(
			z.string(),
			z.object({ total_seconds: z.number().int(), average_seconds: z.number().int(), count: z.number().int() }),
		),
		longest_downtime: z
			.object({ switch_id: z.string(), downtime_seconds: z.number(), timestamp: z.string(), reason: z.string() })
			.nullable(),
		/** Those in the history and those that failed before there was anything to list. */
		total_switches: z.number().int(),
		successful_switches: z.number().int(),
		failed_switches: z.number().int(),
		avg_downtime_seconds: z.number(),
		p95_downtime_seconds: z.number(),
		min_downtime_seconds: z.number(),
		max_downtime_seconds: z.number(),
		/** Change of the average against as many days before, percent; not there where one of the two has no measured switch. */
		trend: z.number().optional(),
	}),
});

const category = z.enum(['very_low', 'low', 'medium', 'high', 'unknown']);

const Volatility = z.object({
	pool_id: textOrNull,
	az: textOrNull,
	current_price: usdOrNull,
	/** Standard deviation over mean of the clean prices of 24 hours; null with fewer than three. */
	volatility_score: z.number().nullable(),
	volatility_category: category,
	/** Machines that AWS signalled within 24 hours, as a share of those that ran in the pool; null where none ran. */
	interruption_rate_24h: z.number().nullable(),
	/** 1 minus deviation over mean of 7 days, at least 0; null with fewer than three prices. */
	price_stability_7d: z.number().nullable(),
});

/** X7. Every figure is computed from prices and signals, or null (D-36). */
export const poolVolatility = operation({
	id: 'instances.volatility',
	method: 'GET',
	path: '/api/client/instances/{instance_id}/pool-volatility',
	access: 'client',
	summary: 'How steady the pool of a machine is, and the five cheapest others',
	input: z.object(one),
	output: z.object({
		current_pool: Volatility,
		alternative_pools: z.array(Volatility.extend({ recommendation: z.enum(['best']).nullable() })),
	}),
});

/** X9. Nothing is queued. What rests on a price, downtime or signal that nobody knows is null; `reasons` says so. */
export const simulateSwitch = operation({
	id: 'instances.simulate_switch',
	method: 'POST',
	path: '/api/client/instances/{instance_id}/simulate-switch',
	access: 'client',
	summary: 'What a switch would mean; changes nothing',
	input: z.object({
		instance_id: id,
		client_id: z.string().max(255).nullish(),
		target_pool: optionalText(128),
		target_pool_id: optionalText(128),
		pool_id: optionalText(128),
		target_type: optionalText(32),
		target_mode: optionalText(32),
		target: optionalText(32),
	}),
	output: z.object({
		simulation: z.object({
			current_mode: textOrNull,
			current_pool: textOrNull,
			target_mode: z.string(),
			target_pool: textOrNull,
			current_price: usdOrNull,
			target_price: usdOrNull,
			target_price_observed_at: isoOrNull,
			hourly_savings: usdOrNull,
			/** The hourly difference times 24 and times 720: projections, not savings. */
			daily_savings: usdOrNull,
			monthly_savings: usdOrNull,
			projected: z.array(z.string()),
			/** The mean of the client's switches of 30 days that reported one. */
			estimated_downtime_seconds: z.number().int().nullable(),
			/** How far the target's price is believed, 0 to 1. */
			confidence: z.number().nullable(),
			volatility_risk: category,
			interruption_probability_24h: z.number().nullable(),
			recommendation: z.enum(['strongly_recommended', 'recommended', 'neutral', 'not_recommended']),
			reasons: z.array(z.string()),
		}),
	}),
});
