import { z } from 'zod';
import { id, instant, optionalPrice, optionalText, price, success, textOrNull } from './fields.ts';
import { instanceId, machineText, modeField } from './hosts.ts';
import { operation } from './operation.ts';

const poolPrice = z.object({
	pool_id: optionalText(128),
	instance_type: machineText(64),
	az: machineText(64),
	price: price.nullish(),
	is_current: z.boolean().nullish(),
});

/** At most 500 pools in one report (spec section 9 "Ours"). */
const pools = z.array(poolPrice).max(500).nullish();

const onDemand = z.union([z.object({ price: optionalPrice }), optionalPrice]);

const machine = z
	.object({
		instance_id: instanceId.nullish(),
		instance_type: machineText(64),
		region: machineText(64),
		az: machineText(64),
		mode: modeField,
		current_mode: modeField,
		pool_id: optionalText(128),
		current_pool_id: optionalText(128),
	})
	.nullish();

/** #48 in three shapes: classic (`pricing`), v3.2 (top-level `on_demand_price`, `spot_pools`) and the flat one of the v6 page. */
export const pricingReport = operation({
	id: 'prices.report',
	method: 'POST',
	path: '/api/agents/{agent_id}/pricing-report',
	access: 'agent',
	summary: 'Prices seen by a host',
	input: z.object({
		agent_id: id,
		instance: machine,
		pricing: z
			.object({
				on_demand_price: optionalPrice,
				current_spot_price: optionalPrice,
				spot_pools: pools,
				cheapest_pool: z.unknown().optional(),
				collected_at: instant,
			})
			.nullish(),
		on_demand_price: onDemand.nullish(),
		ondemand_price: optionalPrice,
		spot_pools: pools,
		spot_prices: pools,
		pools,
		instance_type: machineText(64),
		region: machineText(64),
		az: machineText(64),
		current_mode: modeField,
		current_pool_id: optionalText(128),
		current_spot_price: optionalPrice,
		collected_at: instant,
	}),
	output: success.extend({
		records_inserted: z.number().int(),
		/** Entries of a pool that the report names twice: the first counts. */
		duplicates: z.number().int(),
		/** Entries that are no price of a pool, and how many there are for each reason. */
		ignored: z.number().int(),
		ignored_because: z.record(z.string(), z.number().int()),
	}),
	routine: true,
});

/** #43. Until decisions arrive (part 4) it stores the prices of the body and answers stay, saying so. */
export const decide = operation({
	id: 'decisions.decide',
	method: 'POST',
	path: '/api/agents/{agent_id}/decide',
	access: 'agent',
	summary: 'Ask the decision engine',
	input: z.object({
		agent_id: id,
		instance: machine,
		pricing: z
			.object({ spot_price: optionalPrice, ondemand_price: optionalPrice, current_spot_price: optionalPrice, pool_id: optionalText(128) })
			.nullish(),
		spot_pools: pools,
		ondemand_price: optionalPrice,
		current_az: machineText(64),
	}),
	output: z.object({
		instance_id: z.string(),
		risk_score: z.number(),
		recommended_action: z.string(),
		recommended_mode: textOrNull,
		recommended_pool_id: textOrNull,
		target_pool_id: textOrNull,
		expected_savings_per_hour: z.number(),
		allowed: z.boolean(),
		reason: z.string(),
		action: z.string(),
		confidence: z.number(),
		reasoning: z.string(),
		decision_type: z.string(),
		prices_stored: z.number().int(),
	}),
	routine: true,
});
