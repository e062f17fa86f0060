import type { Valid } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import { type Agent, lockAgent } from '../store/agents.ts';
import { type Command, openSwitchOf } from '../store/commands.ts';
import { type Host, primaryFacts } from '../store/hosts.ts';
import { onDemandPrice, poolQuotes } from '../store/prices.ts';
import type { HostPriceTable, Mode, PoolTable } from '../store/schema.ts';
import { type Db, together } from '../store/statement.ts';
import { agentDeleted } from './calling-host.ts';

/** A host that polls does so every 15 s; after this long without a poll it never will (clients.md section 3). */
const POLL_PATIENCE_MS = 2 * 60_000;

/** Where a switch shall lead: spot into a pool, or on-demand. */
export type Wanted = { readonly mode: Mode; readonly poolId: string | null };

/** 400 for one field, with what to type next. */
export const invalid = (message: string, field: string, hint?: string): SpotError =>
	new SpotError('invalid', 'VALIDATION_ERROR', message, { hint, extras: { details: { [field]: [message] } } });

/** Reads the target in the spellings clients use: `pool` means spot, a pool without a target too (endpoints.md #32). */
export const wantedOf = (
	input: Pick<Valid<'forceSwitch'>, 'target' | 'target_type' | 'target_mode' | 'pool_id' | 'target_pool' | 'target_pool_id'>,
): Wanted => {
	const poolId = input.pool_id ?? input.target_pool ?? input.target_pool_id;
	const target =
		(input.target ?? input.target_type ?? input.target_mode ?? (poolId === null ? null : 'spot'))?.toLowerCase().replace('-', '') ?? null;
	if (target === 'ondemand') {
		if (poolId !== null) throw invalid('an on-demand target takes no pool', 'pool_id', 'leave the pool out, or ask for spot');
		return { mode: 'ondemand', poolId: null };
	}
	if (target === 'spot' || target === 'pool') {
		if (poolId === null)
			throw invalid(
				'a spot target needs a pool: without one the agent would launch on-demand',
				'pool_id',
				'see: spotctl instances options INSTANCE',
			);
		return { mode: 'spot', poolId };
	}
	throw invalid(
		target === null
			? 'no target was given: spot with a pool, or ondemand'
			: `"${target.slice(0, 40)}" is no target: spot, pool or ondemand`,
		'target',
	);
};

/** A price and when it was seen; null where none is known. */
export type Quote = { readonly micros: number | null; readonly observedAt: number | null };

/** Everything a switch is judged by, read after the agent was locked, in one round trip. */
export type Facts = {
	readonly agent: Agent;
	readonly host: Host;
	readonly open: Pick<Command, 'id' | 'status'> | undefined;
	/** When the host last asked for commands; null never, undefined when it is not known. */
	readonly polledAt: number | null | undefined;
	readonly pool: PoolTable | undefined;
	readonly from: number | null;
	readonly to: Quote;
};

/** Locks the agent of a machine and reads what a switch of it depends on. Errors: 404 AGENT_DELETED, 409 NOT_PRIMARY with the primary. */
export const readFacts = async (tx: Db, named: Host, wanted: Wanted): Promise<Facts> => {
	const [[agent], [primary], [open], quotes, [listed]] = await together(tx, [
		lockAgent.of({ id: named.agent_id }),
		primaryFacts.of({ agent_id: named.agent_id }),
		openSwitchOf.of({ agent_id: named.agent_id }),
		poolQuotes.of({ one: wanted.poolId ?? '', other: named.pool_id ?? '' }),
		onDemandPrice.of({ instance_type: named.instance_type ?? '', region: named.region ?? '' }),
	]);
	if (agent === undefined || agent.status === 'deleted') throw agentDeleted(named.agent_id);
	if (primary === undefined || primary.handle !== named.handle) {
		throw new SpotError('conflict', 'NOT_PRIMARY', `${named.instance_id} is not the primary of its agent (${named.role})`, {
			hint: primary === undefined ? undefined : `the primary is ${primary.instance_id}: spotctl instances switch ${primary.instance_id}`,
			extras: { primary: primary?.instance_id ?? null, role: named.role },
		});
	}
	const pool = quotes.find(({ id }) => id === wanted.poolId);
	const current = quotes.find(({ id }) => id === named.pool_id);
	const onDemand: Quote = { micros: listed?.micros ?? null, observedAt: listed?.observed_at ?? null };
	const spot: Quote = { micros: pool?.spot_micros ?? null, observedAt: pool?.observed_at ?? null };
	return {
		agent,
		host: primary,
		open,
		// A host that was only named so far has no calls to be judged by.
		polledAt: primary.seen_at === null ? undefined : primary.commands_polled_at,
		pool,
		from: priceNow(primary, primary, current?.spot_micros ?? null, onDemand.micros),
		to: wanted.poolId === null ? onDemand : spot,
	};
};

type OwnPrice = Pick<HostPriceTable, 'spot_micros' | 'ondemand_micros'>;

/** What a machine pays: what it says itself, else the price of its pool or type. */
export const priceNow = (host: Host, own: OwnPrice, ofPool: number | null, onDemand: number | null): number | null =>
	host.mode === 'ondemand' ? (own.ondemand_micros ?? onDemand) : (own.spot_micros ?? ofPool);

/** Whether a machine is where a switch shall lead. */
export const isThere = ({ mode, pool_id }: Host, { mode: wanted, poolId }: Wanted): boolean =>
	mode === wanted && (wanted === 'ondemand' || pool_id === poolId);

const hintFor = (host: Host): string => `see: spotctl instances options ${host.instance_id}`;

/** Whether a pool is known and of the machine's type and region (D-29). Errors: 400 VALIDATION_ERROR. */
export const checkPool = (host: Host, pool: PoolTable | undefined, poolId: string): PoolTable => {
	const hint = hintFor(host);
	if (pool === undefined || pool.active === 0) throw invalid(`no pool "${poolId}" is known`, 'pool_id', hint);
	if (host.instance_type !== null && pool.instance_type !== host.instance_type) {
		throw invalid(`pool "${pool.id}" is of type ${pool.instance_type}, the instance of type ${host.instance_type}`, 'pool_id', hint);
	}
	if (host.region !== null && pool.region !== host.region) {
		throw invalid(`pool "${pool.id}" is in ${pool.region}, the instance in ${host.region}`, 'pool_id', hint);
	}
	return pool;
};

/**
 * Whether the target can be: {@link checkPool}, and not where it is already. Errors: 400 VALIDATION_ERROR, 409 ALREADY_THERE, SWITCH_OPEN
 * with the command.
 */
export const checkTarget = ({ host, pool, open }: Facts, wanted: Wanted): void => {
	const hint = hintFor(host);
	if (wanted.poolId !== null) checkPool(host, pool, wanted.poolId);
	if (isThere(host, wanted)) {
		const where = wanted.poolId === null ? 'on-demand' : `in pool "${wanted.poolId}"`;
		throw new SpotError('conflict', 'ALREADY_THERE', `${host.instance_id} is ${where} already`, { hint });
	}
	if (open !== undefined) {
		throw new SpotError('conflict', 'SWITCH_OPEN', `a switch of this agent is ${open.status} already`, {
			hint: `see: spotctl commands show ${open.id}   or end it: spotctl commands cancel ${open.id}`,
			extras: { command_id: open.id, command_status: open.status },
		});
	}
};

/**
 * What stands in the way of the order being fetched soon. A host that calls but has never asked for commands is refused: a v4-only agent
 * is a sensor (clients.md section 3). `heardAt` is what this daemon has heard and not yet written. Errors: 409 AGENT_NEVER_POLLS.
 */
export const readiness = ({ agent, host, polledAt }: Facts, heardAt: number | null, now: number): string[] => {
	// Only a host that calls and is enabled is waited for; whatever else stands in its way is said below.
	const waits = heardAt === null && polledAt === null && agent.enabled === 1 && agent.status === 'online' && host.registered_at !== null;
	// A host that was promoted or enabled just now learns of it with its next config poll, and asks for commands only then.
	const since = Math.max(host.registered_at ?? 0, host.last_switch_at ?? 0, agent.enabled_at ?? 0);
	if (waits && now - since > POLL_PATIENCE_MS) {
		throw new SpotError(
			'conflict',
			'AGENT_NEVER_POLLS',
			`the agent on ${host.instance_id} calls, but has never asked for commands: a v4-only host cannot switch by order`,
			{ hint: 'switch it by hand, or install the classic agent on it' },
		);
	}
	const warnings: string[] = waits ? ['the agent has not asked for commands yet'] : [];
	if (agent.status === 'offline')
		warnings.push('the agent is offline: it will switch when it is back, if that is before the command expires');
	if (agent.enabled === 0) warnings.push('the agent is disabled: it asks for commands only when it is enabled');
	if (host.registered_at === null) warnings.push('nobody has called from this machine yet: its image may have no agent');
	return warnings;
};
