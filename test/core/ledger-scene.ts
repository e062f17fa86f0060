import { expect } from 'vitest';
import type { ClientActor, World } from '../helpers/world.ts';
import type { AgentScene } from './agent-scene.ts';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** What tests of the books do and ask for, in a world. */
export const booksOf = (world: World) => {
	/** Lets a time pass in which these machines call, often enough to be heard. */
	const alive = async (ms: number, { heartbeat }: ClientActor, handles: readonly string[]) => {
		for (let left = ms; left > 0; left -= 100 * SECOND) {
			await world.advance(Math.min(100 * SECOND, left), 50 * SECOND);
			for (const handle of handles) await heartbeat(handle);
		}
	};
	/** A machine says what it costs itself, USD per hour. */
	const costs = async ({ client }: Pick<AgentScene, 'client'>, handle: string, zone: string, spot: number | null, onDemand = 0.085) => {
		const { status } = await client.call('pricingReport', {
			agent_id: handle,
			instance: {
				instance_type: 'c5.large',
				region: 'us-east-1',
				mode: spot === null ? 'ondemand' : 'spot',
				pool_id: spot === null ? null : `c5.large.us-east-1${zone}`,
			},
			pricing: {
				on_demand_price: onDemand,
				current_spot_price: spot,
				spot_pools: spot === null ? [] : [{ pool_id: `c5.large.us-east-1${zone}`, az: `us-east-1${zone}`, price: spot }],
			},
		});
		expect(status).toBe(200);
	};
	/** Lets the ledger job read what is there. */
	const settle = () => world.advance(30 * SECOND, 10 * SECOND);
	const summary = async (client: { readonly id: string }, month?: string) =>
		(await world.admin.call('showSavings', { client_id: client.id, ...(month === undefined ? {} : { month }) })).body;
	const explained = async (agentId: string, month?: string) =>
		(await world.admin.call('explainSavings', { agent_id: agentId, ...(month === undefined ? {} : { month }) })).body;
	const recomputed = async (client: { readonly id: string }) =>
		(await world.admin.call('recomputeSavings', { client_id: client.id, dry_run: true })).body;
	const micros = (usd: number): number => Math.round(usd * 1_000_000);
	const amountOf = (usdPerHour: number, seconds: number): number =>
		Math.floor((micros(usdPerHour) * seconds * 1000 + 1_800_000) / 3_600_000);
	return { alive, costs, settle, summary, explained, recomputed, micros, amountOf };
};
